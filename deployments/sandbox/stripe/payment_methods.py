"""Payment methods, and the ones every test account has.

https://docs.stripe.com/api/payment_methods · https://docs.stripe.com/testing
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused, missing
from deployments.sandbox.stripe.fields import address, assign, merge_metadata
from deployments.sandbox.stripe.tables import Object, copied

# How a charge ends: None succeeds; a card error code and decline code; or a step to take first.
ACTION, ASYNC = "action", "async"
TEST_METHODS: dict[str, tuple[str, Any]] = {
    "pm_card_visa": ("4242", None),
    "pm_card_mastercard": ("4444", None),
    "pm_card_amex": ("0005", None),
    "pm_card_chargeDeclined": ("0002", ("card_declined", "generic_decline")),
    "pm_card_visa_chargeDeclined": ("0002", ("card_declined", "generic_decline")),
    "pm_card_chargeDeclinedInsufficientFunds": ("9995", ("card_declined", "insufficient_funds")),
    "pm_card_visa_chargeDeclinedInsufficientFunds": (
        "9995",
        ("card_declined", "insufficient_funds"),
    ),
    "pm_card_chargeDeclinedLostCard": ("9987", ("card_declined", "lost_card")),
    "pm_card_chargeDeclinedExpiredCard": ("0069", ("expired_card", None)),
    "pm_card_chargeDeclinedIncorrectCvc": ("0127", ("incorrect_cvc", None)),
    "pm_card_chargeDeclinedProcessingError": ("0119", ("processing_error", None)),
    "pm_card_chargeCustomerFail": ("0341", ("card_declined", "generic_decline")),
    "pm_card_authenticationRequired": ("3155", ACTION),
    "pm_card_threeDSecure2Required": ("3220", ACTION),
    "pm_usBankAccount_success": ("6789", ASYNC),
    "pm_usBankAccount": ("6789", ASYNC),
}
BRANDS = {"pm_card_mastercard": "mastercard", "pm_card_amex": "amex"}


def new_payment_method(account: Account, kind: str, last4: str, brand: str = "visa") -> Object:
    method = account.blank("payment_method", type=kind)
    details = account.blank(kind, last4=last4) if kind in ("card", "us_bank_account") else {}
    details.pop("id", None)
    if kind == "card":
        details.update(brand=brand, display_brand=brand, exp_year=_year(account.now()) + 4)
        details["networks"]["available"] = [brand]
    return method | {kind: details}


def _year(moment: int) -> int:
    return datetime.fromtimestamp(moment, UTC).year


def resolve(call: Call, identifier: str, param: str = "payment_method") -> Object:
    """The payment method; naming one of the test methods makes a new one."""
    account = call.account
    if identifier not in TEST_METHODS:
        return account.get("payment_method", identifier, param)
    if account.livemode and call.request_id:
        raise missing("PaymentMethod", identifier, param, 400)
    last4, behaviour = TEST_METHODS[identifier]
    kind = "us_bank_account" if "usBankAccount" in identifier else "card"
    method = new_payment_method(account, kind, last4, BRANDS.get(identifier, "visa"))
    account.hidden[method["id"]] = {"behaviour": behaviour, "name": identifier}
    return account.put(method)


def behaviour_of(account: Account, method: str) -> Any:
    return account.hidden.get(method, {}).get("behaviour")


def create_payment_method(call: Call) -> Object:
    params = call.params
    kind = params.get("type") or "card"
    card = params.get(kind) if isinstance(params.get(kind), dict) else {}
    if token := (card or {}).get("token"):
        method = resolve(call, "pm_card_" + token.removeprefix("tok_"), "card[token]")
    else:
        number = str((card or {}).get("number") or (card or {}).get("account_number") or "4242")
        method = new_payment_method(call.account, kind, number[-4:])
        behaviour = next(
            (how for last4, how in TEST_METHODS.values() if last4 == number[-4:]), None
        )
        call.account.hidden[method["id"]] = {"behaviour": behaviour}
    _apply(method, params)
    return call.account.put(method)


def attach_payment_method(call: Call) -> Object:
    customer = call.params.get("customer")
    if not customer:
        raise Refused(
            400, "Missing required param: customer.", code="parameter_missing", param="customer"
        )
    return attach_to(call, call.path["payment_method"], customer)


def attach_to(call: Call, identifier: str, customer: str) -> Object:
    call.account.get("customer", customer, "customer")
    before = resolve(call, identifier)
    if before["customer"] not in (None, customer):
        raise Refused(
            400,
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    if before["customer"] == customer:
        return before
    _check_attaching(call, before)
    return call.update(before, before | {"customer": customer}, "payment_method.attached")


def _check_attaching(call: Call, method: Object) -> None:
    """Attaching tries the card; one test card fails only when it is charged."""
    known = call.account.hidden.get(method["id"], {})
    behaviour = known.get("behaviour")
    if isinstance(behaviour, tuple) and known.get("name") != "pm_card_chargeCustomerFail":
        code, decline_code = behaviour
        more = {"decline_code": decline_code} if decline_code else {}
        raise Refused(402, "Your card was declined.", kind="card_error", code=code, **more)


def detach_payment_method(call: Call) -> Object:
    before = call.account.get("payment_method", call.path["payment_method"])
    if before["customer"] is None:
        raise Refused(
            400,
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible.",
            code="payment_method_unexpected_state",
        )
    after = before | {"customer": None}
    call.account.put(after)
    call.emit("payment_method.detached", after, {"customer": before["customer"]})
    return after


def update_payment_method(call: Call) -> Object:
    before = call.account.get("payment_method", call.path["payment_method"])
    after = copied(before)
    _apply(after, call.params)
    return call.update(before, after, "payment_method.updated")


def _apply(method: Object, params: Object) -> None:
    merge_metadata(method, params)
    assign(method, params, ("allow_redisplay",))
    if details := params.get("billing_details"):
        shown = method["billing_details"]
        assign(shown, details, ("email", "name", "phone", "tax_id"))
        if "address" in details:
            shown["address"] = address(details["address"])
