"""What falls due later, by the sandbox's clock."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from deployments.sandbox.clock import Clock

Deed = Callable[[], None]


class Agenda:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.order = itertools.count()
        self.due: list[tuple[float, int, Deed]] = []
        self.timer: asyncio.TimerHandle | None = None

    def clear(self) -> None:
        self.due.clear()

    def at(self, moment: float, deed: Deed) -> None:
        """Do it now where the moment has come; what is due first is done first."""
        if moment <= self.clock.now():
            deed()
            return
        heapq.heappush(self.due, (moment, next(self.order), deed))
        self.wake()

    def catch_up(self) -> None:
        while self.due and self.due[0][0] <= self.clock.now():
            heapq.heappop(self.due)[2]()
        self.wake()

    def wake(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if not self.due:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # filled before the server runs: the first request wakes it
            return
        pause = max(0.005, self.due[0][0] - self.clock.now())
        self.timer = loop.call_later(min(pause, 3600.0), self.catch_up)
