"""What happens later, at its own moment of the sandbox's clock."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any

from deployments.sandbox.clock import Clock

Act = Callable[..., object]
# So many acts in a row, then the requests that wait.
AT_ONCE = 200


class Agenda:
    """Acts are called with their arguments and the moment at which they were due."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.waiting: list[tuple[float, int, Act, tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._alarm: asyncio.TimerHandle | None = None

    def at(self, due: float, act: Act, *arguments: Any) -> None:
        heapq.heappush(self.waiting, (due, next(self._order), act, arguments))
        if self._alarm is None or self.waiting[0][0] == due:
            self.arm()

    def clear(self) -> None:
        self.waiting.clear()

    def catch_up(self, most: int | None = None) -> None:
        """Do what fell due, and what falls due by doing it."""
        now = self.clock.now()
        while self.waiting and self.waiting[0][0] <= now and most != 0:
            due, _, act, arguments = heapq.heappop(self.waiting)
            act(*arguments, due)
            most = None if most is None else most - 1

    def arm(self) -> None:
        """Wake up in time for the next act; filled before a loop runs, the first request does it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self.waiting:
            pause = self.waiting[0][0] - self.clock.now()
            if pause <= 0 or self.clock.frozen is None:
                self._alarm = loop.call_later(max(pause, 0.0), self._wake)

    def _wake(self) -> None:
        self._alarm = None
        try:
            self.catch_up(AT_ONCE)
        finally:
            self.arm()
