"""Subscriptions, the operations. https://docs.stripe.com/api/subscriptions"""

from __future__ import annotations

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.billing import DAY, default_payment
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.collecting import collect, method_for
from deployments.sandbox.stripe.errors import Refused, missing, required, unexpected_state
from deployments.sandbox.stripe.fields import assign, merge_metadata
from deployments.sandbox.stripe.lists import page_of
from deployments.sandbox.stripe.payment_intents import declined_error
from deployments.sandbox.stripe.payment_methods import behaviour_of
from deployments.sandbox.stripe.products import price_from
from deployments.sandbox.stripe.renewals import bill, plan_end_of_incomplete, plan_renewal
from deployments.sandbox.stripe.subscription_states import (
    FINISHED,
    end_subscription,
    ends_at,
    new_item,
    new_subscription,
    plan_of,
)
from deployments.sandbox.stripe.tables import Object, copied

GIVEN = (
    "cancel_at_period_end",
    "collection_method",
    "days_until_due",
    "default_payment_method",
    "description",
)


def create_subscription(call: Call) -> Object:
    account, params = call.account, call.params
    if not params.get("customer"):
        raise required("customer")
    if not params.get("items"):
        raise required("items")
    customer = account.get("customer", params["customer"], "customer")
    prices = [_price(call, each, at) for at, each in enumerate(params["items"])]
    subscription = new_subscription(account, customer["id"], prices[0]["currency"])
    _apply(call, subscription)
    subscription["items"]["data"] = [
        _item(account, subscription, price, given)
        for price, given in zip(prices, params["items"], strict=True)
    ]
    _check_collection(subscription)
    _set_trial(call, subscription)
    account.put(customer | {"currency": customer["currency"] or subscription["currency"]})
    return start(call, subscription, params.get("payment_behavior", "allow_incomplete"))


def start(call: Call, subscription: Object, behaviour: str) -> Object:
    """The first invoice decides how the subscription begins."""
    account = call.account
    sends = subscription["collection_method"] == "send_invoice"
    if subscription["trial_end"]:
        subscription["status"] = "trialing"
    elif sends:
        subscription["status"] = "active"
    elif behaviour != "default_incomplete":
        _require_method(call, subscription, behaviour)
    call.create(subscription, "customer.subscription.created")
    invoice = bill(call, subscription, "subscription_create")
    plan_renewal(account, subscription["id"], ends_at(subscription))
    if subscription["status"] == "incomplete":
        plan_end_of_incomplete(account, subscription["id"])
        if behaviour != "default_incomplete":
            _pay_first(call, invoice, behaviour)
    return account.get("subscription", subscription["id"])


def update_subscription(call: Call) -> Object:
    account, params = call.account, call.params
    before = account.get("subscription", call.path["subscription_exposed_id"])
    if before["status"] in FINISHED and params.keys() - {
        "metadata",
        "cancellation_details",
        "expand",
    }:
        raise unexpected_state(
            "A canceled subscription can only update its cancellation_details and metadata.",
            "resource_missing",
        )
    after = copied(before)
    _apply(call, after)
    for at, given in enumerate(params.get("items", [])):
        _change_item(call, after, given, at)
    if params.get("cancel_at_period_end"):
        after.update(cancel_at=ends_at(after), canceled_at=account.now())
        after["cancellation_details"]["reason"] = "cancellation_requested"
    elif params.get("cancel_at_period_end") is False:
        after.update(cancel_at=None, canceled_at=None)
        after["cancellation_details"]["reason"] = None
    return call.update(before, after, "customer.subscription.updated")


def cancel_subscription(call: Call) -> Object:
    identifier = call.path["subscription_exposed_id"]
    before = call.account.get("subscription", identifier)
    if before["status"] in FINISHED:
        raise missing("subscription", identifier, "id")
    details = {
        name: value
        for name, value in call.params.get("cancellation_details", {}).items()
        if name in ("comment", "feedback")
    }
    return end_subscription(call, before, **details)


def list_items(call: Call) -> Object:
    identifier = call.params["subscription"]
    subscription = call.account.get("subscription", identifier, "subscription")
    return page_of(
        subscription["items"]["data"],
        call.params,
        f"/v1/subscription_items?subscription={identifier}",
    )


def retrieve_item(call: Call) -> Object:
    identifier = call.path["item"]
    for subscription in call.account.tables["subscription"].all():
        for item in subscription["items"]["data"]:
            if item["id"] == identifier:
                return item
    raise missing("subscription_item", identifier)


