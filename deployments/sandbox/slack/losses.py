"""Messages that are answered for and never arrive: no list, no event, nobody sees them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Loss:
    workspace: str | None = None
    channel: str | None = None
    text: re.Pattern[str] | None = None
    times: int | None = None
    skip: int = 0
    rate: float = 1.0
    hits: int = 0

    def takes(self, rng: random.Random) -> bool:
        if self.times == 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.rate < 1.0 and rng.random() >= self.rate:
            return False
        if self.times is not None:
            self.times -= 1
        self.hits += 1
        return True


class Losses:
    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.rules: list[Loss] = []
        self.rng = random.Random(1)  # noqa: S311  repeatable losses, not secrets

    def add(self, workspace: str | None, given: dict[str, Any]) -> None:
        """{"channel"?, "text"?: pattern, "times"?, "skip"?, "rate"?}."""
        text = given.pop("text", None)
        rule = Loss(workspace, text=re.compile(text) if text else None, **given)
        self.rules.append(rule)

    def takes(self, workspace: str, channel: str, text: str) -> bool:
        return any(
            rule.workspace in (None, workspace)
            and rule.channel in (None, channel)
            and (rule.text is None or rule.text.search(text) is not None)
            and rule.takes(self.rng)
            for rule in self.rules
        )

    def shown(self) -> list[dict[str, Any]]:
        return [{"channel": r.channel, "times": r.times, "hits": r.hits} for r in self.rules]
