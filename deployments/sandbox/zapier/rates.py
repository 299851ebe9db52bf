"""How much a hook target takes: 30 a second, and 10,000 in five minutes.

Lanes, each replaceable through `/_sandbox/limits` for one target's path or for all: `second`,
`window` (in five minutes); `scale` multiplies both; `off` ends them.
https://docs.zapier.com/platform/reference/rate-limits
"""

from __future__ import annotations

import math
import time

from deployments.sandbox.limits import Limits

DOCUMENTED = {"second": 30.0, "window": 10_000.0, "scale": 1.0, "reads": 1.0, "writes": 1.0}
SECONDS = {"second": 1.0, "window": 300.0}


class Pace(Limits):
    """Counts by the moment from which a target takes more."""

    def clear(self) -> None:
        super().clear()
        self.free_at: dict[tuple[str, str], float] = {}

    def set(self, lane: str, rate: float | None, caller: str | None = None) -> None:
        if lane not in DOCUMENTED and lane != "search":
            raise ValueError(f"no lane {lane!r}; there are: {', '.join(SECONDS)}, scale")
        super().set(lane, rate, caller)
        self.free_at = {}

    def wait(self, target: str) -> int:
        """Take one post, or say how many seconds too early it came."""
        if self._rate(target, "writes") is None:
            return 0
        scale = self._rate(target, "scale")
        lanes = [(lane, self._rate(target, lane)) for lane in SECONDS]
        limits = [(lane, rate * scale) for lane, rate in lanes if rate and scale]
        now = time.monotonic()
        early = max((self._early(target, lane, rate, now) for lane, rate in limits), default=0.0)
        if early > 1e-9:
            return max(1, math.ceil(early))
        for lane, rate in limits:
            free_at = max(self.free_at.get((target, lane), now), now)
            self.free_at[target, lane] = free_at + SECONDS[lane] / rate
        return 0

    def _rate(self, target: str, lane: str) -> float | None:
        documented = DOCUMENTED[lane]
        return self.rates.get((target, lane), self.rates.get((None, lane), documented))

    def _early(self, target: str, lane: str, rate: float, now: float) -> float:
        """The generic cell rate algorithm: a whole lane's worth at once, then one by one."""
        every = SECONDS[lane] / rate
        burst = max(1.0, rate)
        return self.free_at.get((target, lane), now) - (burst - 1) * every - now
