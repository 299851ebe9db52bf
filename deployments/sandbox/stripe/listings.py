"""Which lists there are and what each can be filtered by."""

from __future__ import annotations

from deployments.sandbox.stripe.errors import Refused
from deployments.sandbox.stripe.events import event_conditions, event_horizon
from deployments.sandbox.stripe.lists import Fits, Listing
from deployments.sandbox.stripe.tables import Object, at


def _subscriptions(params: Object) -> Fits | None:
    """Canceled ones are hidden unless asked for."""
    status = params.get("status")
    price = params.get("price") or params.get("plan")

    def fits(subscription: Object) -> bool:
        return _status_shown(subscription["status"], status) and (
            price is None or any(i["price"]["id"] == price for i in _items(subscription))
        )

    return fits if status != "all" or price else None


def _subscription_conditions(params: Object) -> Fits | None:
    tests = [test for test in (_subscriptions(params), _periods(params)) if test]
    return (lambda subscription: all(test(subscription) for test in tests)) if tests else None


def _status_shown(status: str, wanted: str | None) -> bool:
    if wanted is None:
        return status != "canceled"
    if wanted == "ended":
        return status in ("canceled", "incomplete_expired")
    return wanted in ("all", status)


def _items(subscription: Object) -> list[Object]:
    return subscription["items"]["data"]


def _periods(params: Object) -> Fits | None:
    """Subscriptions by the period of their items, which is where periods live since basil."""
    wanted = {n: params[n] for n in ("current_period_start", "current_period_end") if n in params}
    if not wanted:
        return None
    return lambda subscription: all(
        any(_inside(at(item, name), bounds) for item in _items(subscription))
        for name, bounds in wanted.items()
    )


def _inside(value: int, bounds: Object | int) -> bool:
    if isinstance(bounds, int):
        return value == bounds
    tests = {
        "gt": value.__gt__, "gte": value.__ge__, "lt": value.__lt__, "lte": value.__le__,
    }  # fmt: skip
    return all(tests[name](limit) for name, limit in bounds.items())


def _invoice_items(params: Object) -> Fits | None:
    pending = params.get("pending")
    return None if pending is None else lambda item: (item["invoice"] is None) == pending


def _invoice_payments(params: Object) -> Fits | None:
    wanted = params.get("payment")
    if not wanted:
        return None
    kind = wanted["type"]
    if kind not in wanted:
        return lambda payment: payment["payment"]["type"] == kind
    return lambda payment: payment["payment"].get(kind) == wanted[kind]


def _prices(params: Object) -> Fits | None:
    keys = params.get("lookup_keys")
    if keys and len(keys) > 10:
        raise Refused(400, "You can pass at most 10 lookup keys.", param="lookup_keys")
    return (lambda price: price["lookup_key"] in keys) if keys else None


def _products(params: Object) -> Fits | None:
    ids = params.get("ids")
    return (lambda product: product["id"] in ids) if ids else None


LISTINGS: dict[str, Listing] = {
    "/v1/balance_transactions": Listing(
        "balance_transaction",
        links={"source": "source", "payout": "payout"},
        equal={"currency": "currency", "type": "type"},
    ),
    "/v1/charges": Listing(
        "charge",
        links={
            "customer": "customer",
            "payment_intent": "payment_intent",
            "transfer_group": "transfer_group",
        },
    ),
    "/v1/checkout/sessions": Listing(
        "checkout.session",
        links={
            "customer": "customer",
            "payment_intent": "payment_intent",
            "subscription": "subscription",
            "status": "status",
        },
        equal={"customer_details.email": "customer_details.email"},
    ),
    "/v1/credit_notes": Listing(
        "credit_note", links={"customer": "customer", "invoice": "invoice"}
    ),
    "/v1/customers": Listing(
        "customer", links={"email": "email"}, equal={"test_clock": "test_clock"}
    ),
    "/v1/disputes": Listing(
        "dispute", links={"charge": "charge", "payment_intent": "payment_intent"}
    ),
    "/v1/events": Listing(
        "event",
        links={"type": "type", "types": "type"},
        special=event_conditions,
        horizon=event_horizon,
    ),
    "/v1/invoice_payments": Listing(
        "invoice_payment",
        links={"invoice": "invoice", "payment.payment_intent": "payment.payment_intent"},
        equal={"status": "status"},
        special=_invoice_payments,
    ),
    "/v1/invoiceitems": Listing(
        "invoiceitem",
        links={"customer": "customer", "invoice": "invoice"},
        special=_invoice_items,
    ),
    "/v1/invoices": Listing(
        "invoice",
        links={
            "customer": "customer",
            "subscription": "parent.subscription_details.subscription",
            "status": "status",
        },
        equal={"collection_method": "collection_method"},
        ranges={"due_date": "due_date"},
    ),
    "/v1/payment_intents": Listing("payment_intent", links={"customer": "customer"}),
    "/v1/payment_methods": Listing(
        "payment_method",
        links={"customer": "customer"},
        equal={"type": "type", "allow_redisplay": "allow_redisplay"},
    ),
    "/v1/payouts": Listing(
        "payout",
        equal={"status": "status", "destination": "destination"},
        ranges={"arrival_date": "arrival_date"},
    ),
    "/v1/prices": Listing(
        "price",
        links={"product": "product"},
        equal={
            "active": "active",
            "currency": "currency",
            "type": "type",
            "recurring.interval": "recurring.interval",
            "recurring.usage_type": "recurring.usage_type",
        },
        special=_prices,
    ),
    "/v1/products": Listing(
        "product",
        equal={"active": "active", "shippable": "shippable", "type": "type", "url": "url"},
        special=_products,
    ),
    "/v1/refunds": Listing(
        "refund", links={"charge": "charge", "payment_intent": "payment_intent"}
    ),
    "/v1/subscriptions": Listing(
        "subscription",
        links={"customer": "customer"},
        equal={
            "collection_method": "collection_method",
            "automatic_tax.enabled": "automatic_tax.enabled",
        },
        special=_subscription_conditions,
    ),
    "/v1/webhook_endpoints": Listing("webhook_endpoint"),
}
