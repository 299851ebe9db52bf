"""Sending what is due on one channel of one organization: claim, mark, call, write down.

Nothing here sends twice: a message whose answer got lost is of unknown outcome until the provider has
been asked (`settling`); what certainly did not leave waits for its next turn.
"""

import asyncio
import gc
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import orjson

from atlvs import signing
from atlvs.checkpoints import checkpoint
from atlvs.db import deliveries
from atlvs.db.engine import database
from atlvs.db.marks import Marks
from atlvs.errors import IntegrationError, OutcomeUnknown, Rejected, Unauthorized, Unavailable
from atlvs.notices import ITEMS, notice_type
from atlvs.records import Delivery, Outcome
from atlvs.settings import settings
from blocks.wire import patience
from tasks.notify.digests import gather
from tasks.notify.journal import Journal
from tasks.notify.lines import open_lines
from tasks.notify.senders import Sender, sender_for

log = logging.getLogger(__name__)
BACKLOG = 12  # claimed messages for each call that may be on its way
MOST_ATTEMPTS = 50
GATHERED = 1.0  # seconds until digests are gathered again
GO_ON = 2.0  # seconds that the next turn may be away
RECONNECT = 300.0  # seconds until a refused credential is tried again


@dataclass
class Sent:
    """What a sending did: deliveries by the state that they came to, and the connection's calls."""

    states: Counter[str] = field(default_factory=Counter[str])
    calls: int = 0
    refused: int = 0
    waited: float = 0.0
    troubles: set[str] = field(default_factory=set[str])

    def add(self, other: "Sent") -> None:
        """Add what another sending did."""
        self.states += other.states
        self.calls += other.calls
        self.refused += other.refused
        self.waited += other.waited
        self.troubles |= other.troubles


async def send_due(
    org_id: UUID,
    channel: str,
    lease: UUID,
    *,
    seconds: float,
    most: int = 1_000_000,
    notification: UUID | None = None,
) -> Sent:
    """Send what is due, until nothing is, the time is over, or `most` were begun."""
    _settle_down()
    sent = Sent()
    async with open_lines(org_id, [channel]) as lines:
        if channel in lines.closed:
            sent.troubles.add(f"{channel}: {lines.closed[channel]}")
            return sent
        connector = lines.connectors[channel]
        sending = _Sending(org_id, channel, lease, connector, sender_for(channel), sent)
        await sending.run(monotonic() + seconds, most, notification)
        sent.calls += connector.wire.made
        sent.refused += connector.wire.refused
        sent.waited += connector.wire.waited
    return sent


