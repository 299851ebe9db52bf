"""Samples of what is posted: the newest events of a type, else what the newest records would make, else
a record as it could be. All of exactly the live shape."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from atlvs.db import hook_events
from atlvs.db.core import core_columns
from atlvs.db.engine import database
from atlvs.events import DomainEvent
from atlvs.hooks import RECORDS, payload

Json = dict[str, Any]
MADE_UP: Json = {"uuid": None, "text": "Example", "bigint": 1250, "numeric": 1, "boolean": True}
FIELDS: Json = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "ada@example.com",
    "phone": "+14155550123",
    "currency": "usd",
    "status": "open",
    "time_zone": "Europe/London",
}


async def samples(org_id: UUID, event: str, number: int = 3) -> list[Json]:
    """One to `number` payloads."""
    async with database().org(org_id) as tx:
        found = await hook_events.newest(tx, event, number)
        table = RECORDS[event.partition(".")[0]]
        if not found:
            records = await hook_events.newest_records(tx, table, number)
            found = [_happened(org_id, event, record) for record in records or [_made_up(table)]]
        around = await hook_events.beside(tx, [one["record"] for one in found])
    return [
        payload(**one, org_id=org_id, beside=beside)
        for one, beside in zip(found, around, strict=True)
    ]


def _happened(org_id: UUID, event: str, record: Json) -> Json:
    """The event that a record could have made. Its id is the same each time it is asked for."""
    changed = {"status": "new"} if event == DomainEvent.LEAD_STATUS_CHANGED else {}
    return {
        "id": uuid5(org_id, f"sample {event} {record.get('id')}"),
        "type": event,
        "occurred_at": datetime.now(UTC),
        "record": record,
        "changed": changed,
    }


def _made_up(table: str) -> Json:
    now = datetime.now(UTC).isoformat()
    times = {"timestamptz": now, "date": now[:10]}
    columns = core_columns()[table]
    found = {name: FIELDS.get(name, (MADE_UP | times)[kind]) for name, kind in columns.items()}
    return found | {"id": str(UUID(int=0)), "org_id": str(UUID(int=0))}
