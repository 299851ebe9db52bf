"""Ids, tokens and secrets that look like Slack's.

https://docs.slack.dev/authentication/tokens
"""

from __future__ import annotations

import random
import string

LETTERS = (string.ascii_uppercase + string.digits).encode()
UPPER = bytes(LETTERS[byte % 36] for byte in range(256))
ALL = (string.ascii_letters + string.digits).encode()
MIXED = bytes(ALL[byte % 62] for byte in range(256))


class Ids:
    """A source of ids: the same name gives the same ids in every run."""

    def __init__(self, seed: str) -> None:
        self.rng = random.Random(seed)  # noqa: S311  names for simulated objects

    def new(self, prefix: str) -> str:
        """T0…, U0…, C0…, D0…, B0…, A0…, Ev0…: the prefix and ten letters."""
        return f"{prefix}0{self.rng.randbytes(9).translate(UPPER).decode()}"

    def word(self, length: int) -> str:
        return self.rng.randbytes(length).translate(MIXED).decode()

    def digits(self, length: int) -> str:
        return str(self.rng.randrange(10 ** (length - 1), 10**length))

    def hex(self, length: int) -> str:
        return self.rng.randbytes(length // 2).hex()

    def bot_token(self) -> str:
        return f"xoxb-{self.digits(12)}-{self.digits(13)}-{self.word(24)}"

    def rotating_token(self) -> str:
        return f"xoxe.xoxb-1-{self.word(142)}"

    def refresh_token(self) -> str:
        return f"xoxe-1-{self.word(147)}"

    def code(self) -> str:
        return f"{self.digits(12)}.{self.digits(13)}.{self.hex(64)}"
