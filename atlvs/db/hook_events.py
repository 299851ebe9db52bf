"""What posts tell besides the record itself, and what samples are made from."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from atlvs.db import platform
from atlvs.db.engine import Transaction
from atlvs.db.foreign import record_in
from atlvs.hooks import RECORDS

Json = dict[str, Any]
# column of a record → the name of the object beside it, its table and columns
BESIDE = {
    "contact_id": ("contact", "contacts", ("id", "first_name", "last_name", "email", "phone")),
    "event_id": (
        "event",
        "events",
        ("id", "name", "location", "starts_at", "ends_at", "time_zone"),
    ),
}


# Hooks hear of our own records: a Stripe invoice is another record, in another shape, and the one of ours
# that it belongs to is told when it is paid.
HEARD = f"o.record_type in ({', '.join(map(repr, RECORDS.values()))})"


def opened(row: Json) -> Json:
    """A row of the outbox with `record` and `changed` read."""
    changed = record_in(row["changed"]) if row["changed"] else None
    return row | {"record": record_in(row["record"]), "changed": changed}


async def beside(tx: Transaction, records: Sequence[Json]) -> list[Json]:
    """For each record the rows it points to: `contact`, `event`; null where there is none."""
    known = await platform.writable(tx)
    found: list[Json] = [{} for _ in records]
    for column, (name, table, columns) in BESIDE.items():
        ids = {id for record in records if (id := _id(record.get(column)))}
        rows: dict[str, Json] = {}
        if ids and table in known:
            cursor = await tx.execute(
                f"select id::text as key, to_jsonb(t)::text as row from (select {', '.join(columns)} from {table}"
                " where id = any(%s::uuid[])) as t".encode(),
                [sorted(ids)],
            )
            rows = {row["key"]: record_in(row["row"]) for row in await cursor.fetchall()}
        for record, into in zip(records, found, strict=True):
            if column in record:
                into[name] = rows.get(_id(record[column]) or "")
    return found


def _id(value: Any) -> str | None:
    """An id as PostgreSQL writes it; None where a column of the platform's holds none."""
    try:
        return str(UUID(value))
    except (AttributeError, TypeError, ValueError):
        return None


async def newest(tx: Transaction, event: str, number: int) -> list[Json]:
    """The newest events of a type, as the outbox has them: id, type, occurred_at, record, changed."""
    cursor = await tx.execute(
        "select id, type, occurred_at, data::text as record, changed::text as changed from integration_outbox as o"
        f" where org_id = atlvs_org() and type = %s and {HEARD} order by seq desc limit %s".encode(),
        [event, number],
    )
    return [opened(row) for row in await cursor.fetchall()]


async def newest_records(tx: Transaction, table: str, number: int) -> list[Json]:
    """The newest records of a core table, in the shape that the outbox would have them."""
    if table not in await platform.writable(tx):
        return []
    cursor = await tx.execute(
        f"select to_jsonb(t)::text as record from {table} as t order by created_at desc limit %s".encode(),
        [number],
    )
    return [record_in(row["record"]) for row in await cursor.fetchall()]
