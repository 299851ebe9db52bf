"""What notifications are about: names and variables around records of the platform."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from atlvs.db import platform
from atlvs.db.engine import Transaction
from atlvs.rules import Subject
from atlvs.settings import settings

# column of a record → the core table that it points to
POINTS = {
    "contact_id": "contacts",
    "assignee_id": "contacts",
    "approver_id": "contacts",
    "event_id": "events",
    "invoice_id": "invoices",
    "registration_id": "registrations",
}
PEOPLE = ("contact_id", "assignee_id", "approver_id")
READ = {
    "contacts": "id, concat_ws(' ', first_name, last_name) as name, email",
    "events": "id, name, location, starts_at, ends_at, time_zone",
    "invoices": "id, number, due_on, contact_id",
    "registrations": "id, event_id, contact_id, status",
}
# record type → our variable: its column
NAMES: dict[str, dict[str, str]] = {
    "tasks": {"task_title": "title", "due_at": "due_at", "description": "description"},
    "approvals": {"approval_subject": "subject", "due_at": "due_at", "status": "status"},
    "incidents": {
        "incident_title": "title",
        "severity": "severity",
        "description": "description",
        "status": "status",
        "reported_at": "created_at",
    },
    "events": {
        "event_name": "name",
        "starts_at": "starts_at",
        "ends_at": "ends_at",
        "location": "location",
        "time_zone": "time_zone",
    },
    "registrations": {"amount": "amount_cents", "currency": "currency", "ticket": "ticket"},
    "payments": {
        "amount": "amount_cents",
        "currency": "currency",
        "method": "method",
        "paid_at": "paid_at",
    },
    "invoices": {
        "invoice_number": "number",
        "amount": "amount_cents",
        "currency": "currency",
        "due_on": "due_on",
    },
    "budgets": {
        "budget_name": "name",
        "amount": "amount_cents",
        "spent": "spent_cents",
        "currency": "currency",
        "percent": "percent",
        "threshold": "threshold",
    },
}
ENDLESS = ("infinity", "-infinity")  # PostgreSQL's times that never come, or always were
Around = Mapping[str, Mapping[UUID, Mapping[str, Any]]]  # table → id → row


async def around(tx: Transaction, records: Sequence[Mapping[str, Any]]) -> Around:
    """The rows that these records point to, and what those point to in turn: a query for each table.

    As JSON, like the outbox's: Python holds no time that is infinite, before Christ or after 9999.
    """
    known = await platform.writable(tx)
    found: dict[str, dict[UUID, Mapping[str, Any]]] = {table: {} for table in READ}
    rows: Iterable[Mapping[str, Any]] = records
    for _ in range(2):
        wanted: dict[str, set[UUID]] = {}
        for row in rows:
            for column, table in POINTS.items():
                if (key := _uuid(row.get(column))) and key not in found[table]:
                    wanted.setdefault(table, set()).add(key)
        rows = []
        for table in sorted(set(wanted) & known):
            cursor = await tx.execute(
                f"select id, to_jsonb(t.*) as row from (select {READ[table]} from {table}) as t"
                " where id = any(%s)".encode(),
                [list(wanted[table])],
            )
            read = {row["id"]: row["row"] for row in await cursor.fetchall()}
            found[table] |= read
            rows = [*rows, *read.values()]
    return found


def subject_from(record_type: str, record: Mapping[str, Any], around: Around) -> Subject:
    """A record in a notification's variables; what is unknown is left out."""
    pointed = _pointed(record, around)
    people = {name: key for name in PEOPLE if (key := _uuid(pointed.get(name)))}
    event_id = _uuid(record["id"] if record_type == "events" else pointed.get("event_id"))
    contacts = around.get("contacts", {})
    data = {
        name: record.get(column) for name, column in NAMES.get(record_type, {}).items()
    } | _beside(record_type, pointed, people, contacts, around)
    record_id = _uuid(record["id"]) or UUID(int=0)
    data["url"] = page(record_type, record_id)
    known = {name: value for name, value in data.items() if not _nothing(name, value)}
    return Subject(record_type, record_id, people, event_id, known, headline(known))


def _nothing(name: str, value: Any) -> bool:
    return value in (None, "") or (name.endswith(("_at", "_on")) and value in ENDLESS)


