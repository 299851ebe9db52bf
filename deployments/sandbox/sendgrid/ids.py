"""Ids that look like SendGrid's."""

from __future__ import annotations

import random
from base64 import urlsafe_b64encode
from uuid import UUID


class Ids:
    def __init__(self, seed: str) -> None:
        self.rng = random.Random(seed)  # noqa: S311  names for simulated objects

    def message(self) -> str:
        """22 letters, as in X-Message-Id."""
        return base64url(self.rng.randbytes(16))

    def batch(self) -> str:
        """Never starts with a dash."""
        return base64url(self.rng.randbytes(18).hex().encode())

    def uuid(self) -> str:
        return str(UUID(bytes=self.rng.randbytes(16), version=4))

    def template(self, generation: str) -> str:
        return "d-" + self.rng.randbytes(16).hex() if generation == "dynamic" else self.uuid()


def base64url(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
