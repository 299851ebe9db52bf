"""Handling the inbox: claim lanes, fetch what they are about, store it, and mark them done.

A provider's task module gives `fetch_changes(connector, events)` and `apply_changes(tx, connection,
changes)`. Fetching happens outside of any transaction; effects and marks are in one.
"""

import asyncio
import contextlib
import importlib
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol
from uuid import UUID

from atlvs.checkpoints import checkpoint
from atlvs.db import connections, inbox
from atlvs.db.engine import Transaction, database
from atlvs.db.inbox import Waiting
from atlvs.errors import IntegrationError, Misconfigured, Rejected, Unauthorized, Unavailable
from atlvs.records import Connection, Counts
from blocks import CONNECTORS
from blocks.base import Connector
from tasks.policy import retrying

log = logging.getLogger(__name__)
AT_ONCE = 16  # lanes fetched at the same time
LANES = 200  # of one claim
TOGETHER = 25  # lanes stored in one transaction


class Changes(Protocol):
    """What a provider fetched; lanes of one transaction are merged."""

    def update(self, other: Any) -> None: ...


class Provider(Protocol):
    """What a provider's task module offers."""

    async def fetch_changes(self, connection: Any, events: Sequence[Waiting]) -> Any: ...

    async def apply_changes(
        self, tx: Transaction, connection: Connection, changes: Any
    ) -> dict[str, Counts]: ...


@dataclass
class Drained:
    """What a drain did: events by outcome, records by stream."""

    handled: int = 0
    ignored: int = 0
    postponed: int = 0
    failed: int = 0
    streams: dict[str, Counts] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    refused: int = 0
    waited: float = 0.0

    @property
    def events(self) -> int:
        """Events that were looked at."""
        return self.handled + self.ignored + self.postponed + self.failed

    def add(self, other: "Drained") -> None:
        """Add what another drain did."""
        self.handled += other.handled
        self.ignored += other.ignored
        self.postponed += other.postponed
        self.failed += other.failed
        self.calls += other.calls
        self.refused += other.refused
        self.waited += other.waited
        self.note(other.streams)
        for reason, number in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + number

    def note(self, counts: dict[str, Counts]) -> None:
        """Add what a transaction did."""
        for stream, found in counts.items():
            self.streams.setdefault(stream, Counts())
            self.streams[stream] += found


@dataclass
class Lane:
    """Claimed events that are handled together, and what was fetched for them."""

    events: list[Waiting]
    changes: Any = None

    @property
    def ids(self) -> list[int]:
        """Their rows."""
        return [event.id for event in self.events]


async def drain(seconds: float = 20.0, begun: asyncio.Event | None = None) -> Drained:
    """Handle what waits, until nothing is due or the time is over. Never raises for one event.

    `begun` is set once there is something to do.
    """
    drained, until = Drained(), monotonic() + seconds
    for slug in (slug for slug, kind in CONNECTORS.items() if kind.receives):
        while monotonic() < until:
            claimed = await inbox.claim(slug, LANES)
            if not claimed:
                break
            if begun:
                begun.set()
            checkpoint("drain.claimed")
            try:
                await _handle_claim(slug, claimed, drained)
            except IntegrationError as error:  # our own database went away
                await _let_go(claimed, error)
                raise
    return drained


async def _handle_claim(slug: str, claimed: list[Waiting], drained: Drained) -> None:
    by_connection: dict[UUID, dict[str, Lane]] = defaultdict(dict)
    for event in claimed:
        lanes = by_connection[event.connection_id]
        lanes.setdefault(event.lane, Lane([])).events.append(event)
    known = {one.id: one for one in await connections.every(slug)}
    for connection_id, lanes in by_connection.items():
        await _handle_connection(slug, known[connection_id], list(lanes.values()), drained)


async def _handle_connection(
    slug: str, connection: Connection, lanes: list[Lane], drained: Drained
) -> None:
    provider: Any = importlib.import_module(f"tasks.{slug}")
    async with AsyncExitStack() as stack:
        try:
            connector = await stack.enter_async_context(CONNECTORS[slug].opened(connection.name))
        except (IntegrationError, Misconfigured) as error:
            await _postpone(lanes, error, drained)
            return
        fetched = await _fetched(provider, connector, lanes, drained)
        for start in range(0, len(fetched), TOGETHER):
            await _store(provider, connector.connection, fetched[start : start + TOGETHER], drained)
        drained.calls += connector.wire.made
        drained.refused += connector.wire.refused
        drained.waited += connector.wire.waited


