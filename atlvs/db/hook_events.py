"""What posts tell besides the record itself, and what samples are made from."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from atlvs.db import platform
from atlvs.db.engine import Transaction

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


async def beside(tx: Transaction, records: Sequence[Json]) -> list[Json]:
    """For each record the rows it points to: `contact`, `event`; null where there is none."""
    known = await platform.writable(tx)
    found: list[Json] = [{} for _ in records]
    for column, (name, table, columns) in BESIDE.items():
        ids = {str(record[column]) for record in records if record.get(column)}
        rows: dict[str, Json] = {}
        if ids and table in known:
            cursor = await tx.execute(
                f"select id::text as key, to_jsonb(t)::text as row from (select {', '.join(columns)} from {table}"
                " where id = any(%s::uuid[])) as t".encode(),
                [sorted(ids)],
            )
            rows = {row["key"]: orjson.loads(row["row"]) for row in await cursor.fetchall()}
        for record, into in zip(records, found, strict=True):
            if column in record:
                into[name] = rows.get(str(record[column]))
    return found


async def newest(tx: Transaction, event: str, number: int) -> list[Json]:
    """The newest events of a type, as the outbox has them: id, type, occurred_at, record, changed."""
    cursor = await tx.execute(
        "select id, type, occurred_at, data::text as record, changed from integration_outbox"
        " where org_id = atlvs_org() and type = %s order by seq desc limit %s",
        [event, number],
    )
    rows = await cursor.fetchall()
    return [row | {"record": orjson.loads(row["record"])} for row in rows]


async def newest_records(tx: Transaction, table: str, number: int) -> list[Json]:
    """The newest records of a core table, in the shape that the outbox would have them."""
    if table not in await platform.writable(tx):
        return []
    cursor = await tx.execute(
        f"select to_jsonb(t)::text as record from {table} as t order by created_at desc limit %s".encode(),
        [number],
    )
    return [orjson.loads(row["record"]) for row in await cursor.fetchall()]


async def event_ids(tx: Transaction, ids: Sequence[UUID]) -> list[UUID]:
    """Which of these events there are."""
    cursor = await tx.execute("select id from integration_outbox where id = any(%s)", [list(ids)])
    return [row["id"] for row in await cursor.fetchall()]
