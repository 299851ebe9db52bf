"""How far a sync has come: runs, the time ranges still to read, and cursors."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from psycopg.sql import SQL, Identifier

from atlvs.db.bulk import Mirror, mark_deleted
from atlvs.db.engine import Transaction, database
from atlvs.records import Connection, Counts

STALE = timedelta(days=3)  # an interrupted full sync older than this starts afresh
CLOCKS = timedelta(minutes=1)  # that a provider's clock and ours may differ
MOST_MISSING = 0.05  # a larger share of vanished records waits for a person


@dataclass
class Range:
    """A piece of time, half open, of which `until` moves down to `since` as pages are stored."""

    id: UUID
    since: int
    until: int


@dataclass(frozen=True)
class Piece:
    """A piece of time that was read whole, and the ids that were seen in it."""

    since: int
    until: int
    seen: list[str]


@dataclass(frozen=True)
class Sync:
    """One run over everything, possibly resumed."""

    id: UUID
    connection: Connection
    started_at: datetime
    counts: dict[str, Any]
    resumed: bool

    def finished(self, entity: str) -> bool:
        """Whether an earlier life of this run has read the whole entity."""
        return bool(self.counts.get(entity, {}).get("complete"))


async def begin(connection: Connection, kind: str) -> Sync:
    """The interrupted run of this kind, or a new one."""
    async with database().org(connection.org_id) as tx:
        await tx.execute(
            "update integration_syncs set state = 'abandoned', finished_at = now()"
            " where connection_id = %s and kind = %s and state = 'running' and started_at < now() - %s",
            [connection.id, kind, STALE],
        )
        cursor = await tx.execute(
            "insert into integration_syncs (org_id, connection_id, kind) values (%s, %s, %s)"
            " on conflict (connection_id, kind) where state = 'running' do update set note = 'resumed'"
            " returning id, started_at, counts, note",
            [connection.org_id, connection.id, kind],
        )
        row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("insert returned nothing")
    return Sync(row["id"], connection, row["started_at"], row["counts"], row["note"] == "resumed")


def counts_of(sync: Sync, entity: str) -> Counts:
    """What earlier lives of this run did for an entity."""
    stored = sync.counts.get(entity, {})
    return Counts(**{name: value for name, value in stored.items() if name != "complete"})


async def ranges(sync: Sync, entity: str) -> list[Range]:
    """What is left to read of an entity; empty before its first page is stored."""
    async with database().org(sync.connection.org_id) as tx:
        cursor = await tx.execute(
            "select id, extract(epoch from since)::bigint as since, extract(epoch from until)::bigint as until"
            " from integration_sync_ranges where sync_id = %s and entity = %s",
            [sync.id, entity],
        )
        return [Range(**row) for row in await cursor.fetchall()]


async def save_progress(
    tx: Transaction,
    sync: Sync,
    entity: str,
    left: Sequence[Range],
    counts: Counts,
    *,
    complete: bool,
) -> None:
    """What is left after the rows of this transaction, and what was done so far."""
    await tx.execute(
        "delete from integration_sync_ranges where sync_id = %s and entity = %s", [sync.id, entity]
    )
    await tx.execute(
        "insert into integration_sync_ranges (id, org_id, sync_id, entity, since, until)"
        " select id, %s, %s, %s, to_timestamp(since), to_timestamp(until)"
        " from unnest(%s::uuid[], %s::bigint[], %s::bigint[]) as left_over (id, since, until)",
        [
            sync.connection.org_id,
            sync.id,
            entity,
            [one.id for one in left],
            [one.since for one in left],
            [one.until for one in left],
        ],
    )
    await tx.execute(
        "update integration_syncs set counts = counts || %s::jsonb where id = %s",
        [orjson.dumps({entity: asdict(counts) | {"complete": complete}}).decode(), sync.id],
    )


async def note_missing(
    tx: Transaction, sync: Sync, entity: str, mirror: Mirror, pieces: Sequence[Piece]
) -> None:
    """Remember stored records of completely read pieces of time that the provider no longer has."""
    await tx.execute(
        SQL(
            # `offset 0`: piece by piece by the index on time, whatever the planner knows of the table.
            "insert into integration_sync_missing (org_id, sync_id, entity, external_id)"
            " select org_id, %(sync)s, %(entity)s, key"
            " from unnest(%(since)s::bigint[], %(until)s::bigint[]) as piece (since, until)"
            " cross join lateral (select org_id, {key} as key from {table}"
            " where connection_id = %(connection)s and deleted_at is null and fetched_at < %(started)s"
            " and stripe_created_at >= to_timestamp(since) and stripe_created_at < to_timestamp(until) offset 0) as stored"
            " where not exists (select from unnest(%(seen)s::text[]) as seen (id) where id = key)"
            " on conflict do nothing"
        ).format(key=Identifier(mirror.key), table=Identifier(mirror.table)),
        {
            "sync": sync.id,
            "entity": entity,
            "connection": sync.connection.id,
            "started": sync.started_at,
            "since": [one.since for one in pieces],
            "until": [one.until for one in pieces],
            "seen": [key for one in pieces for key in one.seen],
        },
    )


async def missing(sync: Sync, entity: str, mirror: Mirror) -> tuple[list[str], int]:
    """Records that a complete read did not find, and how many are stored in all."""
    async with database().org(sync.connection.org_id) as tx:
        cursor = await tx.execute(
            "select external_id from integration_sync_missing where sync_id = %s and entity = %s",
            [sync.id, entity],
        )
        gone = [row["external_id"] for row in await cursor.fetchall()]
        if not gone:
            return [], 0
        cursor = await tx.execute(
            SQL(
                "select count(*) as stored from {} where connection_id = %s and deleted_at is null"
            ).format(Identifier(mirror.table)),
            [sync.connection.id],
        )
        row = await cursor.fetchone()
    return gone, row["stored"] if row else 0


async def delete_missing(sync: Sync, entity: str, mirror: Mirror, keys: Sequence[str]) -> int:
    """Tombstones for records that a complete read did not find."""
    async with database().org(sync.connection.org_id) as tx:
        await tx.execute(
            "delete from integration_sync_missing where sync_id = %s and entity = %s",
            [sync.id, entity],
        )
        return await mark_deleted(tx, mirror, keys)


async def settle_events(sync: Sync) -> int:
    """Events from before a complete reading began are covered by it; returns how many waited."""
    async with database().org(sync.connection.org_id) as tx:
        cursor = await tx.execute(
            "update integration_inbox set state = 'done', done_at = clock_timestamp(), lease_until = null,"
            " error = 'covered by a full sync' where connection_id = %s and state = 'waiting' and occurred_at < %s",
            [sync.connection.id, sync.started_at - CLOCKS],
        )
        return cursor.rowcount


async def end(sync: Sync, state: str, note: str | None = None) -> None:
    """Close the run: done, or held for a person."""
    async with database().org(sync.connection.org_id) as tx:
        await tx.execute(
            "update integration_syncs set state = %s, note = %s, finished_at = now() where id = %s",
            [state, note, sync.id],
        )


async def read_cursor(connection: Connection, stream: str) -> dict[str, Any] | None:
    """How far a stream was read; None before the first time."""
    async with database().org(connection.org_id) as tx:
        cursor = await tx.execute(
            "select position from integration_cursors where connection_id = %s and stream = %s",
            [connection.id, stream],
        )
        row = await cursor.fetchone()
    return row["position"] if row else None


async def move_cursor(
    tx: Transaction, connection: Connection, stream: str, position: dict[str, Any]
) -> None:
    """Set a cursor in the transaction of the rows it covers."""
    await tx.execute(
        "insert into integration_cursors (org_id, connection_id, stream, position) values (%s, %s, %s, %s)"
        " on conflict (connection_id, stream) do update set position = excluded.position, updated_at = now()",
        [connection.org_id, connection.id, stream, orjson.dumps(position).decode()],
    )


async def recent(limit: int = 20) -> list[dict[str, Any]]:
    """The newest runs of all organizations, for the status page."""
    async with database().system() as tx:
        cursor = await tx.execute(
            "select c.provider, c.name as connection, s.kind, s.state, s.note, s.counts, s.started_at, s.finished_at"
            " from integration_syncs s join integration_connections c on c.id = s.connection_id"
            " order by s.started_at desc limit %s",
            [limit],
        )
        return await cursor.fetchall()