def _pointed(record: Mapping[str, Any], around: Around) -> dict[str, Any]:
    """The record's references, and where it has none, those of what it points to."""
    found = {column: record.get(column) for column in POINTS}
    for column in ("registration_id", "invoice_id"):
        other = around.get(POINTS[column], {}).get(_uuid(found[column]) or UUID(int=0), {})
        for inner in ("contact_id", "event_id"):
            found[inner] = found[inner] or other.get(inner)
    return found


def _beside(
    record_type: str,
    pointed: Mapping[str, Any],
    people: Mapping[str, UUID],
    contacts: Mapping[UUID, Mapping[str, Any]],
    around: Around,
) -> dict[str, Any]:
    event = around.get("events", {}).get(_uuid(pointed.get("event_id")) or UUID(int=0), {})
    invoice = around.get("invoices", {}).get(_uuid(pointed.get("invoice_id")) or UUID(int=0), {})
    names = {field: contacts.get(key, {}).get("name") for field, key in people.items()}
    found: dict[str, Any] = {"assignee_name": names.get("assignee_id")}
    if record_type != "events":
        found |= {"event_name": event.get("name")}
    if record_type == "registrations":
        places = ("starts_at", "location", "time_zone")
        found |= {"registrant_name": names.get("contact_id")}
        found |= {place: event.get(place) for place in places}
    if record_type == "payments":
        found |= {"payer_name": names.get("contact_id"), "invoice_number": invoice.get("number")}
    return found


def headline(data: Mapping[str, Any]) -> str:
    """What it is about, in a few words, for a subject line."""
    names = (
        *("task_title", "approval_subject", "incident_title", "budget_name"),
        *("invoice_number", "event_name"),
    )
    return next((str(data[name]) for name in names if data.get(name)), "")


def page(record_type: str, record_id: UUID) -> str:
    """The platform's own page of a record."""
    base = (settings().platform_url or settings().public_base_url).rstrip("/")
    return f"{base}/modules/{record_type}/{record_id}"


async def due_tasks(tx: Transaction, within: timedelta) -> list[dict[str, Any]]:
    """Open tasks with an assignee that fall due within this time."""
    cursor = await tx.execute(
        "select to_jsonb(t.*) as record from tasks as t where status not in ('completed', 'done', 'cancelled')"
        " and assignee_id is not null and due_at > now() and due_at <= now() + %s order by due_at",
        [within],
    )
    return [row["record"] for row in await cursor.fetchall()]


async def starting_events(tx: Transaction, within: timedelta) -> list[dict[str, Any]]:
    """Published events that begin within this time."""
    cursor = await tx.execute(
        "select to_jsonb(e.*) as record from events as e where status = 'published'"
        " and starts_at > now() and starts_at <= now() + %s order by starts_at",
        [within],
    )
    return [row["record"] for row in await cursor.fetchall()]


async def crossed_budgets(tx: Transaction, thresholds: Sequence[int]) -> list[dict[str, Any]]:
    """Budgets of which at least the lowest of these per cents is spent, with the highest one reached."""
    cursor = await tx.execute(
        "select to_jsonb(b.*) || jsonb_build_object('percent', (b.spent_cents * 100 / b.amount_cents)::int,"
        " 'threshold', t.threshold) as record from budgets as b"
        " cross join lateral (select max(t) as threshold from unnest(%s::int[]) as t"
        " where b.spent_cents * 100 >= b.amount_cents * t) as t where b.amount_cents > 0 and t.threshold is not null",
        [list(thresholds)],
    )
    return [row["record"] for row in await cursor.fetchall()]


async def one(tx: Transaction, table: str, id: UUID) -> dict[str, Any] | None:
    """One record of a core table."""
    if table not in NAMES or table not in await platform.writable(tx):
        return None
    cursor = await tx.execute(f"select * from {table} where id = %s".encode(), [id])
    return await cursor.fetchone()


def iso(value: Any) -> Any:
    """Times as text, as the outbox has them."""
    return value.isoformat() if isinstance(value, datetime) else value


def _uuid(value: Any) -> UUID | None:
    if isinstance(value, UUID) or value is None:
        return value
    try:
        return UUID(str(value))
    except ValueError:
        return None