async def _fetched(
    provider: Provider, connector: Connector, lanes: list[Lane], drained: Drained
) -> list[Lane]:
    """The lanes whose objects could be fetched; the others are given back."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def fetch(lane: Lane) -> bool:
        async with gate:
            with_reason = await _failure(provider.fetch_changes(connector, lane.events))
        if isinstance(with_reason, BaseException):
            await _give_back(lane, with_reason, drained)
            return False
        lane.changes = with_reason
        return True

    results = await asyncio.gather(*map(fetch, lanes))
    checkpoint("drain.fetched")
    return [lane for lane, fine in zip(lanes, results, strict=True) if fine]


async def _store(
    provider: Provider, connection: Connection, lanes: list[Lane], drained: Drained
) -> None:
    """One transaction for all of them; if it fails, one for each, so that only the poisoned fails."""
    failure = await _failure(_store_together(provider, connection, lanes, drained))
    if not isinstance(failure, BaseException):
        return
    if len(lanes) == 1:
        await _give_back(lanes[0], failure, drained)
        return
    for lane in lanes:
        await _store(provider, connection, [lane], drained)


async def _store_together(
    provider: Provider, connection: Connection, lanes: list[Lane], drained: Drained
) -> None:
    known = [lane for lane in lanes if lane.changes is not None]
    ignored = [id for lane in lanes if lane.changes is None for id in lane.ids]
    done = [id for lane in known for id in lane.ids]
    counts: dict[str, Counts] = {}
    async with database().org(
        connection.org_id, source=connection.provider, events_since=connection.created_at
    ) as tx:
        if known:
            merged = type(known[0].changes)()
            for lane in known:
                merged.update(lane.changes)
            counts = await provider.apply_changes(tx, connection, merged)
        checkpoint("drain.in-store")
        await inbox.finish(tx, done)
        await inbox.finish(tx, ignored, "ignored")
    checkpoint("drain.stored")
    drained.note(counts)
    drained.handled += len(done)
    drained.ignored += len(ignored)


async def _failure(work: Any) -> Any:
    """The result, or the exception as a value: one event must not stop the others."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001  # a process edge: recorded with the event
        return error


async def _give_back(lane: Lane, error: BaseException, drained: Drained) -> None:
    if isinstance(error, (Unavailable, Unauthorized, Misconfigured)):
        await _postpone([lane], error, drained)
        return
    reason = (
        str(error) if isinstance(error, IntegrationError) else f"{type(error).__name__}: {error}"
    )
    log.warning(
        "Events %s failed: %s", [event.event_id for event in lane.events], type(error).__name__
    )
    await inbox.fail(
        lane.ids, reason, final=isinstance(error, Rejected) and error.code == "malformed"
    )
    drained.failed += len(lane.ids)
    drained.reasons[type(error).__name__] = drained.reasons.get(type(error).__name__, 0) + 1


async def _let_go(claimed: list[Waiting], error: IntegrationError) -> None:
    """Give back what is not done, so that nobody has to wait for the lease to end."""
    with contextlib.suppress(IntegrationError):
        await retrying()(inbox.postpone, [event.id for event in claimed], str(error), 0.0)


async def _postpone(lanes: list[Lane], error: BaseException, drained: Drained) -> None:
    """Nothing is wrong with these events: the provider or the credential is."""
    if getattr(error, "provider", "") == "database":
        after = 1.0
    else:
        after = 300.0 if isinstance(error, (Unauthorized, Misconfigured)) else 15.0
    told = getattr(error, "retry_after", None)
    ids = [id for lane in lanes for id in lane.ids]
    mend = f" Mend it: atlvs check {error.provider}" if isinstance(error, Unauthorized) else ""
    await inbox.postpone(ids, f"{error}{mend}", max(after, told or 0.0))
    drained.postponed += len(ids)


@asynccontextmanager
async def wakeups(*channels: str) -> AsyncGenerator[asyncio.Event]:
    """An event that is set whenever PostgreSQL tells of new rows; listens again after an outage."""
    told = asyncio.Event()

    async def listen() -> None:
        while True:
            try:
                async for _ in database().notifications(*channels):
                    told.set()
            except Unavailable:
                await asyncio.sleep(1)

    task = asyncio.create_task(listen())
    try:
        yield told
    finally:
        task.cancel()
