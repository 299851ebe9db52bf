"""Stripe's mirror tables, and what changed rows in them mean for the platform's own tables.

The projections run in the transaction of the rows, over all changed rows of a chunk at once, whether
a webhook, a sweep or a full sync brought them.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from atlvs.db.bulk import CHANGED, Mirror, mark_deleted, upsert
from atlvs.db.engine import Transaction
from atlvs.db.platform import writable
from atlvs.records import Connection, Counts

MIRRORS = {
    "customer": Mirror("stripe_customers", "stripe_customer_id"),
    "product": Mirror("stripe_products", "stripe_product_id"),
    "price": Mirror("stripe_prices", "stripe_price_id"),
    "payment_intent": Mirror("stripe_payments", "stripe_payment_intent_id"),
    "charge": Mirror("stripe_charges", "stripe_charge_id"),
    "refund": Mirror("stripe_refunds", "stripe_refund_id"),
    "dispute": Mirror("stripe_disputes", "stripe_dispute_id"),
    "invoice": Mirror("stripe_invoices", "stripe_invoice_id"),
    "invoice_payment": Mirror("stripe_invoice_payments", "stripe_invoice_payment_id"),
    "subscription": Mirror("stripe_subscriptions", "stripe_subscription_id"),
    "checkout.session": Mirror("stripe_checkout_sessions", "stripe_checkout_session_id"),
    "balance_transaction": Mirror("stripe_balance_transactions", "stripe_balance_transaction_id"),
    "payout": Mirror("stripe_payouts", "stripe_payout_id"),
}
PAYMENT_SIDES = {
    "payment_intent",
    "charge",
    "refund",
    "invoice",
    "invoice_payment",
    "checkout.session",
    "subscription",
    "customer",
}

FEW = 200

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


async def store(
    tx: Transaction,
    connection: Connection,
    rows: Rows,
    deleted: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Counts]:
    """Upsert rows per object type, mark tombstones, and carry what changed to the platform's tables."""
    await tx.execute(CHANGED)
    counts: dict[str, Counts] = {}
    for kind, found in rows.items():
        known = await _with_our_invoices(tx, found) if kind == "invoice" else found
        counts[kind] = await upsert(tx, connection, MIRRORS[kind], known)
    for kind, keys in (deleted or {}).items():
        gone = await mark_deleted(tx, MIRRORS[kind], keys)
        counts.setdefault(kind, Counts()).deleted += gone
    changed = {kind for kind, count in counts.items() if count.created or count.updated}
    await _plan_for(tx, sum(count.changed for count in counts.values()))
    if "customer" in changed:
        await _link_customers(tx)
    if "invoice" in changed:
        await _settle_invoices(tx)
    if changed & PAYMENT_SIDES:
        await _settle_payments(tx)
    return counts


async def read_payment(tx: Transaction, payment_intent_id: str) -> dict[str, Any] | None:
    """One mirrored payment without its raw object."""
    cursor = await tx.execute(
        "select to_jsonb(p) - 'raw' as payment from stripe_payments p where stripe_payment_intent_id = %s",
        [payment_intent_id],
    )
    row = await cursor.fetchone()
    return row["payment"] if row else None


async def totals(tx: Transaction, connection: Connection) -> dict[str, int]:
    """Rows per mirror table of one connection, without tombstones."""
    found: dict[str, int] = {}
    for mirror in MIRRORS.values():
        cursor = await tx.execute(
            f"select count(*) as rows from {mirror.table} where connection_id = %s and deleted_at is null".encode(),
            [connection.id],
        )
        row = await cursor.fetchone()
        found[mirror.table] = row["rows"] if row else 0
    return found


async def _plan_for(tx: Transaction, rows: int) -> None:
    """Joins for a handful of rows go by index, for thousands by hash.

    Said outright, because statistics lag: during a first sync the planner takes the organization's
    rows for one in two hundred, and would join thousands of payments row by row for minutes. Keys
    go to a mirror table as an array, which uses its index either way: a join by hash would read the
    whole table for each chunk.
    """
    way = "enable_seqscan" if rows < FEW else "enable_nestloop"
    await tx.execute(f"set local {way} = off".encode())


async def _link_customers(tx: Transaction) -> None:
    """Customers belong to the contact or company named in their metadata, else to the contact with their e-mail."""
    if not {"contacts", "companies"} <= await writable(tx):
        return
    await tx.execute(
        """
        update stripe_customers c set contact_id = match.contact_id, company_id = match.company_id
        from (
            select s.stripe_customer_id, coalesce(named.id, same.id) as contact_id, company.id as company_id
            from stage_stripe_customers s
            left join contacts named on named.id::text = s.raw->'metadata'->>'contact_id'
            left join companies company on company.id::text = s.raw->'metadata'->>'company_id'
            left join (select distinct on (lower(email)) id, lower(email) as email from contacts
                       where email is not null order by lower(email), created_at) same on same.email = lower(s.email)
            where coalesce(named.id, same.id, company.id) is not null
        ) as match
        where c.stripe_customer_id = match.stripe_customer_id
        and c.stripe_customer_id = any(array(select key from changed where table_name = 'stripe_customers'))
        and (c.contact_id, c.company_id) is distinct from (match.contact_id, match.company_id)
        """
    )


