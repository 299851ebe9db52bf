"""Thousands of rows at once: COPY into a staging table, then one upsert that leaves equal rows alone.

COPY does not work into tables with row security, so each session has a temporary staging table per
target. What was written stands in the temporary table `changed` until the transaction ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composed, Identifier, Placeholder

from atlvs.db.engine import Transaction
from atlvs.records import Connection, Counts

CHANGED = (
    "create temp table if not exists changed (table_name text, key text, inserted boolean)"
    " on commit delete rows"
)


@dataclass(frozen=True)
class Mirror:
    """A table that holds a provider's objects, and the column with the provider's id."""

    table: str
    key: str
    per_connection: bool = False  # the provider's ids are unique within one account only


async def upsert(
    tx: Transaction, connection: Connection, mirror: Mirror, rows: Sequence[Mapping[str, Any]]
) -> Counts:
    """Write rows (all with the same columns, among them the key, `raw` and `fetched_at`).

    A row is written only when its content differs and what is stored was not fetched later.
    """
    if not rows:
        return Counts()
    # In one order, else two processes that write the same rows wait for each other.
    unique = {row[mirror.key]: row for row in sorted(rows, key=lambda row: row[mirror.key])}
    columns = list(rows[0])
    await tx.execute(CHANGED)
    await _stage(tx, mirror, columns, list(unique.values()))
    await tx.execute(
        _upsert_sql(mirror, columns),
        {"org": connection.org_id, "connection": connection.id, "live": connection.livemode},
    )
    cursor = await tx.execute(
        "select count(*) filter (where inserted) as created, count(*) filter (where not inserted) as updated"
        " from changed where table_name = %s and key = any(%s)"
        if len(unique) < 50
        else "select count(*) filter (where inserted) as created,"
        " count(*) filter (where not inserted) as updated from changed where table_name = %s",
        [mirror.table, list(unique)] if len(unique) < 50 else [mirror.table],
    )
    written = await cursor.fetchone() or {"created": 0, "updated": 0}
    return Counts(
        read=len(rows), unchanged=len(rows) - written["created"] - written["updated"], **written
    )


async def mark_deleted(
    tx: Transaction, mirror: Mirror, keys: Sequence[str], connection: Connection | None = None
) -> int:
    """Tombstones: the rows stay, with the time of their deletion. Returns how many were new.

    An answer that was asked for before is refused from then on, like any older one.
    """
    cursor = await tx.execute(
        SQL(
            "update {table} set deleted_at = clock_timestamp(), fetched_at = clock_timestamp(), updated_at = now()"
            " where {key} = any(%s) and deleted_at is null and (%s::uuid is null or connection_id = %s)"
        ).format(table=Identifier(mirror.table), key=Identifier(mirror.key)),
        [list(keys), *[connection.id if connection else None] * 2],
    )
    return cursor.rowcount


async def _stage(
    tx: Transaction, mirror: Mirror, columns: list[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    stage = Identifier(f"stage_{mirror.table}")
    names = SQL(", ").join(map(Identifier, columns))
    await tx.execute(
        SQL(
            "create temp table if not exists {stage} on commit delete rows"
            " as select {names} from {table} with no data"
        ).format(stage=stage, names=names, table=Identifier(mirror.table))
    )
    async with tx.cursor().copy(
        SQL("copy {stage} ({names}) from stdin").format(stage=stage, names=names)
    ) as copy:
        for row in rows:
            await copy.write_row(tuple(row.values()))


def _upsert_sql(mirror: Mirror, columns: list[str]) -> Composed:
    names = SQL(", ").join(map(Identifier, columns))
    updates = SQL(", ").join(
        SQL("{0} = excluded.{0}").format(Identifier(name)) for name in columns if name != mirror.key
    )
    unique = ["connection_id", mirror.key] if mirror.per_connection else [mirror.key]
    return SQL(
        """
        with written as (
            insert into {table} as stored ({names}, org_id, connection_id, livemode)
            select {names}, {org}, {connection}, {live} from {stage}
            on conflict ({unique}) do update
            set {updates}, deleted_at = null, livemode = excluded.livemode,
                connection_id = excluded.connection_id, updated_at = now()
            where (stored.raw is distinct from excluded.raw or stored.deleted_at is not null)
                and coalesce(stored.fetched_at <= excluded.fetched_at, true)
            returning {key} as key, xmax = 0 as inserted
        )
        insert into changed select {name}, key, inserted from written
        """
    ).format(
        table=Identifier(mirror.table),
        names=names,
        org=Placeholder("org"),
        connection=Placeholder("connection"),
        live=Placeholder("live"),
        stage=Identifier(f"stage_{mirror.table}"),
        key=Identifier(mirror.key),
        unique=SQL(", ").join(map(Identifier, unique)),
        updates=updates,
        name=mirror.table,
    )
