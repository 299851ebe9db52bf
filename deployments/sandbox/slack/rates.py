"""How much is too much: per channel, per workspace, and per method's tier.

Lanes and their documented numbers, each replaceable through `/_sandbox/limits`:
`post` a second and channel, `burst` how many at once there, `workspace` posts a minute,
`tier1` … `tier4` and `special` calls a minute, method and workspace. `scale` multiplies all.
Callers are team ids. https://docs.slack.dev/apis/web-api/rate-limits
"""

from __future__ import annotations

import math
import time

from deployments.sandbox.limits import Limits
from deployments.sandbox.slack.errors import too_many

DOCUMENTED: dict[str, float] = {
    "post": 1.0,
    "burst": 3.0,
    "workspace": 600.0,
    "tier1": 1.0,
    "tier2": 20.0,
    "tier3": 50.0,
    "tier4": 100.0,
    "special": 600.0,
    "history": 1.0,
    "scale": 1.0,
}
MINUTE = 60.0


class Pace(Limits):
    """Counts by the moment from which a caller may go on."""

    def clear(self) -> None:
        super().clear()
        self.free_at: dict[tuple[str, str], float] = {}

    def set(self, lane: str, rate: float | None, caller: str | None = None) -> None:
        super().set(lane, rate, caller)
        self.free_at = {}

    def call(self, team: str, method: str, lane: str) -> None:
        """One call of a method; refuses it with 429 where its tier is used up."""
        rate = self._rate(team, lane)
        if rate is not None:
            self._take((team, method), MINUTE / rate, rate)

    def post(self, team: str, channel: str) -> None:
        """One message into a channel."""
        rate, burst = self._rate(team, "post"), self._rate(team, "burst")
        if rate is not None:
            self._take((team, channel), 1 / rate, max(1.0, burst or 1.0))
        rate = self._rate(team, "workspace")
        if rate is not None:
            self._take((team, "chat.postMessage"), MINUTE / rate, rate)

    def _rate(self, team: str, lane: str) -> float | None:
        if not self.rates:
            return DOCUMENTED[lane]
        if self._set(team, "reads", 1.0) is None or self._set(team, "writes", 1.0) is None:
            return None
        rate = self._set(team, lane, DOCUMENTED[lane])
        scale = 1.0 if lane == "burst" else self._set(team, "scale", 1.0)
        return None if rate is None or scale is None else rate * scale

    def _set(self, team: str, lane: str, documented: float) -> float | None:
        return self.rates.get((team, lane), self.rates.get((None, lane), documented))

    def _take(self, key: tuple[str, str], every: float, burst: float) -> None:
        """The generic cell rate algorithm: `burst` at once, then one `every` so many seconds."""
        now = time.monotonic()
        free_at = max(self.free_at.get(key, now), now)
        early = free_at - (burst - 1) * every - now
        if early > 1e-9:
            raise too_many(max(1, math.ceil(early)))
        self.free_at[key] = free_at + every
