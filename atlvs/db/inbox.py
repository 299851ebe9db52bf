"""The inbox: verified hints from providers, durable before they are acknowledged.

waiting → done | ignored | dead. A claim leases whole lanes, so that events about one object are
handled together; a lane that fails waits longer each time and holds up nobody else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import DataError

from atlvs.db.engine import Transaction, database
from atlvs.errors import Rejected
from atlvs.records import Connection, ProviderEvent

LEASE_SECONDS = 120
MOST_ATTEMPTS = 8  # 2, 4, … 256 s between them: about nine minutes, then a dead letter
CLAIMS = 0x494E4258  # the advisory lock under which lanes are claimed, one claimant at a time


@dataclass(frozen=True)
class Waiting:
    """One claimed event."""

    id: int
    org_id: UUID
    connection_id: UUID
    event_id: str
    type: str
    lane: str
    payload: dict[str, Any]
    attempts: int
    received_at: datetime


async def store(arrivals: Sequence[tuple[Connection, ProviderEvent]]) -> int:
    """Commit verified events of any organizations at once; returns how many were new.

    Rejected, and nothing stored, when PostgreSQL cannot hold one of them (a NUL character, …).
    """
    try:
        async with database().system() as tx:
            return await insert(tx, arrivals)
    except (DataError, orjson.JSONEncodeError) as error:
        raise Rejected("database", "the event cannot be stored.", code="unstorable") from error


async def insert(tx: Transaction, arrivals: Sequence[tuple[Connection, ProviderEvent]]) -> int:
    """The same in the caller's transaction, for events that a sweep found."""
    cursor = await tx.execute(
        "insert into integration_inbox"
        " (org_id, connection_id, provider, event_id, type, lane, payload, occurred_at)"
        " select * from unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[],"
        " %s::text[], %s::jsonb[], %s::timestamptz[])"
        " on conflict (connection_id, event_id) do nothing",
        _columns(arrivals),
    )
    return cursor.rowcount


def _columns(arrivals: Sequence[tuple[Connection, ProviderEvent]]) -> list[list[Any]]:
    # In one order, else two processes that store the same events wait for each other.
    ordered = sorted(arrivals, key=lambda arrival: (arrival[0].id, arrival[1].id))
    return [
        [connection.org_id for connection, _ in ordered],
        [connection.id for connection, _ in ordered],
        [connection.provider for connection, _ in ordered],
        [event.id for _, event in ordered],
        [event.type for _, event in ordered],
        [event.lane for _, event in ordered],
        [orjson.dumps(event.payload).decode() for _, event in ordered],
        [event.occurred_at for _, event in ordered],
    ]


async def claim(provider: str, most: int = 500) -> list[Waiting]:
    """Lease all due events of up to `most` lanes that nobody else holds."""
    async with database().system() as tx:
        await tx.execute("select pg_advisory_xact_lock(%s)", [CLAIMS])
        cursor = await tx.execute(
            """
            with due as (
                select distinct connection_id, lane from (
                    select connection_id, lane from integration_inbox
                    where state = 'waiting' and provider = %(provider)s and due_at <= now()
                    and (lease_until is null or lease_until < now())
                    order by due_at, id limit %(most)s
                ) as first
            ), free as (
                select * from due where not exists (
                    select from integration_inbox as held where held.state = 'waiting'
                    and (held.connection_id, held.lane) = (due.connection_id, due.lane)
                    and (held.lease_until >= now() or held.due_at > now() and held.attempts > 0))
            )
            update integration_inbox as event
            set lease_until = now() + %(lease)s * interval '1 second', attempts = attempts + 1
            from free where event.state = 'waiting'
            and (event.connection_id, event.lane) = (free.connection_id, free.lane)
            returning event.id, event.org_id, event.connection_id, event.event_id, event.type, event.lane,
                event.payload, event.attempts, event.received_at
            """,
            {"provider": provider, "most": most, "lease": LEASE_SECONDS},
        )
        return sorted(
            (Waiting(**row) for row in await cursor.fetchall()), key=lambda event: event.id
        )


