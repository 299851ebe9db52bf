"""Stripe's objects as rows of the mirror tables. Pure; the columns are those of stripe.sql.

https://docs.stripe.com/api · field moves of 2025 (basil) and 2026 are noted where they bite.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from atlvs.db.stripe import MIRRORS
from blocks.stripe import without_client_secrets

Object = Mapping[str, Any]
Row = dict[str, Any]


def rows_from(kind: str, objects: Iterable[Object], fetched_at: datetime) -> list[Row]:
    """Rows of one object type, all with the same columns. `fetched_at`: when they were asked for."""
    shape, key = SHAPES[kind], KEYS[kind]
    rows: list[Row] = []
    for one in objects:
        text = orjson.dumps(one)
        if b"\\u0000" in text:
            one = without_nul(one)  # PostgreSQL holds none
            text = orjson.dumps(one)
        if b'"client_secret"' in text:
            text = orjson.dumps(without_client_secrets(one))
        rows.append(
            {
                key: one["id"],
                **shape(one),
                "stripe_created_at": moment(one.get("created")),
                "raw": text.decode(),
                "fetched_at": fetched_at,
            }
        )
    return rows


def without_nul(value: Any) -> Any:
    """The same JSON without NUL characters."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {without_nul(key): without_nul(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_nul(part) for part in value]
    return value


