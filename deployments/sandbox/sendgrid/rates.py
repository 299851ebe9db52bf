"""How often one may call: windows, counted down in a header of every answer.

https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/rate-limits
No numbers are published per endpoint: these are what callers report.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from deployments.sandbox.limits import Limits

# Lane: requests in so many seconds.
REPORTED: dict[str, tuple[int, float]] = {
    "sends": (10_000, 1.0),
    "reads": (600, 60.0),
    "writes": (600, 60.0),
}


@dataclass(slots=True)
class Window:
    number: int = -1
    used: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    limit: int
    remaining: int
    reset: int
    allowed: bool = True

    @property
    def headers(self) -> dict[str, str]:
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(self.reset),
        }


class Rates:
    """`limits` replaces the numbers, in requests a second; sends follow writes unless set."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.windows: dict[tuple[str, str], Window] = {}

    def take(self, caller: str, lane: str) -> Quota:
        now = time.time()
        limit, length = self._limit(caller, lane)
        if limit is None:
            return Quota(10_000, 9_999, int(now) + 1)
        number = int(now / length)
        window = self.windows.setdefault((caller, lane), Window())
        if window.number != number:
            window.number, window.used = number, 0
        reset = int(-(-(number + 1) * length // 1))
        if window.used >= limit:
            return Quota(limit, 0, reset, allowed=False)
        window.used += 1
        return Quota(limit, limit - window.used, reset)

    def _limit(self, caller: str, lane: str) -> tuple[int | None, float]:
        rates = self.limits.rates
        places = [(caller, lane), (None, lane)]
        if lane == "sends":
            places += [(caller, "writes"), (None, "writes")]
        for place in places:
            if place in rates:
                rate = rates[place]
                return (None, 1.0) if rate is None else (max(1, int(rate)), max(1.0, 1 / rate))
        return REPORTED[lane]
