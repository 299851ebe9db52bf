"""Controls of the simulated Stripe: what the outside world does, and looking at the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from deployments.sandbox.provider import Control
from deployments.sandbox.stripe import customers, disputes, paying_checkout, payment_intents
from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.balance import arrive, fail_payout, pay_out
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused
from deployments.sandbox.stripe.events import rotate_secret
from deployments.sandbox.stripe.ids import type_of
from deployments.sandbox.stripe.invoices import pay_invoice
from deployments.sandbox.stripe.refunds import fail_refund, settle_refund
from deployments.sandbox.stripe.renewals import renew
from deployments.sandbox.stripe.seed import counts, sow
from deployments.sandbox.stripe.subscriptions import cancel_subscription
from deployments.sandbox.stripe.tables import Object

if TYPE_CHECKING:
    from deployments.sandbox.stripe.provider import StripeSandbox

Given = dict[str, Any]
DECLINED = ("card_declined", "generic_decline")


def _charge_of(account: Account, identifier: str) -> str:
    if type_of(identifier) == "payment_intent":
        return account.get("payment_intent", identifier)["latest_charge"]
    return identifier


def _pay_checkout(call: Call, identifier: str, given: Given) -> Object:
    named = {name: given[name] for name in ("email", "name") if name in given}
    method = given.get("payment_method", "pm_card_visa")
    return paying_checkout.pay_checkout(call, identifier, method, **named)


def _pay_out(call: Call, identifier: str, given: Given) -> Object:
    currency = given.get("currency", "usd")
    funds = call.account.funds.get(currency, {"available": 0})
    return pay_out(call, int(given.get("amount") or funds["available"]), currency)


def _pay_invoice(call: Call, identifier: str, given: Given) -> Object:
    call.path = {"invoice": identifier}
    if given.get("out_of_band"):
        call.params = {"paid_out_of_band": True}
    else:
        call.params = {"payment_method": given.get("payment_method", "pm_card_visa")}
    return pay_invoice(call)


def _confirm(call: Call, identifier: str, given: Given) -> Object:
    """The customer's browser confirms with its publishable key."""
    call.path = {"intent": identifier}
    method = given.get("payment_method", "pm_card_visa")
    call.params = {"payment_method": method, "return_url": "https://example.com/return"}
    return payment_intents.confirm_payment_intent(call)


def _update_customer(call: Call, identifier: str, given: Given) -> Object:
    call.path, call.params = {"customer": identifier}, given.get("changes", {})
    return customers.update_customer(call)


def _delete_customer(call: Call, identifier: str, given: Given) -> Object:
    call.path = {"customer": identifier}
    return customers.delete_customer(call)


def _cancel_subscription(call: Call, identifier: str, given: Given) -> Object:
    call.path = {"subscription_exposed_id": identifier}
    return cancel_subscription(call)


def _good(given: Given) -> bool:
    return bool(given.get("success", True))


ACTS: dict[str, Callable[[Call, str, Given], Object]] = {
    "pay_checkout": _pay_checkout,
    "pay_checkout_async": lambda call, i, given: _pay_checkout(
        call, i, given | {"payment_method": "pm_usBankAccount_success"}
    ),
    "settle_checkout": lambda call, i, given: paying_checkout.settle_checkout(
        call, i, success=_good(given)
    ),
    "settle_payment": lambda call, i, given: paying_checkout.settle_payment(
        call, i, success=_good(given)
    ),
    "authenticate_payment": lambda call, i, given: paying_checkout.authenticate(
        call, i, success=_good(given)
    ),
    "confirm_payment": _confirm,
    "fail_refund": lambda call, i, given: fail_refund(
        call, i, given.get("reason", "expired_or_canceled_card")
    ),
    "settle_refund": lambda call, i, given: settle_refund(call, i),
    "open_dispute": lambda call, i, given: disputes.open_dispute(
        call, _charge_of(call.account, i), given.get("reason", "fraudulent")
    ),
    "close_dispute": lambda call, i, given: disputes.close_dispute(
        call, i, won=bool(given.get("won"))
    ),
    "renew_subscription": lambda call, i, given: renew(call, i),
    "fail_renewal": lambda call, i, given: renew(call, i, decline=DECLINED),
    "cancel_subscription": _cancel_subscription,
    "payout": _pay_out,
    "settle_payout": lambda call, i, given: arrive(call, i),
    "fail_payout": lambda call, i, given: fail_payout(call, i),
    "pay_invoice": _pay_invoice,
    "update_customer": _update_customer,
    "delete_customer": _delete_customer,
}


class Steering:
    """`/_sandbox/stripe/{control}`; `key` in every call names the account and the mode."""

    def __init__(self, provider: StripeSandbox) -> None:
        self.provider = provider
        self.controls: Mapping[str, Control] = {
            "act": _plainly(self.act),
            "emit": _plainly(self.emit),
            "dump": self.dump,
            "object": self.show,
            "count": lambda given: counts(self.account_of(given)),
            "account": self.settings,
            "rotate_secret": _plainly(self.rotate),
            "seed": lambda given: sow(self.account_of(given), given),
        }

    def account_of(self, given: Given) -> Account:
        return self.provider.account_of(given["key"])

    def act(self, given: Given) -> Object:
        account = self.account_of(given)
        account.catch_up()
        do = ACTS.get(given["action"])
        if do is None:
            raise ValueError(f"unknown action; one of {', '.join(sorted(ACTS))}")
        return do(Call(account), given.get("id", ""), given)

    def emit(self, given: Given) -> Object:
        account = self.account_of(given)
        thing = orjson.loads(_raw(account, given["id"]))
        return Call(account).emit(given["type"], thing, given.get("previous_attributes"))

    def show(self, given: Given) -> bytes:
        return _raw(self.account_of(given), given["id"])

    def dump(self, given: Given) -> bytes:
        """Every current object of a type, newest first."""
        table = self.account_of(given).tables[given["type"]]
        return b"[" + b",".join(table.raw[table.ids[key]] for key in reversed(table.keys)) + b"]"

    def settings(self, given: Given) -> Given:
        account = self.account_of(given)
        names = ("api_version", "search_lag", "email")
        for name in names:
            if name in given:
                setattr(account, name, given[name])
        shown = {name: getattr(account, name) for name in names}
        return {"id": account.id, "livemode": account.livemode} | shown

    def rotate(self, given: Given) -> Given:
        keep = bool(given.get("keep_old", True))
        return {"secret": rotate_secret(self.account_of(given), given["id"], keep_old=keep)}


def _raw(account: Account, identifier: str) -> bytes:
    for table in account.tables.values():
        if found := table.raw.get(identifier) or table.deleted.get(identifier):
            return found
    raise KeyError(identifier)


def _plainly(control: Control) -> Control:
    """A refusal inside a control is a wrong use of it."""

    def plain(given: Given) -> Any:
        try:
            return control(given)
        except Refused as refusal:
            raise ValueError(refusal.error["message"]) from refusal

    return plain
