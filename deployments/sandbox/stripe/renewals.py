"""What a subscription does by the calendar: bill, renew, end."""

from __future__ import annotations

from typing import Any

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.billing import (
    default_payment,
    finalize,
    new_invoice,
    pricing,
    set_lines,
    times,
)
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.collecting import collect, method_for
from deployments.sandbox.stripe.invoices import advance, parent_of, take_pending_items, void
from deployments.sandbox.stripe.subscription_states import (
    FINISHED,
    end_subscription,
    ends_at,
    period_end,
)
from deployments.sandbox.stripe.tables import Object, copied

HOUR = 3_600
INCOMPLETE_FOR = 23 * HOUR


def bill(call: Call, subscription: Object, reason: str) -> Object:
    """An invoice over the current period, finalized unless it is to be sent later."""
    account = call.account
    customer = account.get("customer", subscription["customer"])
    invoice = new_invoice(account, customer, subscription["currency"], reason)
    items = subscription["items"]["data"]
    sends = subscription["collection_method"] == "send_invoice"
    invoice.update(
        auto_advance=True,
        collection_method=subscription["collection_method"],
        default_payment_method=subscription["default_payment_method"],
        description=subscription["description"],
        parent=parent_of(subscription),
        period_start=min(item["current_period_start"] for item in items),
        period_end=max(item["current_period_end"] for item in items),
    )
    account.hidden[invoice["id"]]["days_until_due"] = subscription["days_until_due"]
    lines = [_line(account, invoice, subscription, item) for item in items]
    set_lines(account, invoice, lines)
    take_pending_items(account, invoice)
    call.create(invoice, "invoice.created")
    account.put(account.get("subscription", subscription["id"]) | {"latest_invoice": invoice["id"]})
    if not sends or subscription["status"] == "trialing":
        return finalize(call, invoice)
    account.at(account.now() + HOUR, lambda: advance(Call(account), invoice["id"]))
    return invoice


def renew(call: Call, identifier: str, decline: Any = None) -> Object:
    """The period is over: the next one begins, and is billed."""
    account = call.account
    before = account.get("subscription", identifier)
    if before["cancel_at_period_end"]:
        return end_subscription(call, before)
    after = copied(before)
    for item in after["items"]["data"]:
        start = item["current_period_end"]
        item["current_period_start"] = start
        item["current_period_end"] = period_end(start, item["price"]["recurring"])
    if after["status"] == "trialing":
        after["status"] = "active"
    call.update(before, after, "customer.subscription.updated")
    invoice = bill(call, after, "subscription_cycle")
    plan_renewal(account, identifier, ends_at(after))
    if invoice["status"] == "open" and default_payment(account, invoice):
        collect(call, invoice, method_for(call, invoice), decline=decline)
    return account.get("subscription", identifier)


def plan_renewal(account: Account, identifier: str, moment: int) -> None:
    account.at(moment, lambda: _renew_if_due(account, identifier, moment))


def plan_end_of_incomplete(account: Account, identifier: str) -> None:
    account.at(account.now() + INCOMPLETE_FOR, lambda: _expire(account, identifier))


def _renew_if_due(account: Account, identifier: str, moment: int) -> None:
    subscription = account.find("subscription", identifier)
    if subscription is None or subscription["status"] in (*FINISHED, "incomplete"):
        return
    if ends_at(subscription) == moment:
        renew(Call(account), identifier)


def _expire(account: Account, identifier: str) -> None:
    """The first payment did not come in time."""
    before = account.find("subscription", identifier)
    if before is None or before["status"] != "incomplete":
        return
    call = Call(account)
    after = before | {"status": "incomplete_expired", "ended_at": account.now()}
    call.update(before, after, "customer.subscription.updated")
    invoice = account.find("invoice", before["latest_invoice"])
    if invoice and invoice["status"] == "open":
        void(call, invoice)


def _line(account: Account, invoice: Object, subscription: Object, item: Object) -> Object:
    price, quantity = item["price"], item["quantity"]
    free = subscription["status"] == "trialing"
    amount = 0 if free else times(price["unit_amount_decimal"], quantity)
    product = account.find("product", price["product"])
    name = product["name"] if product else price["product"]
    return account.blank(
        "line_item",
        amount=amount,
        currency=invoice["currency"],
        description=f"{quantity} × {name}",
        invoice=invoice["id"],
        metadata=subscription["metadata"],
        parent=_parent(subscription, item),
        period={"start": item["current_period_start"], "end": item["current_period_end"]},
        pricing=pricing(price),
        quantity=quantity,
        quantity_decimal=str(quantity),
        subscription=subscription["id"],
        subtotal=amount,
    )


def _parent(subscription: Object, item: Object) -> Object:
    return {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": subscription["id"],
            "subscription_item": item["id"],
        },
        "type": "subscription_item_details",
    }
