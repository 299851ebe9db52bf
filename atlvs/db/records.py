"""Writing the platform's own records: events, contacts, registrations."""

from typing import Any
from uuid import UUID

from atlvs.db.engine import Transaction


async def create_event(tx: Transaction, org_id: UUID, name: str) -> UUID:
    """A published event."""
    return await _created(
        tx,
        "insert into events (org_id, name, status, starts_at) values (%s, %s, 'published', now() + interval '30 days')",
        [org_id, name],
    )


async def create_contact(
    tx: Transaction,
    org_id: UUID,
    first: str,
    last: str,
    email: str | None,
    phone: str | None = None,
) -> UUID:
    """A contact."""
    return await _created(
        tx,
        "insert into contacts (org_id, first_name, last_name, email, phone) values (%s, %s, %s, %s, %s)",
        [org_id, first, last, email, phone],
    )


async def create_registration(
    tx: Transaction,
    org_id: UUID,
    event_id: UUID,
    contact_id: UUID,
    amount_cents: int,
    currency: str,
    status: str = "pending",
) -> UUID:
    """A registration, to be paid unless its status says otherwise."""
    return await _created(
        tx,
        "insert into registrations (org_id, event_id, contact_id, amount_cents, currency, status)"
        " values (%s, %s, %s, %s, %s, %s)",
        [org_id, event_id, contact_id, amount_cents, currency, status],
    )


async def create_invoice(
    tx: Transaction, org_id: UUID, contact_id: UUID, amount_cents: int
) -> UUID:
    """A draft invoice."""
    return await _created(
        tx,
        "insert into invoices (org_id, contact_id, amount_cents) values (%s, %s, %s)",
        [org_id, contact_id, amount_cents],
    )


async def told_events(tx: Transaction) -> list[dict[str, Any]]:
    """How many domain events of each type the outbox has."""
    cursor = await tx.execute(
        "select type, count(*) as events from integration_outbox group by type order by type"
    )
    return await cursor.fetchall()


async def states(tx: Transaction) -> list[dict[str, Any]]:
    """How many registrations, invoices and payments are in which state."""
    cursor = await tx.execute(
        "select 'registrations' as records, status || ', ' || payment_status as state, count(*) as number"
        " from registrations group by 2 union all"
        " select 'invoices', status, count(*) from invoices group by 2 union all"
        " select 'payments', status, count(*) from payments group by 2 order by 1, 2"
    )
    return await cursor.fetchall()


async def _created(tx: Transaction, statement: str, values: list[Any]) -> UUID:
    cursor = await tx.execute(f"{statement} returning id".encode(), values)
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("insert returned nothing")
    return row["id"]
