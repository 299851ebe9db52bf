"""Posting one subscription's events: claimed in their order, signed, at the target's pace.

At least once: an answer that got lost is posted again, under the same id. What a target does to one
event (a 4xx) is that event's trouble, what it does to the connection is everybody's: then it rests.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import UUID

from atlvs.checkpoints import checkpoint
from atlvs.db import hook_events, hook_health, hook_queue, hooks
from atlvs.db.engine import Transaction, database
from atlvs.db.hook_queue import Claimed, Posted
from atlvs.errors import Unavailable
from atlvs.hooks import GIVEN_UP, HOURS_TRIED
from atlvs.settings import settings
from tasks.triggers.attempts import bodies, post
from tasks.triggers.health import STOPS, Health, heard
from tasks.triggers.trouble import tell_owner

IN_FLIGHT = 32
WORTH_IT = 8  # free places for which the queue is asked again
TOGETHER = 0.1  # seconds in which more answers join one writing: at the pace that saves a third
STUBBORN = 300  # tries to write what became of posts, a second apart
GONE = "its target said 410 Gone"


async def post_due(
    org_id: UUID, hook_id: UUID, lease: UUID, until: float, done: Counter[str]
) -> None:
    """Post what is due of a subscription, until nothing is or the time is over. Counts outcomes in `done`."""
    async with database().org(org_id) as tx:
        row = await hook_queue.take(tx, hook_id, lease)
    if row is None:
        return
    try:
        await _Posting(row, lease, until, done).run()
    finally:
        with suppress(Unavailable):  # else the lease ends with its process
            async with database().org(org_id) as tx:
                await hook_queue.give_back(tx, hook_id, lease)


class _Posting:
    """One run over a subscription's due events."""

    def __init__(self, row: dict[str, Any], lease: UUID, until: float, done: Counter[str]) -> None:
        self.id, self.org_id, self.lease = row["id"], row["org_id"], lease
        self.url, self.keys = hooks.target_in(row), hooks.keys_in(row)
        self.target_hash: bytes = row["target_hash"]
        self.begun: datetime = row["created_at"]
        self.failures: int = row["failures"]
        self.until, self.done = until, done
        self.under_way: set[asyncio.Task[Posted | Claimed]] = set()
        self.finished: list[Posted] = []
        self.unwritable: list[Posted] = []  # written already, and not yet counted
        self.unsent: list[Claimed] = []
        self.halted = False  # an answer said that it rests, or is no more: nothing more goes out
        self.stopped = False  # that is written

    async def run(self) -> None:
        """Until nothing is due, the time is over or the target has to rest."""
        try:
            while True:
                await self._round()
                if not self.under_way:
                    return
                await asyncio.wait(self.under_way, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait(self.under_way, timeout=TOGETHER)
                self._collect()
        finally:
            await self._last_words()

    def _collect(self) -> None:
        ended = {task for task in self.under_way if task.done()}
        self.under_way -= ended
        for came in [task.result() for task in ended]:
            if isinstance(came, Posted):
                self.finished.append(came)
            else:
                self.unsent.append(came)

    async def _last_words(self) -> None:
        """Whatever went wrong here: what is on its way comes back. What has happened has happened: it is
        written when the database is back."""
        self.unwritable = []  # their transaction failed, or they are counted
        if self.under_way:
            await asyncio.wait(self.under_way)
            self._collect()
        for tries in range(STUBBORN, 0, -1):
            if not self.finished:
                return
            try:
                async with database().org(self.org_id) as tx:
                    await self._write(tx)
            except Unavailable:
                if tries == 1:
                    raise
                await asyncio.sleep(1)
            else:
                self._written()

    async def _round(self) -> None:
        """Write what came back, and claim what is next, in one transaction."""
        async with database().org(self.org_id) as tx:
            await self._write(tx)
            claimed, first = await self._claim(tx)
        self._written()
        checkpoint("hooks.written")
        for place, (one, body) in enumerate(claimed):
            at = monotonic() + first + place / settings().hooks_per_second
            self.under_way.add(asyncio.create_task(self._post(one, body, at)))

    async def _write(self, tx: Transaction) -> None:
        await hook_queue.finish(tx, self.finished)
        await hook_queue.put_back(tx, [one.id for one in self.unsent])
        row = await hook_health.found(tx, self.id) if self.finished else None
        if row is None:
            return
        self.keys, self.failures = hooks.keys_in(row), row["failures"]
        # Of a life that is over, or as it was before a person enabled it, nothing is held against it.
        told = [one for one in self.finished if one.claimed_at >= row["updated_at"]]
        if told:
            health = heard(row, told, stopped=self.stopped)
            self.failures = health.failures
            await self._note(tx, health)

    def _written(self) -> None:
        self.done.update(one.outcome for one in (*self.finished, *self.unwritable))
        self.stopped = self.stopped or any(one.outcome in STOPS for one in self.finished)
        self.finished, self.unwritable, self.unsent = [], [], []

    async def _claim(self, tx: Transaction) -> tuple[list[tuple[Claimed, bytes]], float]:
        """Events with their bodies, and the seconds until the first may go."""
        free = (1 if self.failures else IN_FLIGHT) - len(self.under_way)
        enough = 1 if self.failures else WORTH_IT
        if self.halted or monotonic() >= self.until or free < enough:
            return [], 0.0
        pace = settings().hooks_per_second
        claimed = await hook_queue.claim(tx, self.id, self.lease, min(free, max(1, int(pace))))
        if not claimed:
            return [], 0.0
        around = await hook_events.beside(tx, [one.record for one in claimed])
        made, self.unwritable = bodies(claimed, around)
        await hook_queue.finish(tx, self.unwritable)
        return made, await hook_queue.slots(tx, self.target_hash, len(made), pace)

    async def _post(self, one: Claimed, body: bytes, at: float) -> Posted | Claimed:
        """What became of it; the event itself when it is not to be sent any more."""
        await asyncio.sleep(at - monotonic())
        if self.halted:
            return one
        posted = await post(one, str(one.event_id), body, self.url, self.keys)
        self.halted = self.halted or posted.outcome in STOPS
        return posted

    async def _note(self, tx: Transaction, health: Health) -> None:
        await hook_health.note(
            tx,
            self.id,
            failures=health.failures,
            failing_since=health.failing_since,
            rests=health.rests,
            succeeded=health.succeeded,
        )
        if health.recovered:
            await hook_health.hurry(tx, self.id)
        if health.gone:
            await hooks.close(tx, self.id, "gone", GONE, begun=self.begun)
        elif health.failing_since and await self._hopeless(tx, health.failing_since):
            why = f"only failures for days; {health.reason}"
            if await hooks.close(tx, self.id, "disabled", why, begun=self.begun):
                await tell_owner(tx, self.org_id, self.id, str(health.reason))

    async def _hopeless(self, tx: Transaction, since: datetime) -> bool:
        """Whether nothing arrived for days, in which it was tried often enough."""
        if datetime.now(UTC) - since <= GIVEN_UP:
            return False
        return await hook_health.hours_tried(tx, self.id, since) >= HOURS_TRIED
