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
from deployments.sandbox.stripe.lists import list_of
from deployments.sandbox.stripe.tables import Object

FINISHED = ("canceled", "incomplete_expired")


def new_subscription(account: Account, customer: str, currency: str) -> Object:
    identifier, now = account.new_id("subscription"), account.now()
    return {
        "id": identifier,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {
            "flexible": {"proration_discounts": "included"},
            "type": "flexible",
            "updated_at": None,
        },
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": now,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": list_of([], f"/v1/subscription_items?subscription={identifier}"),
        "latest_invoice": None,
        "livemode": account.livemode,
        "metadata": {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": now,
        "status": "incomplete",
        "status_details": None,
        "test_clock": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": {
            "end_behavior": {
                "billing_cycle_anchor": None,
                "missing_payment_method": "create_invoice",
            }
        },
        "trial_start": None,
    }


def new_item(account: Account, subscription: Object, price: Object, quantity: int) -> Object:
    start = account.now()
    return {
        "id": account.new_id("subscription_item"),
        "object": "subscription_item",
        "billed_until": None,
        "billing_thresholds": None,
        "created": start,
        "current_period_end": period_end(start, price["recurring"]),
        "current_period_start": start,
        "discounts": [],
        "metadata": {},
        "plan": plan_of(price),
        "price": price,
        "quantity": quantity,
        "subscription": subscription["id"],
        "tax_rates": [],
    }


def plan_of(price: Object) -> Object:
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": price["livemode"],
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": recurring["trial_period_days"],
        "usage_type": recurring["usage_type"],
    }


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
