"""Sending what is due on one channel of one organization: claim, mark, call, write down.

Nothing here sends twice: a message whose answer got lost is of unknown outcome until the provider has
been asked (`settling`); what certainly did not leave waits for its next turn.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from atlvs import signing
from atlvs.checkpoints import checkpoint
from atlvs.db import deliveries
from atlvs.db.engine import database
from atlvs.db.marks import Marks
from atlvs.errors import IntegrationError, OutcomeUnknown, Rejected, Unauthorized, Unavailable
from atlvs.notices import notice_type
from atlvs.records import Delivery, Outcome
from atlvs.settings import settings
from tasks.notify.digests import gather
from tasks.notify.journal import Journal
from tasks.notify.lines import open_lines
from tasks.notify.senders import Sender, sender_for

log = logging.getLogger(__name__)
BACKLOG = 8  # claimed messages for each call that may be on its way
MOST_ATTEMPTS = 50
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
        self.until = 0.0
        self.stopped = False

    async def run(self, until: float, most: int, notification: UUID | None) -> None:
        self.until = until
        under_way: set[asyncio.Task[None]] = set()
        enough = self.sender.in_flight * (
            BACKLOG if self.sender.per_call == 1 else self.sender.per_call
        )
        begun, more = 0, True
        try:
            while more and not self._over() and begun < most:
                await gather(self.org_id, self.channel)
                claimed = await deliveries.claim(
                    self.org_id, self.channel, self.lease, min(enough, most - begun), notification
                )
                begun, more = begun + len(claimed), len(claimed) > 0
                under_way |= {
                    asyncio.create_task(self._one(batch)) for batch in self._batches(claimed)
                }
                under_way = await _fewer(under_way, enough // self.sender.per_call // 2)
            await _fewer(under_way, 0)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            await self.journal.close()

    def _over(self) -> bool:
        return self.stopped or monotonic() >= self.until

    def _batches(self, claimed: Sequence[Delivery]) -> list[list[Delivery]]:
        """One call's worth each: of one notification, no address twice."""
        if self.sender.per_call == 1:
            return [[one] for one in claimed]
        by_notification: dict[tuple[UUID, bool], list[Delivery]] = {}
        for one in claimed:
            # an address that digests or fallbacks made twice goes in a call of its own
            by_notification.setdefault((one.notification_id, "items" in one.data), []).append(one)
        size = self.sender.per_call
        return [
            group[start : start + size]
            for group in by_notification.values()
            for start in range(0, len(group), size)
        ]

    async def _one(self, batch: list[Delivery]) -> None:
        """One call, from its turn to what became of it."""
        try:
            await self.sender.turn(self.connector, batch)
        except (IntegrationError, asyncio.CancelledError) as error:
            await self._let_go(batch, getattr(error, "retry_after", None) or 1.0)
            return
        async with self.gate:
            if self._over():
                await self._let_go(batch, 0.0)
                return
            call = uuid4()
            try:
                begun = await self.journal.begin(batch, call)
            except Unavailable as error:  # our database is away: nothing was begun
                self.sent.troubles.add(str(error))
                self.stopped = True
                return
            if not begun:
                await self._let_go(batch, 0.0)
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

    async def _let_go(self, batch: Sequence[Delivery], seconds: float) -> None:
        with suppress(Unavailable):  # else the lease ends with us
            async with database().org(self.org_id) as tx:
                await deliveries.release(tx, self.lease, [one.id for one in batch], seconds)


def _ready(one: Delivery, call: UUID) -> Delivery:
    """With the call that carries it, and the link to the recipient's preferences where there is a choice."""
    if one.channel != "email" or notice_type(one.type).transactional:
        known: dict[str, Any] = vars(one) | {"call_id": call}
        return Delivery(**known)  # `replace` costs twice as much
    link = signing.preferences_url(one.org_id, contact_id=one.contact_id, email=one.address)
    return replace(one, call_id=call, data=one.data | {"preferences_url": link})


async def _fewer(tasks: set[asyncio.Task[None]], most: int) -> set[asyncio.Task[None]]:
    """Wait until no more than `most` are under way; raises what one of them raised."""
    while len(tasks) > most:
        done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    return tasks


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
