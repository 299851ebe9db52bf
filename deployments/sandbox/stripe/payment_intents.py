"""Payment intents. https://docs.stripe.com/api/payment_intents"""

from __future__ import annotations

from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.charges import settled
from deployments.sandbox.stripe.charging import attempt, new_intent
from deployments.sandbox.stripe.collecting import intent_failed, intent_succeeded
from deployments.sandbox.stripe.errors import Refused, unexpected_state
from deployments.sandbox.stripe.fields import assign, merge_metadata
from deployments.sandbox.stripe.money import check_amount, check_currency
from deployments.sandbox.stripe.payment_methods import attach_to, resolve
from deployments.sandbox.stripe.tables import Object, copied

PLAIN = (
    "allowed_payment_method_types",
    "capture_method",
    "confirmation_method",
    "description",
    "excluded_payment_method_types",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


def create_payment_intent(call: Call) -> Object:
    params = call.params
    currency = check_currency(params["currency"])
    amount = check_amount(params["amount"], currency)
    if customer := params.get("customer"):
        call.account.get("customer", customer, "customer")
    if params.get("off_session") and not params.get("confirm"):
        raise Refused(
            400,
            "off_session is only for payment intents that are confirmed at once.",
            code="payment_intent_invalid_parameter",
            param="off_session",
        )
    intent = new_intent(call.account, amount, currency, customer or None)
    if "automatic_payment_methods" in params:
        intent["automatic_payment_methods"] = {"allow_redirects": "always"} | params[
            "automatic_payment_methods"
        ]
    _apply(call, intent)
    if params.get("confirm"):
        _check_confirmation(call, intent)
    call.create(intent, "payment_intent.created")
    return _confirm(call, intent) if params.get("confirm") else intent


def update_payment_intent(call: Call) -> Object:
    before = call.account.get("payment_intent", call.path["intent"])
    fixed = {"amount", "currency", "payment_method", "capture_method"} & call.params.keys()
    if fixed and before["status"] not in OPEN:
        raise _wrong_state(before, "update", f"{sorted(fixed)[0]} on")
    after = copied(before)
    if "currency" in call.params:
        after["currency"] = check_currency(call.params["currency"])
    if "amount" in call.params:
        after["amount"] = check_amount(call.params["amount"], after["currency"])
    if "customer" in call.params:
        call.account.get("customer", call.params["customer"], "customer")
        after["customer"] = call.params["customer"]
    _apply(call, after)
    return call.update(before, after)


def confirm_payment_intent(call: Call) -> Object:
    intent = call.account.get("payment_intent", call.path["intent"])
    if intent["status"] not in OPEN:
        raise _wrong_state(intent, "confirm")
    _apply(call, intent)
    _check_confirmation(call, intent)
    return _confirm(call, intent)


def capture_payment_intent(call: Call) -> Object:
    """Take all or a part of what is held; the rest is let go."""
    account = call.account
    intent = account.get("payment_intent", call.path["intent"])
    if intent["status"] != "requires_capture":
        raise _wrong_state(intent, "capture")
    amount = call.params.get("amount_to_capture", intent["amount_capturable"])
    if not 0 < amount <= intent["amount_capturable"]:
        raise Refused(
            400,
            "The amount to capture has to be positive and at most the amount capturable.",
            code="amount_too_large" if amount > 0 else "amount_too_small",
            param="amount_to_capture",
        )
    merge_metadata(intent, call.params)
    charge = settled(account, account.get("charge", intent["latest_charge"]), amount)
    charge["amount_refunded"] = charge["amount"] - amount
    intent.update(status="succeeded", amount_received=amount, amount_capturable=0)
    account.put(intent)
    call.create(charge, "charge.captured")
    call.emit("payment_intent.succeeded", intent)
    intent_succeeded(call, intent)
    return intent


def cancel_payment_intent(call: Call) -> Object:
    account = call.account
    before = account.get("payment_intent", call.path["intent"])
    if before["status"] not in (*OPEN, "requires_capture"):
        raise _wrong_state(before, "cancel")
    after = before | {
        "status": "canceled",
        "canceled_at": account.now(),
        "cancellation_reason": call.params.get("cancellation_reason"),
        "amount_capturable": 0,
        "next_action": None,
    }
    if before["status"] == "requires_capture":
        charge = account.get("charge", before["latest_charge"])
        released = charge | {"refunded": True, "amount_refunded": charge["amount"]}
        call.create(released, "charge.refunded")
    return call.update(before, after, "payment_intent.canceled")


def _apply(call: Call, intent: Object) -> None:
    params = call.params
    assign(intent, params, PLAIN)
    merge_metadata(intent, params)
    if given := params.get("payment_method_data"):
        params = params | {"payment_method": _method_from(call, given)}
    if identifier := params.get("payment_method"):
        method = resolve(call, identifier)
        if method["customer"] and method["customer"] != intent["customer"]:
            raise Refused(
                400,
                f"The provided PaymentMethod {identifier} is attached to a customer; pass the "
                "customer as well.",
                code="payment_intent_invalid_parameter",
                param="payment_method",
            )
        intent["payment_method"] = method["id"]
        if intent["status"] == "requires_payment_method":
            intent["status"] = "requires_confirmation"


def _method_from(call: Call, given: Object) -> str:
    from deployments.sandbox.stripe.payment_methods import create_payment_method

    return create_payment_method(Call(call.account, given))["id"]


def _check_confirmation(call: Call, intent: Object) -> None:
    if not intent["payment_method"]:
        raise unexpected_state(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You "
            "can either update the PaymentIntent with a payment method and then confirm it "
            "again, or confirm it again directly with a payment method.",
            "payment_intent_unexpected_state",
        )
    automatic = intent["automatic_payment_methods"] or {}
    redirects = automatic.get("enabled") and automatic.get("allow_redirects") != "never"
    named = intent["allowed_payment_method_types"]
    needless = call.params.get("off_session") or named in (["card"], ["us_bank_account"])
    if redirects and not needless and not call.params.get("return_url"):
        raise Refused(
            400,
            "This PaymentIntent is configured to accept payment methods enabled in your "
            "Dashboard. Because some of these payment methods might redirect your customer off "
            "of your page, you must provide a `return_url`. If you don't want to accept "
            "redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` "
            "and `automatic_payment_methods[allow_redirects]` to `never`.",
            param="return_url",
        )


def _confirm(call: Call, intent: Object) -> Object:
    params = call.params
    silent = bool(params.get("off_session") or params.get("error_on_requires_action"))
    after = attempt(call, intent, may_act=not silent, return_url=params.get("return_url"))
    if after["status"] == "succeeded":
        intent_succeeded(call, after)
        if after["setup_future_usage"] and after["customer"]:
            attach_to(call, after["payment_method"], after["customer"])
    elif error := after["last_payment_error"]:
        intent_failed(call, after)
        raise declined_error(after, error)
    return after


def declined_error(intent: Object, error: Object) -> Refused:
    more = {
        name: error[name] for name in ("charge", "decline_code", "payment_method") if name in error
    }
    return Refused(
        402, error["message"], kind="card_error", code=error["code"], payment_intent=intent, **more
    )


def _wrong_state(intent: Object, verb: str, what: str = "") -> Refused:
    return unexpected_state(
        f"You cannot {verb} {what or 'this'} PaymentIntent because it has a status of "
        f"{intent['status']}.",
        "payment_intent_unexpected_state",
        payment_intent=intent,
    )
