"""Group commit: requests wait together, one insert makes them durable, then each is answered."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from atlvs.db import inbox
from atlvs.errors import Unavailable
from atlvs.records import Connection, ProviderEvent
from deployments.web.metrics import BATCH_SIZES, STORED

logger = logging.getLogger(__name__)

Row = tuple[Connection, ProviderEvent]
Store = Callable[[Sequence[Row]], Awaitable[int]]

MOST_ROWS = 500  # in one commit
IN_FLIGHT = 2  # commits at a time
PATIENCE = 8.0  # seconds that a request waits at most; providers give up after ten or more
ATTEMPTS = 3  # a restarted server leaves a few dead connections in the pool
MOST_WAITING = 10_000  # requests
MOST_BYTES = 100_000_000  # of their bodies


@dataclass(eq=False, slots=True)
class Arrival:
    """One request's events, and its answer to come."""

    rows: list[Row]
    size: int
    durable: asyncio.Future[None]
    at: float = field(default_factory=monotonic)

    def settle(self, error: Exception | None = None) -> None:
        """Let the request be answered; the first verdict counts."""
        if self.durable.done():
            return
        if error is None:
            self.durable.set_result(None)
        else:
            self.durable.set_exception(error)


class GroupCommit:
    """Two committers over one bounded queue."""

    def __init__(self, store: Store = inbox.store) -> None:
        self._store = store
        self._waiting: deque[Arrival] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._flying: set[Arrival] = set()
        self._work: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to commit, in the running event loop."""
        loops = [self._commit_forever() for _ in range(IN_FLIGHT)]
        self._work = [asyncio.create_task(loop) for loop in (*loops, self._expire_forever())]

    async def close(self) -> None:
        """Commit what waits, then stop. Bounded, as every arrival's time is."""
        while self._waiting or self._flying:
            await asyncio.sleep(0.02)
        for work in self._work:
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def stored(self, rows: list[Row], size: int) -> asyncio.Future[None]:
        """Done when the events are durable; fails with Unavailable, or Rejected for good."""
        if len(self._waiting) >= MOST_WAITING or self._bytes + size > MOST_BYTES:
            raise Unavailable("inbox", "too many webhooks wait to be stored.", retry_after=10)
        arrival = Arrival(rows, size, asyncio.get_running_loop().create_future())
        self._waiting.append(arrival)
        self._bytes += size
        self._arrived.set()
        return arrival.durable

    async def _commit_forever(self) -> None:
        while True:
            await self._arrived.wait()
            batch = self._next_batch()
            self._flying.update(batch)
            await self._commit(batch)
            self._flying.difference_update(batch)

    def _next_batch(self) -> list[Arrival]:
        batch: list[Arrival] = []
        rows = 0
        while self._waiting and rows < MOST_ROWS:
            arrival = self._waiting.popleft()
            self._bytes -= arrival.size
            rows += len(arrival.rows)
            batch.append(arrival)
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _commit(self, batch: list[Arrival]) -> None:
        try:
            await self._durably([row for arrival in batch for row in arrival.rows])
        except (Unavailable, TimeoutError):
            away = Unavailable("inbox", "the database is away.", retry_after=5)
            for arrival in batch:
                arrival.settle(away)
        except Exception:  # noqa: BLE001  # a poisoned row fails alone, whatever its poison
            for arrival in batch:
                arrival.settle(await self._one_by_one(arrival.rows))
        else:
            for arrival in batch:
                arrival.settle()

    async def _durably(self, rows: list[Row]) -> None:
        async with asyncio.timeout(PATIENCE):
            for left in reversed(range(ATTEMPTS)):
                try:
                    new = await self._store(rows)
                except Unavailable:
                    if not left:
                        raise
                else:
                    BATCH_SIZES.observe(len(rows))
                    STORED.inc(new)
                    return

    async def _one_by_one(self, rows: list[Row]) -> Exception | None:
        """Keep each row that can be kept; the last error of the others."""
        failed: Exception | None = None
        for row in rows:
            try:
                await self._durably([row])
            except TimeoutError:
                failed = Unavailable("inbox", "the database is away.", retry_after=5)
            except Exception as error:  # noqa: BLE001  # the receiver tells it, and logs it if new
                failed = error
        return failed

    async def _expire_forever(self) -> None:
        """Answer those that waited too long, however stuck the database is. They are sent again."""
        while True:
            await asyncio.sleep(0.5)
            late = monotonic() - PATIENCE
            for arrival in [*self._flying, *self._waiting]:
                if arrival.at < late:
                    arrival.settle(Unavailable("inbox", "storing took too long.", retry_after=5))
            while self._waiting and self._waiting[0].durable.done():
                self._bytes -= self._waiting.popleft().size