@cache
def _settle_down() -> None:
    """Prefect and the SDKs are some hundred thousand objects that stay: looking them through for garbage
    again and again would take a tenth of a sending's time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


class _Sending:
    """One run over a channel's due deliveries."""

    def __init__(
        self, org_id: UUID, channel: str, lease: UUID, connector: Any, sender: Sender, sent: Sent
    ) -> None:
        self.org_id, self.channel, self.lease = org_id, channel, lease
        self.connector, self.sender, self.sent = connector, sender, sent
        marks = Marks(org_id, connector.connection.id, lease)
        self.journal = Journal(marks)
        self.gate = asyncio.Semaphore(sender.in_flight)
        alone = sender.per_call == 1
        self.at_once = sender.in_flight * BACKLOG if alone else sender.per_call
        self.low = self.at_once // 2 if alone else sender.in_flight - 1
        self.until = self.gather_at = 0.0
        self.stopped = False
        self.under_way: set[asyncio.Task[None]] = set()
        self.few, self.fewer = 0, asyncio.Event()
        self.error: BaseException | None = None
        self.back: dict[int, list[UUID]] = {}  # until when it waits → what is given back
        self.held_up = 0  # whose turn comes too late for us

    async def run(self, until: float, most: int, notification: UUID | None) -> None:
        self.until = until
        begun, more = 0, True
        try:
            while more and not self._over() and begun < most and self.held_up < self.at_once:
                claimed = await self._claim(min(self.at_once, most - begun), notification)
                begun, more = begun + len(claimed), len(claimed) > 0
                self._start(claimed)
                await self._fewer(self.low)
            await self._fewer(0)
        finally:
            await self._cancel()
            await self.journal.close()
            await self._give_back(more and begun < most)

    async def _claim(self, most: int, notification: UUID | None) -> list[Delivery]:
        """What is due; digests only when they have been gathered, which is not worth it every time."""
        now, org_id, channel = monotonic(), self.org_id, self.channel
        if now < self.gather_at:
            claimed = await deliveries.claim(org_id, channel, self.lease, most, notification, False)
            if claimed:
                return claimed
        await gather(org_id, channel)
        self.gather_at = now + GATHERED
        return await deliveries.claim(org_id, channel, self.lease, most, notification)

    def _start(self, claimed: Sequence[Delivery]) -> None:
        # A turn that comes after our time is the next sending's: others are not to wait for it.
        token = patience.set(max(0.0, min(patience.get(), self.until - monotonic())))
        for batch in self._batches(claimed):
            task = asyncio.create_task(self._one(batch))
            self.under_way.add(task)
            task.add_done_callback(self._ended)
        patience.reset(token)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.under_way.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.error = error
        if len(self.under_way) <= self.few or self.error:
            self.fewer.set()

    async def _fewer(self, few: int) -> None:
        """Wait until no more than `few` are under way; raises what one of them raised."""
        self.few = few
        while len(self.under_way) > few and not self.error:
            self.fewer.clear()
            await self.fewer.wait()
        if self.error:
            raise self.error

    async def _cancel(self) -> None:
        ending = list(self.under_way)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def _over(self) -> bool:
        return self.stopped or monotonic() >= self.until

    def _batches(self, claimed: Sequence[Delivery]) -> list[list[Delivery]]:
        """One call's worth each: of one notification, no address twice, template and files the same."""
        if self.sender.per_call == 1:
            return [[one] for one in claimed]
        alike: dict[tuple[UUID, bool, str, bytes], list[Delivery]] = {}
        known: dict[int, bytes] = {}
        for one in claimed:
            # an address that digests or fallbacks made twice goes in a call of its own
            key = one.notification_id, ITEMS in one.data, str(one.data.get("template_id", ""))
            alike.setdefault((*key, _files(one, known)), []).append(one)
        size = self.sender.per_call
        return [
            group[start : start + size]
            for group in alike.values()
            for start in range(0, len(group), size)
        ]

    async def _one(self, batch: list[Delivery]) -> None:
        """One call, from its turn to what became of it."""
        try:
            await self.sender.turn(self.connector, batch)
        except (IntegrationError, asyncio.CancelledError) as error:
            self.held_up += len(batch)
            self._let_go(batch, getattr(error, "retry_after", None) or 1.0)
            return
        async with self.gate:
            if self._over():
                self._let_go(batch, 0.0)
                return
            call = uuid4()
            try:
                begun = await self.journal.begin(batch, call)
            except Unavailable as error:  # our database is away: nothing was begun
                self.sent.troubles.add(str(error))
                self.stopped = True
                return
            if not begun:
                self._let_go(batch, 0.0)
                return
            checkpoint("notify.begun")
            outcomes = await self._called([_ready(one, call) for one in begun])
            checkpoint("notify.answered")
        await self.journal.finish(outcomes)
        self.sent.states.update(outcome.state for outcome in outcomes)

    async def _called(self, batch: Sequence[Delivery]) -> list[Outcome]:
        try:
            return await self.sender.send(self.connector, batch)
        except Exception as error:  # noqa: BLE001  # the edge of the fan-out: each failure is recorded
            if not isinstance(error, IntegrationError):
                log.warning("A message could not be sent: %s", type(error).__name__, exc_info=True)
            return [self._failed(one, error) for one in batch]

    def _failed(self, one: Delivery, error: Exception) -> Outcome:
        if one.attempts + 1 >= MOST_ATTEMPTS and not isinstance(error, OutcomeUnknown):
            return Outcome(one.id, "failed", code="given_up", reason=str(error))
        match error:
            case Unavailable():
                wait = error.retry_after or float(2 ** min(one.attempts + 1, 8))
                return Outcome(
                    one.id, "queued", code=error.code, reason=str(error), retry_after=wait
                )
            case Unauthorized():
                self.stopped = True
                self.sent.troubles.add(f"{error} Mend it: atlvs check {error.provider}")
                return Outcome(one.id, "queued", reason=str(error), retry_after=RECONNECT)
            case Rejected():
                return Outcome(one.id, "failed", code=error.code, reason=error.message)
            case _:
                wait = settings().settle_seconds
                code = getattr(error, "code", None) or type(error).__name__
                return Outcome(one.id, "unknown", code=code, reason=str(error), retry_after=wait)

    def _let_go(self, batch: Sequence[Delivery], seconds: float) -> None:
        self.back.setdefault(math.ceil(monotonic() + seconds), []).extend(one.id for one in batch)

    async def _give_back(self, more: bool) -> None:
        """What was claimed and not begun; the drainer is to go on at once where it can."""
        now = monotonic()
        again = (more or bool(self.back)) and not self.stopped
        again = again and min(self.back, default=now) < now + GO_ON
        if not (self.back or again):
            return
        with suppress(Unavailable):  # else the lease ends with us
            async with database().org(self.org_id) as tx:
                for at, ids in self.back.items():
                    await deliveries.release(tx, self.lease, ids, max(0.0, at - now))
                if again:
                    await deliveries.wake(tx)


def _files(one: Delivery, known: dict[int, bytes]) -> bytes:
    """Which files go along, by what is in them. `known`: of lists that were looked at before."""
    files = one.data.get("attachments")
    if not files:
        return b""
    if id(files) not in known:
        known[id(files)] = sha256(orjson.dumps(files, option=orjson.OPT_SORT_KEYS)).digest()
    return known[id(files)]


def _ready(one: Delivery, call: UUID) -> Delivery:
    """With the call that carries it, and the link to the recipient's preferences where there is a choice."""
    if one.channel != "email" or notice_type(one.type).transactional:
        known: dict[str, Any] = vars(one) | {"call_id": call}
        return Delivery(**known)  # `replace` costs twice as much
    link = signing.preferences_url(one.org_id, contact_id=one.contact_id, email=one.address)
    return replace(one, call_id=call, data=one.data | {"preferences_url": link})


async def chunks(
    org_id: UUID, channel: str, lease: UUID, notification: UUID
) -> AsyncIterator[Sent]:
    """Send one notification's deliveries on a channel, some thousands at a time."""
    while True:
        sent = await send_due(
            org_id, channel, lease, seconds=60, most=5_000, notification=notification
        )
        yield sent
        if not sent.states or sent.troubles:
            return
