"""The sandbox's clock: real time and an offset, or standing still."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    def __init__(self) -> None:
        self.offset = 0.0
        self.frozen: float | None = None

    def now(self) -> float:
        return self.frozen if self.frozen is not None else time.time() + self.offset

    def seconds(self) -> int:
        return int(self.now())

    def set(self, moment: float | str, *, frozen: bool = False) -> None:
        at = _timestamp(moment)
        self.offset = at - time.time()
        self.frozen = at if frozen else None

    def advance(self, seconds: float) -> None:
        self.offset += seconds
        if self.frozen is not None:
            self.frozen += seconds

    def be_real(self) -> None:
        self.offset, self.frozen = 0.0, None

    def shown(self) -> dict[str, object]:
        now = self.now()
        return {
            "now": now,
            "iso": datetime.fromtimestamp(now, UTC).isoformat(),
            "frozen": self.frozen is not None,
        }


def _timestamp(moment: float | str) -> float:
    if isinstance(moment, str):
        parsed = datetime.fromisoformat(moment)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    return float(moment)
