"""What posts tell besides the record itself, and what samples are made from."""

import json
from collections.abc import Sequence
from math import isfinite
from typing import Any

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


def opened(row: Json) -> Json:
    """A row of the outbox with `record` and `changed` read."""
    changed = record_in(row["changed"]) if row["changed"] else None
    return row | {"record": record_in(row["record"]), "changed": changed}


def record_in(text: str) -> Json:
    """A record out of the outbox. A number beyond what programs hold, as 1e400, is null."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, parse_int=_number, parse_float=_number)


def _number(text: str) -> float | None:
    found = float(text)
    if not isfinite(found):
        return None
    return int(text) if text.lstrip("-").isdigit() and abs(found) < 2**62 else found


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
            rows = {row["key"]: record_in(row["row"]) for row in await cursor.fetchall()}
        for record, into in zip(records, found, strict=True):
            if column in record:
                into[name] = rows.get(str(record[column]))
    return found


async def newest(tx: Transaction, event: str, number: int) -> list[Json]:
    """The newest events of a type, as the outbox has them: id, type, occurred_at, record, changed."""
    cursor = await tx.execute(
        "select id, type, occurred_at, data::text as record, changed::text as changed from integration_outbox"
        " where org_id = atlvs_org() and type = %s order by seq desc limit %s",
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