def moment(seconds: int | None) -> datetime | None:
    """Stripe's Unix seconds as aware UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def id_of(value: Any) -> str | None:
    """An id, whether or not the field was expanded."""
    return value.get("id") if isinstance(value, dict) else value


def uuid_of(text: Any) -> UUID | None:
    """An id of ours, where the text is one."""
    try:
        return UUID(text)
    except (TypeError, ValueError, AttributeError):
        return None


def customer_row(one: Object) -> Row:
    return {
        "email": one.get("email"),
        "name": one.get("name"),
        "phone": one.get("phone"),
        "delinquent": one.get("delinquent"),
    }


def payment_row(one: Object) -> Row:
    failure = one.get("last_payment_error") or {}
    return {
        "amount_cents": one["amount"],
        "amount_received_cents": one.get("amount_received") or 0,
        "currency": one["currency"],
        "status": one["status"],
        "stripe_customer_id": id_of(one.get("customer")),
        "stripe_charge_id": id_of(one.get("latest_charge")),
        "description": one.get("description"),
        "failure_code": failure.get("decline_code") or failure.get("code") or failure.get("type"),
        "failed_charge_id": id_of(failure.get("charge")),
    }


def charge_row(one: Object) -> Row:
    return {
        "stripe_payment_intent_id": id_of(one.get("payment_intent")),
        "stripe_customer_id": id_of(one.get("customer")),
        "amount_cents": one["amount"],
        "amount_refunded_cents": one.get("amount_refunded") or 0,
        "currency": one["currency"],
        "status": one["status"],
        "refunded": bool(one.get("refunded")),
        "disputed": bool(one.get("disputed")),
        "stripe_balance_transaction_id": id_of(one.get("balance_transaction")),
        "failure_code": one.get("failure_code"),
    }


def refund_row(one: Object) -> Row:
    return {
        "stripe_payment_intent_id": id_of(one.get("payment_intent")),
        "stripe_charge_id": id_of(one.get("charge")),
        "amount_cents": one["amount"],
        "currency": one["currency"],
        "status": one.get("status"),
        "reason": one.get("reason"),
        "failure_reason": one.get("failure_reason"),
    }


def invoice_row(one: Object) -> Row:
    # Since basil the subscription hides in `parent`; payments are objects of their own.
    parent = (one.get("parent") or {}).get("subscription_details") or {}
    transitions = one.get("status_transitions") or {}
    return {
        "invoice_id": uuid_of((one.get("metadata") or {}).get("invoice_id")),
        "stripe_customer_id": id_of(one.get("customer")),
        "stripe_subscription_id": id_of(parent.get("subscription")),
        "number": one.get("number"),
        "status": one.get("status"),
        "amount_due_cents": one.get("amount_due") or 0,
        "amount_paid_cents": one.get("amount_paid") or 0,
        "amount_remaining_cents": one.get("amount_remaining") or 0,
        "total_cents": one.get("total") or 0,
        "currency": one["currency"],
        "attempt_count": one.get("attempt_count"),
        "next_payment_attempt_at": moment(one.get("next_payment_attempt")),
        "due_at": moment(one.get("due_date")),
        "paid_at": moment(transitions.get("paid_at")),
        "hosted_invoice_url": one.get("hosted_invoice_url"),
    }


def invoice_payment_row(one: Object) -> Row:
    payment = one.get("payment") or {}
    return {
        "stripe_invoice_id": id_of(one.get("invoice")),
        "stripe_payment_intent_id": id_of(payment.get("payment_intent")),
        "stripe_charge_id": id_of(payment.get("charge")),
        "amount_paid_cents": one.get("amount_paid"),
        "currency": one.get("currency"),
        "status": one.get("status"),
    }


def subscription_row(one: Object) -> Row:
    # Since basil the period stands on the items; they may differ, the widest is kept.
    items = (one.get("items") or {}).get("data") or []
    starts = [item["current_period_start"] for item in items if item.get("current_period_start")]
    ends = [item["current_period_end"] for item in items if item.get("current_period_end")]
    return {
        "stripe_customer_id": id_of(one.get("customer")),
        "status": one["status"],
        "collection_method": one.get("collection_method"),
        "currency": one.get("currency"),
        "cancel_at_period_end": one.get("cancel_at_period_end"),
        "current_period_start": moment(min(starts, default=None)),
        "current_period_end": moment(max(ends, default=None)),
        "canceled_at": moment(one.get("canceled_at")),
        "ended_at": moment(one.get("ended_at")),
        "latest_invoice_id": id_of(one.get("latest_invoice")),
    }


def product_row(one: Object) -> Row:
    return {
        "name": one.get("name"),
        "active": one.get("active"),
        "description": one.get("description"),
    }


def price_row(one: Object) -> Row:
    return {
        "stripe_product_id": id_of(one.get("product")),
        "active": one.get("active"),
        "type": one.get("type"),
        "currency": one.get("currency"),
        "unit_amount_cents": one.get("unit_amount"),
        "recurring_interval": (one.get("recurring") or {}).get("interval"),
    }


def dispute_row(one: Object) -> Row:
    return {
        "stripe_charge_id": id_of(one.get("charge")),
        "stripe_payment_intent_id": id_of(one.get("payment_intent")),
        "amount_cents": one["amount"],
        "currency": one["currency"],
        "status": one["status"],
        "reason": one.get("reason"),
    }


def balance_transaction_row(one: Object) -> Row:
    return {
        "source_id": id_of(one.get("source")),
        "type": one["type"],
        "amount_cents": one["amount"],
        "fee_cents": one.get("fee") or 0,
        "net_cents": one["net"],
        "currency": one["currency"],
        "status": one.get("status"),
        "available_at": moment(one.get("available_on")),
    }


def payout_row(one: Object) -> Row:
    return {
        "amount_cents": one["amount"],
        "currency": one["currency"],
        "status": one["status"],
        "arrives_at": moment(one.get("arrival_date")),
        "failure_code": one.get("failure_code"),
    }


def session_row(one: Object) -> Row:
    return {
        "stripe_customer_id": id_of(one.get("customer")),
        "stripe_payment_intent_id": id_of(one.get("payment_intent")),
        "stripe_subscription_id": id_of(one.get("subscription")),
        "client_reference_id": one.get("client_reference_id"),
        "mode": one.get("mode"),
        "status": one.get("status"),
        "payment_status": one.get("payment_status"),
        "amount_total_cents": one.get("amount_total"),
        "currency": one.get("currency"),
    }


SHAPES: dict[str, Callable[[Object], Row]] = {
    "customer": customer_row,
    "product": product_row,
    "price": price_row,
    "payment_intent": payment_row,
    "charge": charge_row,
    "refund": refund_row,
    "dispute": dispute_row,
    "invoice": invoice_row,
    "invoice_payment": invoice_payment_row,
    "subscription": subscription_row,
    "checkout.session": session_row,
    "balance_transaction": balance_transaction_row,
    "payout": payout_row,
}
KEYS = {kind: MIRRORS[kind].key for kind in SHAPES}