async def _with_our_invoices(
    tx: Transaction, rows: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Stripe's invoices, naming only invoices that we have: of these ours tells that it was paid."""
    named = list({row["invoice_id"] for row in rows if row["invoice_id"]})
    known: set[UUID] = set()
    if named and "invoices" in await writable(tx):
        cursor = await tx.execute("select id from invoices where id = any(%s)", [named])
        known = {row["id"] for row in await cursor.fetchall()}
    return [row if row["invoice_id"] in known else {**row, "invoice_id": None} for row in rows]


async def _settle_invoices(tx: Transaction) -> None:
    """An invoice of ours, named in Stripe's metadata, follows Stripe's invoice."""
    if "invoices" not in await writable(tx):
        return
    await tx.execute(
        """
        update invoices i set status = news.status, amount_paid_cents = news.paid, paid_at = news.paid_at,
            number = coalesce(i.number, news.number), updated_at = now()
        from (
            select s.invoice_id, s.number, s.amount_paid_cents as paid, s.paid_at,
                case s.status when 'open' then 'sent' when 'uncollectible' then 'written_off' else s.status end as status
            from stripe_invoices s
            where s.stripe_invoice_id = any(array(select key from changed where table_name = 'stripe_invoices'))
            and s.invoice_id is not null and s.status is not null
        ) as news
        where i.id = news.invoice_id
        and (i.status, i.amount_paid_cents, i.paid_at) is distinct from (news.status, news.paid, news.paid_at)
        """
    )


async def _settle_payments(tx: Transaction) -> None:
    """Payments take what their charges, refunds, invoices and sessions tell, and appear in the platform."""
    await tx.execute(
        "create temp table if not exists touched (pi text primary key) on commit delete rows"
    )
    await tx.execute(_TOUCHED)
    await tx.execute(_AMOUNTS)
    await tx.execute(_SOURCES)
    here = await writable(tx)
    if {"payments", "invoices", "registrations"} <= here:
        await tx.execute(_LINKS)
        await tx.execute(_PAYMENTS)
    if "registrations" in here:
        await tx.execute(_REGISTRATIONS)


_TOUCHED = """
    insert into touched
    select pi from (
        select key from changed where table_name = 'stripe_payments'
        union
        select stripe_payment_intent_id from stripe_charges
        where stripe_charge_id = any(array(select key from changed where table_name = 'stripe_charges'))
        union
        select stripe_payment_intent_id from stripe_refunds
        where stripe_refund_id = any(array(select key from changed where table_name = 'stripe_refunds'))
        union
        select stripe_payment_intent_id from stripe_invoice_payments
        where stripe_invoice_payment_id = any(array(select key from changed where table_name = 'stripe_invoice_payments'))
        union
        select stripe_payment_intent_id from stripe_invoice_payments
        where stripe_invoice_id = any(array(select key from changed where table_name = 'stripe_invoices'))
        union
        select stripe_payment_intent_id from stripe_checkout_sessions
        where stripe_checkout_session_id = any(array(select key from changed where table_name = 'stripe_checkout_sessions'))
        union
        select stripe_payment_intent_id from stripe_invoice_payments
        where stripe_invoice_id = any(array(
            select stripe_invoice_id from stripe_invoices where stripe_subscription_id = any(array(
                select key from changed where table_name = 'stripe_subscriptions' and inserted))))
        union
        select stripe_payment_intent_id from stripe_payments
        where stripe_customer_id = any(array(
            select stripe_customer_id from stripe_customers where contact_id is not null and stripe_customer_id = any(array(
                select key from changed where table_name = 'stripe_customers'))))
    ) as found (pi) where pi is not null
    on conflict do nothing
"""

# Refunded amounts come from charges: a payment intent does not tell them.
_AMOUNTS = """
    update stripe_payments p
    set amount_refunded_cents = news.refunded, paid_at = news.paid_at
    from (
        select c.stripe_payment_intent_id as pi, sum(c.amount_refunded_cents) as refunded,
            min(c.stripe_created_at) filter (where c.status = 'succeeded') as paid_at
        from stripe_charges c where c.stripe_payment_intent_id = any(array(select pi from touched))
        group by c.stripe_payment_intent_id
    ) as news
    where p.stripe_payment_intent_id = news.pi and p.stripe_payment_intent_id = any(array(select pi from touched))
    and (p.amount_refunded_cents, p.paid_at) is distinct from (news.refunded, news.paid_at)
"""

# What a payment is for: its own metadata, its checkout session's, or the invoice it pays; an invoice of
# ours comes before the subscription that made it.
_SOURCES = """
    update stripe_payments p
    set source_type = news.source_type, source_id = news.source_id::uuid
    from (
        select distinct on (pi) pi, source_type, source_id from (
            select p.stripe_payment_intent_id as pi, 1 as rank, found.*
            from stripe_payments p,
            lateral (select p.raw->'metadata'->>'source_type' as source_type,
                            p.raw->'metadata'->>'source_id' as source_id) as found
            where p.stripe_payment_intent_id = any(array(select pi from touched))
            union all
            select s.stripe_payment_intent_id, 2, s.raw->'metadata'->>'source_type',
                coalesce(s.raw->'metadata'->>'source_id', s.client_reference_id)
            from stripe_checkout_sessions s where s.stripe_payment_intent_id = any(array(select pi from touched))
            union all
            select ip.stripe_payment_intent_id, 3, 'invoice', i.invoice_id::text
            from stripe_invoice_payments ip join stripe_invoices i using (stripe_invoice_id)
            where i.invoice_id is not null and ip.stripe_payment_intent_id = any(array(select pi from touched))
            union all
            select ip.stripe_payment_intent_id, 4, 'subscription', sub.id::text
            from stripe_invoice_payments ip join stripe_invoices i using (stripe_invoice_id)
            join stripe_subscriptions sub using (stripe_subscription_id)
            where ip.stripe_payment_intent_id = any(array(select pi from touched))
        ) as ways
        where source_type in ('registration', 'invoice', 'subscription')
        and source_id ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
        order by pi, rank
    ) as news
    where p.stripe_payment_intent_id = news.pi and p.stripe_payment_intent_id = any(array(select pi from touched))
    and (p.source_type, p.source_id) is distinct from (news.source_type, news.source_id::uuid)
"""

_LINKS = """
    insert into integration_links (org_id, connection_id, external_type, external_id, record_type)
    select p.org_id, p.connection_id, 'payment_intent', p.stripe_payment_intent_id, 'payments'
    from stripe_payments p
    where p.status = 'succeeded' and p.stripe_payment_intent_id = any(array(select pi from touched))
    on conflict do nothing
"""

_PAYMENTS = """
    insert into payments as stored (id, org_id, invoice_id, registration_id, contact_id, amount_cents,
        refunded_cents, currency, status, method, paid_at)
    select link.record_id, p.org_id, i.id, r.id, c.contact_id, p.amount_received_cents,
        coalesce(p.amount_refunded_cents, 0), p.currency,
        case when coalesce(p.amount_refunded_cents, 0) = 0 then 'completed'
             when p.amount_refunded_cents >= p.amount_received_cents then 'refunded'
             else 'partially_refunded' end,
        'stripe', coalesce(p.paid_at, p.stripe_created_at)
    from stripe_payments p
    join integration_links link on link.connection_id = p.connection_id and link.external_type = 'payment_intent'
        and link.external_id = p.stripe_payment_intent_id and link.record_type = 'payments'
    left join invoices i on p.source_type = 'invoice' and i.id = p.source_id
    left join registrations r on p.source_type = 'registration' and r.id = p.source_id
    left join stripe_customers c on c.stripe_customer_id = p.stripe_customer_id
    where p.status = 'succeeded' and p.stripe_payment_intent_id = any(array(select pi from touched))
    on conflict (id) do update
    set invoice_id = excluded.invoice_id, registration_id = excluded.registration_id,
        contact_id = coalesce(excluded.contact_id, stored.contact_id), amount_cents = excluded.amount_cents,
        refunded_cents = excluded.refunded_cents, status = excluded.status, paid_at = excluded.paid_at,
        updated_at = now()
    where (stored.invoice_id, stored.registration_id, stored.contact_id, stored.amount_cents,
           stored.refunded_cents, stored.status, stored.paid_at)
        is distinct from (excluded.invoice_id, excluded.registration_id,
                          coalesce(excluded.contact_id, stored.contact_id), excluded.amount_cents,
                          excluded.refunded_cents, excluded.status, excluded.paid_at)
"""

_REGISTRATIONS = """
    update registrations r
    set status = case when r.status = 'pending' then 'confirmed' else r.status end,
        payment_status = news.payment_status, updated_at = now()
    from (
        select p.source_id, case when sum(coalesce(p.amount_refunded_cents, 0)) = 0 then 'paid'
            when sum(p.amount_refunded_cents) >= sum(p.amount_received_cents) then 'refunded'
            else 'partially_refunded' end as payment_status
        from stripe_payments p
        where p.source_type = 'registration' and p.status = 'succeeded' and p.source_id in (
            select q.source_id from stripe_payments q
            where q.source_type = 'registration' and q.stripe_payment_intent_id = any(array(select pi from touched)))
        group by p.source_id
    ) as news
    where r.id = news.source_id and r.payment_status is distinct from news.payment_status
"""
