"""How many requests a second a caller may make: buckets that refill in real time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bucket:
    rate: float
    tokens: float
    at: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        now = time.monotonic()
        self.tokens = min(self.rate, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Limits:
    """Requests a second by caller and lane ("reads", "writes", "search").

    `rates` replaces a provider's documented numbers, for one caller or for all (None).
    A rate of None means without limit.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.rates: dict[tuple[str | None, str], float | None] = {}
        self.buckets: dict[tuple[str, str], Bucket] = {}

    def set(self, lane: str, rate: float | None, caller: str | None = None) -> None:
        self.rates[caller, lane] = rate
        self.buckets = {}

    def allows(self, caller: str, lane: str, documented: float) -> bool:
        rate = self.rates.get((caller, lane), self.rates.get((None, lane), documented))
        if rate is None:
            return True
        bucket = self.buckets.get((caller, lane))
        if bucket is None:
            bucket = self.buckets[caller, lane] = Bucket(rate, rate)
        return bucket.take()
