"""Collecting an invoice: attempts, what a payment does to it, and to its subscription."""

from __future__ import annotations

from typing import Any

from deployments.sandbox.stripe.billing import DAY, default_payment, mark_paid
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.charging import attempt
from deployments.sandbox.stripe.payment_methods import attach_to
from deployments.sandbox.stripe.subscription_states import (
    activate,
    end_subscription,
    fall_behind,
)
from deployments.sandbox.stripe.tables import Object, at

RETRY_AFTER = 3 * DAY
ATTEMPTS = 4
SUBSCRIPTION = "parent.subscription_details.subscription"


def method_for(call: Call, invoice: Object) -> str | None:
    """The payment method that automatic collection would take."""
    account = call.account
    subscription = at(invoice, SUBSCRIPTION)
    candidates = [invoice["default_payment_method"]]
    if subscription:
        candidates.append(account.get("subscription", subscription)["default_payment_method"])
    customer = account.find("customer", invoice["customer"])
    candidates.append(at(customer, "invoice_settings.default_payment_method"))
    return next((each for each in candidates if each), None)


def collect(
    call: Call, invoice: Object, method: str | None, *, may_act: bool = False, decline: Any = None
) -> Object:
    """One attempt to charge the invoice; answers with its payment intent."""
    account = call.account
    payment = default_payment(account, invoice)
    assert payment is not None  # noqa: S101  every open invoice has one
    intent = account.get("payment_intent", payment["payment"]["payment_intent"])
    if method is None:
        failed(call, invoice)
        return intent
    intent["payment_method"] = method
    after = attempt(call, intent, may_act=may_act, decline=decline)
    if after["status"] == "succeeded":
        intent_succeeded(call, after)
    elif after["last_payment_error"]:
        intent_failed(call, after)
    elif after["status"] == "requires_action":
        call.emit("invoice.payment_action_required", invoice)
    return after


def intent_succeeded(call: Call, intent: Object) -> None:
    """The invoice that the payment intent belongs to, if any, is paid."""
    account = call.account
    for payment in account.linked("invoice_payment", "payment.payment_intent", intent["id"]):
        if payment["status"] == "paid":
            continue
        changes = {"paid_at": account.now()}
        paid = payment | {
            "status": "paid",
            "amount_paid": intent["amount_received"],
            "status_transitions": payment["status_transitions"] | changes,
        }
        call.update(payment, paid, "invoice_payment.paid")
        _receive(call, account.get("invoice", payment["invoice"]), intent)


def intent_failed(call: Call, intent: Object) -> None:
    for payment in call.account.linked("invoice_payment", "payment.payment_intent", intent["id"]):
        failed(call, call.account.get("invoice", payment["invoice"]))


def failed(call: Call, before: Object) -> None:
    """Count the attempt; automatic collection tries again, and gives up in the end."""
    if before["status"] != "open":
        return
    account = call.account
    again = before["auto_advance"] and before["attempt_count"] + 1 < ATTEMPTS
    when = account.now() + RETRY_AFTER if again else None
    after = before | {
        "attempted": True,
        "attempt_count": before["attempt_count"] + 1,
        "next_payment_attempt": when,
    }
    call.update(before, after, "invoice.updated", "invoice.payment_failed")
    if subscription := at(after, SUBSCRIPTION):
        fall_behind(call, subscription)
        if not again and before["auto_advance"]:
            end_subscription(call, account.get("subscription", subscription), "payment_failed")
    if when is not None:
        account.at(when, lambda: _retry(Call(account), before["id"], when))


def _retry(call: Call, identifier: str, planned: int) -> None:
    invoice = call.account.find("invoice", identifier)
    if invoice and invoice["status"] == "open" and invoice["next_payment_attempt"] == planned:
        collect(call, invoice, method_for(call, invoice))


def _receive(call: Call, before: Object, intent: Object) -> None:
    if before["status"] not in ("open", "uncollectible"):
        return
    method = intent["payment_method"]
    subscription = at(before, SUBSCRIPTION)
    received = before | {
        "amount_paid": before["amount_paid"] + intent["amount_received"],
        "attempt_count": before["attempt_count"] + 1,
    }
    call.account.put(received)
    mark_paid(call, received, "invoice.payment_succeeded")
    if subscription:
        attach_to(call, method, before["customer"])
        activate(call, subscription, method)
