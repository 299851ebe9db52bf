"""Changes of rows and the domain events that they mean."""

from typing import Any

Case = tuple[str, dict[str, Any] | None, dict[str, Any], list[str]]

# What one change to a table means: column values before (none: a new row), after, and the events.
PAYMENT: dict[str, Any] = {"currency": "usd", "amount_cents": 900}
CHANGES: list[Case] = [
    ("contacts", None, {"email": "a@x.test"}, ["contact.created"]),
    ("contacts", {"email": "a@x.test"}, {"email": "b@x.test"}, ["contact.updated"]),
    ("contacts", {"email": "a@x.test"}, {"email": "a@x.test"}, []),
    ("contacts", {}, {"updated_at": "2030-01-01"}, []),
    ("invoices", None, {}, ["invoice.created"]),
    ("invoices", None, {"status": "paid"}, ["invoice.created", "invoice.paid"]),
    ("invoices", {"status": "sent"}, {"status": "paid"}, ["invoice.paid"]),
    ("invoices", {"status": "paid"}, {"status": "paid"}, []),
    ("invoices", {"status": "paid"}, {"number": "7"}, []),
    ("invoices", {"status": "draft"}, {"status": "sent"}, []),
    ("payments", None, PAYMENT, ["payment.created"]),
    ("payments", None, PAYMENT | {"status": "completed"}, ["payment.created", "payment.received"]),
    ("payments", PAYMENT, {"status": "completed"}, ["payment.received"]),
    ("payments", PAYMENT | {"status": "failed"}, {"status": "completed"}, ["payment.received"]),
    (
        "payments",
        PAYMENT | {"status": "completed"},
        {"status": "partially_refunded", "refunded_cents": 100},
        ["payment.refunded"],
    ),
    (
        "payments",
        PAYMENT | {"status": "partially_refunded", "refunded_cents": 100},
        {"status": "refunded", "refunded_cents": 900},
        ["payment.refunded"],
    ),
    (
        "payments",
        PAYMENT,
        {"status": "refunded", "refunded_cents": 900},
        ["payment.received", "payment.refunded"],
    ),
    ("payments", PAYMENT | {"refunded_cents": 900}, {"refunded_cents": 0}, []),
    ("payments", PAYMENT, {"status": "failed"}, []),
    ("payments", PAYMENT | {"status": "completed"}, {"method": "cash"}, []),
]
INTENT: dict[str, Any] = {
    "stripe_payment_intent_id": "pi_1",
    "amount_cents": 900,
    "currency": "usd",
}
FAILED = {"status": "requires_payment_method", "failure_code": "card_declined"}
INVOICE: dict[str, Any] = {
    "stripe_invoice_id": "in_1",
    "currency": "usd",
    **dict.fromkeys(("amount_due_cents", "amount_paid_cents", "amount_remaining_cents"), 0),
    "total_cents": 0,
    "status": "open",
    "attempt_count": 0,
}
SUBSCRIPTION = {"stripe_subscription_id": "sub_1", "status": "active"}
SESSION = {"stripe_checkout_session_id": "cs_1", "status": "open", "payment_status": "unpaid"}
DISPUTE = {
    "stripe_dispute_id": "dp_1",
    "amount_cents": 1,
    "currency": "usd",
    "status": "needs_response",
}
MIRRORED: list[Case] = [
    ("stripe_payments", None, INTENT | {"status": "requires_payment_method"}, []),
    ("stripe_payments", None, INTENT | FAILED, ["payment.failed"]),
    ("stripe_payments", INTENT | {"status": "processing"}, FAILED, ["payment.failed"]),
    ("stripe_payments", INTENT | FAILED, FAILED, []),
    ("stripe_payments", INTENT | FAILED, {"failed_charge_id": "ch_2"}, ["payment.failed"]),
    ("stripe_payments", INTENT | FAILED, {"status": "succeeded"}, []),
    ("stripe_invoices", None, INVOICE, []),
    ("stripe_invoices", None, INVOICE | {"status": "paid"}, ["invoice.paid"]),
    ("stripe_invoices", INVOICE, {"status": "paid"}, ["invoice.paid"]),
    ("stripe_invoices", INVOICE | {"status": "paid"}, {"number": "7"}, []),
    ("stripe_invoices", INVOICE, {"attempt_count": 1}, ["invoice.payment_failed"]),
    ("stripe_invoices", INVOICE | {"attempt_count": 1}, {"attempt_count": 1}, []),
    ("stripe_invoices", INVOICE, {"attempt_count": 1, "status": "paid"}, ["invoice.paid"]),
    ("stripe_subscriptions", None, SUBSCRIPTION, ["subscription.created"]),
    ("stripe_subscriptions", SUBSCRIPTION, {"status": "past_due"}, ["subscription.updated"]),
    ("stripe_subscriptions", SUBSCRIPTION, {"status": "canceled"}, ["subscription.deleted"]),
    ("stripe_subscriptions", SUBSCRIPTION | {"status": "canceled"}, {"status": "canceled"}, []),
    ("stripe_subscriptions", SUBSCRIPTION, {"fetched_at": "2030-01-01"}, []),
    ("stripe_checkout_sessions", None, SESSION, []),
    (
        "stripe_checkout_sessions",
        SESSION,
        {"status": "complete", "payment_status": "paid"},
        ["checkout.completed"],
    ),
    ("stripe_checkout_sessions", SESSION, {"status": "complete"}, []),
    (
        "stripe_checkout_sessions",
        SESSION | {"status": "complete"},
        {"payment_status": "paid"},
        ["checkout.completed"],
    ),
    (
        "stripe_checkout_sessions",
        SESSION | {"status": "complete", "payment_status": "paid"},
        {"amount_total_cents": 5},
        [],
    ),
    ("stripe_checkout_sessions", SESSION, {"status": "expired"}, []),
    ("stripe_disputes", None, DISPUTE, ["dispute.opened"]),
    ("stripe_disputes", DISPUTE, {"status": "under_review"}, []),
    ("stripe_disputes", DISPUTE, {"status": "lost"}, ["dispute.closed"]),
    ("stripe_disputes", DISPUTE | {"status": "lost"}, {"reason": "fraudulent"}, []),
]
