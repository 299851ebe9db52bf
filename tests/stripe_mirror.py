"""Our copy of Stripe held against the sandbox's truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox_client import Sandbox
from stripe_description import check_request

from atlvs.db import inbox
from atlvs.db.stripe import MIRRORS
from blocks.stripe import Stripe, event_from, without_client_secrets
from tasks.stripe.pages import STREAMS

Rows = Any
NONE: Mapping[str, Any] = {}

# What each mirror table says outside of `raw`: column → field of Stripe's object.
SAME: dict[str, dict[str, str]] = {
    "customer": {"email": "email", "name": "name", "phone": "phone"},
    "product": {"name": "name", "active": "active"},
    "price": {"unit_amount_cents": "unit_amount", "currency": "currency", "active": "active"},
    "payment_intent": {
        "amount_cents": "amount",
        "amount_received_cents": "amount_received",
        "currency": "currency",
        "status": "status",
        "stripe_customer_id": "customer",
        "stripe_charge_id": "latest_charge",
    },
    "charge": {
        "amount_cents": "amount",
        "amount_refunded_cents": "amount_refunded",
        "currency": "currency",
        "status": "status",
        "refunded": "refunded",
        "disputed": "disputed",
        "stripe_payment_intent_id": "payment_intent",
    },
    "refund": {"amount_cents": "amount", "currency": "currency", "status": "status"},
    "dispute": {"amount_cents": "amount", "currency": "currency", "status": "status"},
    "invoice": {
        "total_cents": "total",
        "amount_due_cents": "amount_due",
        "amount_paid_cents": "amount_paid",
        "amount_remaining_cents": "amount_remaining",
        "currency": "currency",
        "status": "status",
        "number": "number",
    },
    "invoice_payment": {"amount_paid_cents": "amount_paid", "status": "status"},
    "subscription": {"status": "status", "stripe_customer_id": "customer"},
    "checkout.session": {
        "status": "status",
        "payment_status": "payment_status",
        "amount_total_cents": "amount_total",
    },
    "balance_transaction": {
        "amount_cents": "amount",
        "fee_cents": "fee",
        "net_cents": "net",
        "currency": "currency",
        "status": "status",
    },
    "payout": {"amount_cents": "amount", "currency": "currency", "status": "status"},
}


def fields(sandbox: Sandbox, **changed: Any) -> dict[str, Any]:
    """A connection's fields for the sandbox's account."""
    return {
        "secret_key": sandbox.key,
        "webhook_secrets": "whsec_test",
        "api_base": sandbox.base("stripe"),
        "reads_per_second": 5000,
        "writes_per_second": 5000,
        **changed,
    }


# What Stripe changes without telling us: only a complete reading brings it.
TOLD = tuple(kind for kind in STREAMS if kind != "payment_intent")  # nothing tells of a waiting one
SILENT = {"customer": ("next_invoice_sequence",), "balance_transaction": ("status",)}


def assert_mirrored(
    rows: Rows, sandbox: Sandbox, kinds: Iterable[str] = STREAMS, silent: Mapping[str, Any] = NONE
) -> None:
    """Every current object of Stripe is here, whole and equal, and nothing else is."""
    wrong: list[str] = []
    for kind in kinds:
        truth = {one["id"]: without_client_secrets(one) for one in sandbox.dump(kind)}
        stored = mirrored(rows, kind)
        wrong += [f"{key} is missing" for key in truth.keys() - stored.keys()]
        wrong += [f"{key} is too much" for key in stored.keys() - truth.keys()]
        for key in truth.keys() & stored.keys():
            (raw, columns), one = stored[key], truth[key]
            unequal = set(differing(raw, one)) - set(silent.get(kind, ()))
            wrong += [f"{key} differs in {unequal}"] if unequal else []
            if "status" in silent.get(kind, ()):
                columns.pop("status")
            wanted = {column: one[SAME[kind][column]] for column in columns}
            wrong += [f"{key}: {columns}, not {wanted}"] if columns != wanted else []
    assert not wrong, wrong


def mirrored(rows: Rows, kind: str) -> dict[str, tuple[Any, dict[str, Any]]]:
    """id → (raw, columns) of the rows without tombstones."""
    mirror, names = MIRRORS[kind], list(SAME[kind])
    found = rows(
        f"select {', '.join([mirror.key, 'raw', *names])} from {mirror.table} where deleted_at is null"
    )
    return {key: (raw, dict(zip(names, rest, strict=True))) for key, raw, *rest in found}


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]


def versions(rows: Rows) -> dict[str, list[tuple[Any, ...]]]:
    """What tells whether any mirrored or platform row was written: its xmin."""
    tables = [mirror.table for mirror in MIRRORS.values()] + [
        "payments",
        "invoices",
        "registrations",
    ]
    return {
        table: rows(f"select id, xmin::text, updated_at from {table} order by 1")
        for table in tables
    }


def outbox(rows: Rows, *types: str) -> list[str]:
    """Types of the domain events told so far, in order, of these types or of all."""
    told = [one for (one,) in rows("select type from integration_outbox order by seq")]
    return [one for one in told if not types or one in types]


def everything_stored(rows: Rows) -> str:
    """All rows of all tables as one text."""
    tables = rows("select tablename from pg_tables where schemaname = 'public'")
    return "\n".join(
        str(text) for (table,) in tables for (text,) in rows(f'select t::text from "{table}" t')
    )


def assert_no_secrets(text: str, sandbox: Sandbox) -> None:
    for secret in (sandbox.key, "_secret_", "whsec_"):
        assert secret not in text, text[max(0, text.index(secret) - 200) :][:400]


def changed(summary: dict[str, Any]) -> int:
    """Rows that a run wrote."""
    return sum(
        counts["created"] + counts["updated"] + counts["deleted"]
        for counts in summary["streams"].values()
    )


def reads(sandbox: Sandbox, path: str = "") -> int:
    """GETs of the account so far, of one path or of all."""
    whose = sandbox.account.partition("/")[0]
    asked = [one for one in sandbox.requests(account=whose) if one["method"] == "GET"]
    return sum(path in ("", one["path"]) for one in asked)


def check_requests(sandbox: Sandbox) -> None:
    """Hold what we asked for, and was not refused, against Stripe's description (without payouts)."""
    for one in sandbox.requests(account=sandbox.account.partition("/")[0]):
        if one["status"] == 200 and "payouts" not in one["path"]:
            check_request(one["method"], one["path"], one["params"])


def events(sandbox: Sandbox, *types: str) -> list[dict[str, Any]]:
    """The account's events, oldest first."""
    told = sandbox.dump("event")[::-1]
    return [event for event in told if not types or event["type"] in types]


async def deliver(connection: Stripe, told: Sequence[dict[str, Any]]) -> int:
    """Put events into the inbox as the receiver does; returns how many were new."""
    new = 0
    for event in told:
        hint = event_from(without_client_secrets(event))
        new += await inbox.store([(connection.connection, hint)])
    return new
