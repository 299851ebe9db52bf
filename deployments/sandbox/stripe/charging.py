"""Taking money for a payment intent: the attempt, and what it leaves behind.

requires_payment_method → requires_confirmation → requires_action · processing · requires_capture
→ succeeded, or back to requires_payment_method with `last_payment_error`.
https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

from typing import Any

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.charges import (
    decline_message,
    declined,
    new_charge,
    outcome,
    settled,
)
from deployments.sandbox.stripe.payment_methods import ACTION, ASYNC, behaviour_of
from deployments.sandbox.stripe.tables import Object, copied


def new_intent(account: Account, amount: int, currency: str, customer: str | None) -> Object:
    intent = account.blank("payment_intent", amount=amount, currency=currency, customer=customer)
    intent["client_secret"] = f"{intent['id']}_secret_{account.ids.word(25)}"
    return intent


def attempt(
    call: Call,
    before: Object,
    *,
    may_act: bool = True,
    return_url: str | None = None,
    decline: tuple[str, str | None] | None = None,
) -> Object:
    """Charge the intent's payment method. A decline is told by `last_payment_error`."""
    account = call.account
    method = account.get("payment_method", before["payment_method"])
    behaviour: Any = decline or behaviour_of(account, method["id"])
    intent = copied(before)
    intent.update(last_payment_error=None, next_action=None)
    if behaviour == ACTION and may_act:
        return _ask(call, intent, return_url)
    if behaviour == ACTION:
        behaviour = ("authentication_required", "authentication_required")
    charge = new_charge(account, intent, method)
    intent["latest_charge"] = charge["id"]
    if behaviour == ASYNC:
        return _process(call, intent, charge)
    if behaviour is not None:
        return fail(call, intent, declined(charge, *behaviour), "charge.failed")
    if intent["capture_method"] == "manual":
        return _hold(call, intent, charge)
    return succeed(call, intent, charge, "charge.succeeded")


def succeed(call: Call, intent: Object, charge: Object, *charge_events: str) -> Object:
    charge = settled(call.account, charge, charge["amount"])
    intent.update(
        status="succeeded",
        amount_received=charge["amount_captured"],
        amount_capturable=0,
        latest_charge=charge["id"],
        next_action=None,
        processing=None,
        last_payment_error=None,
    )
    call.account.put(intent)
    call.account.put(charge)
    for event in charge_events:
        call.emit(event, charge)
    call.emit("payment_intent.succeeded", intent)
    return intent


def fail(call: Call, intent: Object, charge: Object, event: str) -> Object:
    method = call.account.get("payment_method", charge["payment_method"])
    code = charge["failure_code"]
    decline_code = (
        charge["outcome"]["reason"]
        if code in ("card_declined", "authentication_required")
        else None
    )
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        processing=None,
        last_payment_error=payment_error(charge, code, decline_code) | {"payment_method": method},
    )
    call.account.put(charge)
    call.account.put(intent)
    call.emit(event, charge)
    call.emit("payment_intent.payment_failed", intent)
    return intent


def payment_error(charge: Object, code: str, decline_code: str | None) -> Object:
    error = {
        "charge": charge["id"],
        "code": code,
        "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}",
        "message": decline_message(code, decline_code),
        "type": "card_error",
    }
    return error | ({"decline_code": decline_code} if decline_code else {})


def _ask(call: Call, intent: Object, return_url: str | None) -> Object:
    """Wait for the customer to authenticate."""
    url = f"https://hooks.stripe.com/3d_secure_2/hosted?payment_intent={intent['id']}"
    intent["status"] = "requires_action"
    if return_url:
        intent["next_action"] = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": return_url, "url": url},
        }
    else:
        intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {"stripe_js": url}}
    return call.create(intent, "payment_intent.requires_action")


def _process(call: Call, intent: Object, charge: Object) -> Object:
    """Bank debits take days; `settle_payment` tells how they ended."""
    charge = charge | {
        "status": "pending",
        "paid": False,
        "outcome": outcome("authorized", "Payment pending."),
    }
    intent.update(status="processing", processing=None)
    call.create(charge, "charge.pending")
    return call.create(intent, "payment_intent.processing")


def _hold(call: Call, intent: Object, charge: Object) -> Object:
    charge = charge | {"captured": False, "amount_captured": 0}
    intent.update(status="requires_capture", amount_capturable=intent["amount"])
    call.create(charge, "charge.succeeded")
    return call.create(intent, "payment_intent.amount_capturable_updated")
