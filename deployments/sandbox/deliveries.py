"""Webhooks on their way out: queued, signed when sent, retried, and misbehaving on demand.

Nothing leaves the machine: a target that is not on loopback is logged and not called.
"""

from __future__ import annotations

import asyncio
import heapq
import ipaddress
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

Sign = Callable[[bytes], dict[str, str]]
IN_FLIGHT = 16
GATHERING = 0.05
TIMEOUT = aiohttp.ClientTimeout(total=20)


@dataclass(slots=True, eq=False)
class Delivery:
    provider: str
    url: str
    kind: str
    key: str
    body: bytes
    sign: Sign
    account: str | None = None
    delivered: Callable[[], None] | None = None
    attempts: int = 0


@dataclass(slots=True)
class Policy:
    """How deliveries misbehave. `duplicate` is how many extra times each one is sent."""

    duplicate: int = 0
    shuffle: bool = False
    delay: float = 0.0
    drop: float = 0.0
    drop_types: list[str] = field(default_factory=list)
    paused: bool = False
    retries: int = 8
    backoff: float = 0.5


class Dispatcher:
    def __init__(self) -> None:
        self.policy = Policy()
        self.waiting: list[tuple[float, int, Delivery]] = []
        self._order = itertools.count()
        self.log: deque[dict[str, Any]] = deque(maxlen=20_000)
        self.rng = random.Random(1)  # noqa: S311  repeatable disorder, not secrets
        self._session: aiohttp.ClientSession | None = None
        self._running: asyncio.Task[None] | None = None
        self._woken: asyncio.Event | None = None
        self._flights: set[asyncio.Task[None]] = set()

    def clear(self) -> None:
        self.policy = Policy()
        self.waiting.clear()
        self.log.clear()
        self.rng.seed(1)

    def set_policy(self, given: dict[str, Any]) -> None:
        unknown = set(given) - set(Policy.__dataclass_fields__)
        if unknown:
            raise ValueError(f"unknown webhook policy: {', '.join(sorted(unknown))}")
        for name, value in given.items():
            setattr(self.policy, name, value)
        self._wake()

    def enqueue(self, delivery: Delivery) -> None:
        if self._dropped(delivery):
            self._note(delivery, "dropped")
            return
        for _ in range(1 + self.policy.duplicate):
            self._wait(delivery, self.policy.delay)
        self._wake()

    async def flush(
        self,
        types: Iterable[str] | None = None,
        duplicate: int = 0,
        shuffle: bool = False,
        account: str | None = None,
    ) -> list[dict[str, Any]]:
        """Send now what waits, each once (and `duplicate` times more); answer with what came."""
        wanted = set(types or ())
        chosen: list[Delivery] = []
        staying: list[tuple[float, int, Delivery]] = []
        for place in sorted(self.waiting):
            each = place[2]
            if (not wanted or each.kind in wanted) and account in (None, each.account):
                chosen.append(each)
            else:
                staying.append(place)
        self.waiting = staying
        sending = [each for each in chosen for _ in range(1 + duplicate)]
        if shuffle:
            self.rng.shuffle(sending)
        return [await self._attempt(each) for each in sending]

    async def close(self) -> None:
        for task in [self._running, *self._flights]:
            if task is not None:
                task.cancel()
        self._running = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _dropped(self, delivery: Delivery) -> bool:
        if delivery.kind in self.policy.drop_types:
            return True
        return self.policy.drop > 0 and self.rng.random() < self.policy.drop

    def _wake(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # filled before the server runs: the first request starts the loop
            return
        if self._running is None or self._running.done():
            self._woken = asyncio.Event()
            self._running = loop.create_task(self._run())
        if self._woken is not None:
            self._woken.set()

    async def _run(self) -> None:
        while True:
            assert self._woken is not None  # noqa: S101  set before this task starts
            self._woken.clear()
            pause = await self._send_due()
            try:
                await asyncio.wait_for(self._woken.wait(), pause)
            except TimeoutError:
                continue

    async def _send_due(self) -> float | None:
        """Start what is due; answer how long until something else is."""
        if self.policy.shuffle and self.waiting:
            await asyncio.sleep(GATHERING)
        for delivery in self._due():
            flight = asyncio.create_task(self._fly(delivery))
            self._flights.add(flight)
            flight.add_done_callback(self._landed)
        if self.policy.paused or not self.waiting or len(self._flights) >= IN_FLIGHT:
            return None
        return max(0.0, self.waiting[0][0] - time.monotonic())

    def _due(self) -> list[Delivery]:
        room = 0 if self.policy.paused else IN_FLIGHT - len(self._flights)
        now = time.monotonic()
        due: list[Delivery] = []
        while self.waiting and self.waiting[0][0] <= now:
            if len(due) >= room and not self.policy.shuffle:
                break
            due.append(heapq.heappop(self.waiting)[2])
        if self.policy.shuffle:
            self.rng.shuffle(due)
        for each in due[room:]:
            self._wait(each, 0.0)
        return due[:room]

    def _wait(self, delivery: Delivery, seconds: float) -> None:
        due = time.monotonic() + seconds
        heapq.heappush(self.waiting, (due, next(self._order), delivery))

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if self._woken is not None:
            self._woken.set()

    async def _fly(self, delivery: Delivery) -> None:
        await self._attempt(delivery)

    async def _attempt(self, delivery: Delivery) -> dict[str, Any]:
        delivery.attempts += 1
        outcome = await self._post(delivery)
        if isinstance(outcome, int) and 200 <= outcome < 300:
            if delivery.delivered is not None:
                delivery.delivered()
        elif outcome != "outside":
            self._retry_later(delivery)
        return self._note(delivery, outcome)

    def _retry_later(self, delivery: Delivery) -> None:
        if delivery.attempts <= self.policy.retries:
            self._wait(delivery, self.policy.backoff * 2 ** (delivery.attempts - 1))
            self._wake()

    async def _post(self, delivery: Delivery) -> int | str:
        if not is_loopback(urlsplit(delivery.url).hostname):
            return "outside"
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        headers = {"content-type": "application/json", **delivery.sign(delivery.body)}
        try:
            async with self._session.post(
                delivery.url, data=delivery.body, headers=headers, allow_redirects=False
            ) as response:
                await response.read()
                return response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__

    def _note(self, delivery: Delivery, outcome: int | str) -> dict[str, Any]:
        entry = {
            "at": time.time(),
            "provider": delivery.provider,
            "account": delivery.account,
            "url": delivery.url,
            "type": delivery.kind,
            "id": delivery.key,
            "attempt": delivery.attempts,
            "status": outcome if isinstance(outcome, int) else None,
            "outcome": outcome if isinstance(outcome, str) else "answered",
        }
        self.log.append(entry)
        return entry


def is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
