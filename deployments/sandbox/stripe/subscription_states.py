"""Subscriptions as objects: their items, periods and states.

incomplete → active · trialing → past_due → unpaid · canceled · incomplete_expired
https://docs.stripe.com/billing/subscriptions/overview
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.billing import DAY
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.tables import Object

RECURRING = ("interval", "interval_count", "trial_period_days", "usage_type")
FINISHED = ("canceled", "incomplete_expired")


def new_subscription(account: Account, customer: str, currency: str) -> Object:
    now = account.now()
    subscription = account.blank("subscription", customer=customer, currency=currency)
    subscription.update(billing_cycle_anchor=now, start_date=now)
    subscription["items"]["url"] = f"/v1/subscription_items?subscription={subscription['id']}"
    return subscription


def new_item(account: Account, subscription: Object, price: Object, quantity: int) -> Object:
    start = account.now()
    return account.blank(
        "subscription_item",
        current_period_start=start,
        current_period_end=period_end(start, price["recurring"]),
        plan=plan_of(account, price),
        price=price,
        quantity=quantity,
        subscription=subscription["id"],
    )


def plan_of(account: Account, price: Object) -> Object:
    """The price in the form that it had before there were prices."""
    same = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata",
            "nickname", "product")  # fmt: skip
    return account.blank(
        "plan",
        **{name: price[name] for name in same},
        **{name: price["recurring"][name] for name in RECURRING},
        amount=price["unit_amount"],
        amount_decimal=price["unit_amount_decimal"],
    )


def period_end(start: int, recurring: Object) -> int:
    count = recurring["interval_count"]
    match recurring["interval"]:
        case "day":
            return start + count * DAY
        case "week":
            return start + count * 7 * DAY
        case "month":
            return _months_later(start, count)
        case _:
            return _months_later(start, 12 * count)


def _months_later(start: int, months: int) -> int:
    """The same day of a later month, or its last."""
    moment = datetime.fromtimestamp(start, UTC)
    years, month = divmod(moment.month - 1 + months, 12)
    year = moment.year + years
    day = min(moment.day, monthrange(year, month + 1)[1])
    days = (datetime(year, month + 1, day, tzinfo=UTC).date() - moment.date()).days
    return int((moment + timedelta(days=days)).timestamp())


def ends_at(subscription: Object) -> int:
    return min(item["current_period_end"] for item in subscription["items"]["data"])


def activate(call: Call, identifier: str, method: str | None) -> None:
    """An invoice of the subscription was paid."""
    before = call.account.get("subscription", identifier)
    if before["status"] not in ("incomplete", "past_due", "unpaid"):
        return
    after = before | {"status": "active"}
    save = before["payment_settings"]["save_default_payment_method"] == "on_subscription"
    if save and method:
        after["default_payment_method"] = method
    call.update(before, after, "customer.subscription.updated")


def fall_behind(call: Call, identifier: str) -> None:
    """An invoice of the subscription could not be collected."""
    before = call.account.get("subscription", identifier)
    if before["status"] == "active":
        call.update(before, before | {"status": "past_due"}, "customer.subscription.updated")


def end_subscription(
    call: Call, before: Object, reason: str | None = "cancellation_requested", **details: str
) -> Object:
    """Canceled for good; its open invoices are no longer collected automatically."""
    account = call.account
    now = account.now()
    after = before | {
        "status": "canceled",
        "canceled_at": before["canceled_at"] or now,
        "ended_at": now,
        "cancel_at_period_end": False,
        "cancellation_details": before["cancellation_details"] | {"reason": reason} | details,
    }
    path = "parent.subscription_details.subscription"
    for invoice in account.linked("invoice", path, before["id"]):
        if invoice["status"] in ("draft", "open") and invoice["auto_advance"]:
            stopped = invoice | {"auto_advance": False, "next_payment_attempt": None}
            call.update(invoice, stopped, "invoice.updated")
    return call.update(before, after, "customer.subscription.deleted")
