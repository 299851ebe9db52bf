"""What the customer does on a checkout page."""

from __future__ import annotations

from typing import Any

from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.charges import declined
from deployments.sandbox.stripe.charging import attempt, fail, new_intent, succeed
from deployments.sandbox.stripe.collecting import intent_failed, intent_succeeded
from deployments.sandbox.stripe.customers import create_customer
from deployments.sandbox.stripe.errors import Refused, unexpected_state
from deployments.sandbox.stripe.fields import address, assign, merge_metadata
from deployments.sandbox.stripe.payment_methods import attach_to, resolve
from deployments.sandbox.stripe.subscriptions import create_subscription
from deployments.sandbox.stripe.tables import Object

INTENT_GIVEN = (
    "capture_method",
    "description",
    "receipt_email",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)

NOT_AUTHENTICATED = {
    "code": "payment_intent_authentication_failure",
    "doc_url": "https://stripe.com/docs/error-codes/payment-intent-authentication-failure",
    "message": "We are unable to authenticate your payment method. Please choose a different "
    "payment method and try again.",
    "type": "invalid_request_error",
}


def pay_checkout(
    call: Call,
    identifier: str,
    method: str = "pm_card_visa",
    email: str | None = None,
    name: str | None = None,
) -> Object:
    """Fill in the page and press pay. A decline leaves the session open."""
    session = call.account.get("checkout.session", identifier)
    if session["status"] != "open":
        raise unexpected_state(
            f"This Checkout Session is {session['status']}.", "checkout_session_unexpected_state"
        )
    session = _with_customer(call, session, email, name)
    if session["mode"] == "subscription":
        try:
            return _subscribe(call, session, method)
        except Refused as refusal:
            if refusal.status != 402:
                raise
            return session
    if session["payment_status"] == "no_payment_required":
        return _complete(call, session, {})
    return _pay(call, session, method)


def settle_checkout(call: Call, identifier: str, *, success: bool = True) -> Object:
    """A delayed payment came through, or did not."""
    account = call.account
    before = account.get("checkout.session", identifier)
    settle_payment(call, before["payment_intent"], success=success)
    paid = {"payment_status": "paid"} if success else {}
    event = f"checkout.session.async_payment_{'succeeded' if success else 'failed'}"
    return call.update(before, before | paid, event)


def settle_payment(call: Call, identifier: str, *, success: bool = True) -> Object:
    """What became of a payment intent that is processing."""
    account = call.account
    intent = account.get("payment_intent", identifier)
    if intent["status"] != "processing":
        raise unexpected_state(
            f"The payment is {intent['status']}, not processing.", "payment_intent_unexpected_state"
        )
    charge = account.get("charge", intent["latest_charge"])
    if success:
        after = succeed(call, intent, charge, "charge.succeeded")
        intent_succeeded(call, after)
    else:
        bad = declined(charge, "payment_method_provider_decline", None)
        after = fail(call, intent, bad, "charge.failed")
        intent_failed(call, after)
    return after


def authenticate(call: Call, identifier: str, *, success: bool = True) -> Object:
    """The customer took the step that `requires_action` asked for, or failed it."""
    account = call.account
    intent = account.get("payment_intent", identifier)
    if intent["status"] != "requires_action":
        raise unexpected_state(
            f"The payment is {intent['status']}, it requires no action.",
            "payment_intent_unexpected_state",
        )
    if success:
        account.hidden[intent["payment_method"]] = {"behaviour": None}
        after = attempt(call, intent)
        if after["status"] == "succeeded":
            intent_succeeded(call, after)
        return after
    method = account.get("payment_method", intent["payment_method"])
    after = intent | {
        "status": "requires_payment_method",
        "next_action": None,
        "payment_method": None,
        "last_payment_error": NOT_AUTHENTICATED | {"payment_method": method},
    }
    call.update(intent, after, "payment_intent.payment_failed")
    intent_failed(call, after)
    return after


def _pay(call: Call, session: Object, method: str) -> Object:
    account = call.account
    known = account.hidden[session["id"]]
    given = known.get("payment_intent_data", {})
    intent = new_intent(account, session["amount_total"], session["currency"], session["customer"])
    assign(intent, given, INTENT_GIVEN)
    merge_metadata(intent, given)
    intent["payment_method"] = resolve(call, method)["id"]
    call.create(intent, "payment_intent.created")
    after = attempt(call, intent, return_url=session["success_url"])
    if after["last_payment_error"] or after["status"] == "requires_action":
        # The intent stays behind the open page and is not shown on the session.
        account.put(session)
        return session
    if after["setup_future_usage"] and session["customer"]:
        attach_to(call, after["payment_method"], session["customer"])
    paid = after["status"] == "succeeded"
    return _complete(
        call,
        session,
        {"payment_intent": after["id"], "payment_status": "paid" if paid else "unpaid"},
    )


def _subscribe(call: Call, session: Object, method: str) -> Object:
    """The subscription and its first invoice are made once the payment is in."""
    account = call.account
    known = account.hidden[session["id"]]
    account.put(session)
    paying = attach_to(call, resolve(call, method)["id"], session["customer"])
    given: dict[str, Any] = {
        name: value
        for name, value in known.get("subscription_data", {}).items()
        if name in ("description", "metadata", "trial_end", "trial_period_days")
    }
    given |= {
        "customer": session["customer"],
        "default_payment_method": paying["id"],
        "items": [
            {"price": line["price"]["id"], "quantity": line["quantity"]}
            for line in known["line_items"]
        ],
        "payment_behavior": "error_if_incomplete",
    }
    for line in known["line_items"]:
        account.put(line["price"] | {"active": True})
    subscription = create_subscription(Call(account, given))
    changes = {
        "subscription": subscription["id"],
        "invoice": subscription["latest_invoice"],
        "payment_status": "paid",
    }
    return _complete(call, session, changes)


def _complete(call: Call, session: Object, changes: Object) -> Object:
    done = session | {"status": "complete", "url": None} | changes
    return call.update(session, done, "checkout.session.completed")


def _with_customer(call: Call, session: Object, email: str | None, name: str | None) -> Object:
    account = call.account
    known = account.find("customer", session["customer"] or "")
    email = email or session["customer_email"] or (known or {}).get("email")
    email = email or "guest@example.com"
    name = name or (known or {}).get("name") or "Jenny Rosen"
    always = session["mode"] == "subscription" or session["customer_creation"] == "always"
    if known is None and always:
        known = create_customer(Call(account, {"email": email, "name": name}))
    return session | {
        "customer": known["id"] if known else None,
        "customer_details": {
            "address": address({"country": "US", "postal_code": "94102"}),
            "business_name": None,
            "email": email,
            "individual_name": None,
            "name": name,
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [],
        },
    }