def _apply(call: Call, subscription: Object) -> None:
    params = call.params
    assign(subscription, params, GIVEN)
    merge_metadata(subscription, params)
    if method := params.get("default_payment_method"):
        owner = call.account.get("payment_method", method, "default_payment_method")["customer"]
        if owner != subscription["customer"]:
            raise missing("PaymentMethod", method, "default_payment_method", 400)
    if settings := params.get("payment_settings"):
        shown = subscription["payment_settings"]
        assign(shown, settings, ("payment_method_types", "save_default_payment_method"))
    if details := params.get("cancellation_details"):
        assign(subscription["cancellation_details"], details, ("comment", "feedback"))
    if isinstance(params.get("cancel_at"), int):
        subscription["cancel_at"] = params["cancel_at"]


def _price(call: Call, given: Object, at: int) -> Object:
    param = f"items[{at}][price]"
    if inline := given.get("price_data"):
        call.account.get("product", inline["product"], f"items[{at}][price_data][product]")
        return call.account.put(price_from(call, inline))
    identifier = given.get("price") or given.get("plan")
    if not identifier:
        raise required(param)
    price = call.account.get("price", identifier, param)
    if price["type"] != "recurring":
        raise Refused(
            400,
            "The price specified is set to `type=one_time` but this field only accepts prices "
            "with `type=recurring`.",
            param=param,
        )
    if not price["active"]:
        raise Refused(400, f"The price specified is inactive: {identifier}.", param=param)
    return price


def _item(account: Account, subscription: Object, price: Object, given: Object) -> Object:
    item = new_item(account, subscription, price, given.get("quantity", 1))
    merge_metadata(item, given)
    return item


def _change_item(call: Call, subscription: Object, given: Object, at: int) -> None:
    """By id: change or delete. Without: one more item. Nothing is prorated."""
    items = subscription["items"]["data"]
    identifier = given.get("id")
    if identifier is None:
        items.append(_item(call.account, subscription, _price(call, given, at), given))
        return
    found = [item for item in items if item["id"] == identifier]
    if not found:
        raise missing("subscription item", identifier, f"items[{at}][id]", 400)
    if given.get("deleted"):
        items.remove(found[0])
        return
    if "price" in given or "price_data" in given:
        price = _price(call, given, at)
        found[0].update(price=price, plan=plan_of(call.account, price))
    assign(found[0], given, ("quantity",))
    merge_metadata(found[0], given)


def _check_collection(subscription: Object) -> None:
    sends = subscription["collection_method"] == "send_invoice"
    if sends and subscription["days_until_due"] is None:
        raise Refused(
            400,
            "If you set `collection_method` to `send_invoice`, you must also set `days_until_due`.",
            code="parameter_missing",
            param="days_until_due",
        )
    if not sends and subscription["days_until_due"] is not None:
        raise Refused(
            400,
            "You can only set `days_until_due` if `collection_method` is `send_invoice`.",
            param="days_until_due",
        )


def _set_trial(call: Call, subscription: Object) -> None:
    now, params = call.account.now(), call.params
    end = params.get("trial_end")
    if days := params.get("trial_period_days"):
        end = now + days * DAY
    if not isinstance(end, int):
        return
    subscription.update(trial_start=now, trial_end=end, billing_cycle_anchor=end)
    for item in subscription["items"]["data"]:
        item["current_period_end"] = end


def _require_method(call: Call, subscription: Object, behaviour: str) -> None:
    """Only `default_incomplete` begins without a way to pay."""
    customer = call.account.get("customer", subscription["customer"])
    method = (
        subscription["default_payment_method"]
        or customer["invoice_settings"]["default_payment_method"]
    )
    if method is None:
        raise unexpected_state(
            "This customer has no attached payment source or default payment method. Please "
            "consider adding a default payment method. For more information, visit "
            "https://stripe.com/docs/billing/subscriptions/payment-methods-setting.",
            "resource_missing",
        )
    declined = behaviour_of(call.account, method)
    if behaviour == "error_if_incomplete" and declined:
        raise Refused(402, "Your card was declined.", kind="card_error", code="card_declined")


def _pay_first(call: Call, invoice: Object, behaviour: str) -> None:
    if default_payment(call.account, invoice) is None:
        return
    intent = collect(call, invoice, method_for(call, invoice), may_act=True)
    if intent["last_payment_error"] and behaviour == "error_if_incomplete":
        raise declined_error(intent, intent["last_payment_error"])