async def finish(tx: Transaction, ids: Sequence[int], state: str = "done") -> None:
    """Mark events handled, in the transaction of their effects."""
    await tx.execute(
        "update integration_inbox set state = %s, done_at = clock_timestamp(), lease_until = null, error = null"
        " where id = any(%s)",
        [state, list(ids)],
    )


async def fail(
    ids: Sequence[int], reason: str, *, final: bool = False, after: float | None = None
) -> None:
    """Give events back for a later try, or make them dead letters after the last one."""
    async with database().system() as tx:
        await tx.execute(
            "update integration_inbox set lease_until = null, error = %(reason)s,"
            " state = case when %(final)s or attempts >= %(most)s then 'dead' else 'waiting' end,"
            " due_at = now() + coalesce(%(after)s, power(2, least(attempts, 9))) * interval '1 second'"
            " where id = any(%(ids)s) and state = 'waiting'",
            {
                "ids": list(ids),
                "reason": reason[:500],
                "final": final,
                "most": MOST_ATTEMPTS,
                "after": after,
            },
        )


async def postpone(ids: Sequence[int], reason: str, seconds: float) -> None:
    """Give events back without counting the try: nothing is wrong with them."""
    async with database().system() as tx:
        await tx.execute(
            "update integration_inbox set lease_until = null, attempts = greatest(attempts - 1, 0),"
            " error = %s, due_at = now() + %s * interval '1 second' where id = any(%s) and state = 'waiting'",
            [reason[:500], seconds, list(ids)],
        )


@dataclass(frozen=True)
class Selection:
    """Which events: all conditions that are given must hold."""

    provider: str | None = None
    connection: str | None = None
    ids: tuple[str, ...] = ()
    type: str | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def sql(self) -> tuple[str, dict[str, Any]]:
        """A condition with its parameters."""
        parts = {
            "provider": "provider = %(provider)s",
            "connection": "connection_id in (select id from integration_connections where name = %(connection)s)",
            "ids": "event_id = any(%(ids)s)",
            "type": "type = %(type)s",
            "state": "state = %(state)s",
            "since": "received_at >= %(since)s",
            "until": "received_at < %(until)s",
        }
        given = {name: getattr(self, name) for name in parts if getattr(self, name)}
        if "ids" in given:
            given["ids"] = list(self.ids)
        return " and ".join(parts[name] for name in given) or "true", given


async def read(selection: Selection, limit: int = 50) -> list[dict[str, Any]]:
    """Events with everything but their payload, newest first."""
    condition, given = selection.sql()
    async with database().system() as tx:
        cursor = await tx.execute(
            "select id, provider, event_id, type, lane, state, attempts, error, occurred_at, received_at, done_at"
            f" from integration_inbox where {condition} order by id desc limit %(limit)s".encode(),
            given | {"limit": limit},
        )
        return await cursor.fetchall()


async def show(event_id: str) -> dict[str, Any] | None:
    """One event, whole."""
    async with database().system() as tx:
        cursor = await tx.execute("select * from integration_inbox where event_id = %s", [event_id])
        return await cursor.fetchone()


async def replay(selection: Selection) -> int:
    """Let events be handled again; returns how many."""
    condition, given = selection.sql()
    async with database().system() as tx:
        cursor = await tx.execute(
            "update integration_inbox set state = 'waiting', attempts = 0, due_at = now(), lease_until = null,"
            f" done_at = null where {condition}".encode(),
            given,
        )
        await tx.execute("select pg_notify('integration_inbox', '')")
        return cursor.rowcount


async def backlog() -> dict[str, Any]:
    """How many wait, how many are dead, and since when the oldest waits."""
    async with database().system() as tx:
        cursor = await tx.execute(
            "select count(*) filter (where state = 'waiting') as waiting,"
            " count(*) filter (where state = 'dead') as dead,"
            " min(received_at) filter (where state = 'waiting') as oldest"
            " from integration_inbox where state in ('waiting', 'dead')"
        )
        return await cursor.fetchone() or {}
