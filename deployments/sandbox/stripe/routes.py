"""Every operation of the description, and what carries it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from deployments.sandbox.stripe import (
    balance,
    checkout,
    credit_notes,
    customers,
    events,
    invoice_items,
    invoices,
    payment_intents,
    payment_methods,
    products,
    refunds,
    subscriptions,
)
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.listings import LISTINGS
from deployments.sandbox.stripe.lists import Listing, list_objects, page_of
from deployments.sandbox.stripe.parameters import OPERATIONS
from deployments.sandbox.stripe.search import SEARCHED, search
from deployments.sandbox.stripe.tables import Object

Run = Callable[[Call], Any]

RETRIEVED = {
    "/v1/balance_transactions/{id}": "balance_transaction",
    "/v1/charges/{charge}": "charge",
    "/v1/checkout/sessions/{session}": "checkout.session",
    "/v1/credit_notes/{id}": "credit_note",
    "/v1/customers/{customer}": "customer",
    "/v1/disputes/{dispute}": "dispute",
    "/v1/invoice_payments/{invoice_payment}": "invoice_payment",
    "/v1/invoiceitems/{invoiceitem}": "invoiceitem",
    "/v1/invoices/{invoice}": "invoice",
    "/v1/payment_intents/{intent}": "payment_intent",
    "/v1/payment_methods/{payment_method}": "payment_method",
    "/v1/payouts/{payout}": "payout",
    "/v1/prices/{price}": "price",
    "/v1/products/{id}": "product",
    "/v1/refunds/{refund}": "refund",
    "/v1/subscriptions/{subscription_exposed_id}": "subscription",
    "/v1/webhook_endpoints/{webhook_endpoint}": "webhook_endpoint",
}
# Of these a deleted one is still answered for, with `deleted: true` and nothing else.
REMEMBERED = ("customer", "product")


def _retrieve(kind: str, call: Call) -> Object | bytes:
    (identifier,) = call.path.values()
    table = call.account.tables[kind]
    if raw := table.raw.get(identifier):
        return raw
    if kind in REMEMBERED and identifier in table.deleted:
        return table.deleted[identifier]
    return call.account.get(kind, identifier)


def _list(listing: Listing, url: str, call: Call) -> bytes:
    return list_objects(call, listing, url)


def _account(call: Call) -> Object:
    account = call.account
    return account.blank("account", email=account.email) | {"id": account.id}


def _charge_refunds(call: Call) -> Object:
    charge = call.account.get("charge", call.path["charge"])
    found = call.account.linked("refund", "charge", charge["id"])
    return page_of(found, call.params, f"/v1/charges/{charge['id']}/refunds")


WRITTEN: dict[str, Run] = {
    "GET /v1/account": _account,
    "GET /v1/balance": balance.retrieve_balance,
    "GET /v1/charges/{charge}/refunds": _charge_refunds,
    "GET /v1/checkout/sessions/{session}/line_items": checkout.list_line_items,
    "POST /v1/checkout/sessions": checkout.create_session,
    "POST /v1/checkout/sessions/{session}": checkout.update_session,
    "POST /v1/checkout/sessions/{session}/expire": checkout.expire_session,
    "POST /v1/credit_notes": credit_notes.create_credit_note,
    "POST /v1/customers": customers.create_customer,
    "POST /v1/customers/{customer}": customers.update_customer,
    "DELETE /v1/customers/{customer}": customers.delete_customer,
    "GET /v1/events/{id}": events.retrieve_event,
    "POST /v1/invoiceitems": invoice_items.create_invoice_item,
    "POST /v1/invoiceitems/{invoiceitem}": invoice_items.update_invoice_item,
    "DELETE /v1/invoiceitems/{invoiceitem}": invoice_items.delete_invoice_item,
    "POST /v1/invoices": invoices.create_invoice,
    "POST /v1/invoices/{invoice}": invoices.update_invoice,
    "DELETE /v1/invoices/{invoice}": invoices.delete_invoice,
    "POST /v1/invoices/{invoice}/add_lines": invoice_items.add_lines,
    "POST /v1/invoices/{invoice}/finalize": invoices.finalize_invoice,
    "GET /v1/invoices/{invoice}/lines": invoice_items.list_lines,
    "POST /v1/invoices/{invoice}/mark_uncollectible": invoices.mark_uncollectible,
    "POST /v1/invoices/{invoice}/pay": invoices.pay_invoice,
    "POST /v1/invoices/{invoice}/remove_lines": invoice_items.remove_lines,
    "POST /v1/invoices/{invoice}/send": invoices.send_invoice,
    "POST /v1/invoices/{invoice}/update_lines": invoice_items.update_lines,
    "POST /v1/invoices/{invoice}/void": invoices.void_invoice,
    "POST /v1/payment_intents": payment_intents.create_payment_intent,
    "POST /v1/payment_intents/{intent}": payment_intents.update_payment_intent,
    "POST /v1/payment_intents/{intent}/cancel": payment_intents.cancel_payment_intent,
    "POST /v1/payment_intents/{intent}/capture": payment_intents.capture_payment_intent,
    "POST /v1/payment_intents/{intent}/confirm": payment_intents.confirm_payment_intent,
    "POST /v1/payment_methods": payment_methods.create_payment_method,
    "POST /v1/payment_methods/{payment_method}/attach": payment_methods.attach_payment_method,
    "POST /v1/payment_methods/{payment_method}/detach": payment_methods.detach_payment_method,
    "POST /v1/prices": products.create_price,
    "POST /v1/prices/{price}": products.update_price,
    "POST /v1/products": products.create_product,
    "POST /v1/products/{id}": products.update_product,
    "DELETE /v1/products/{id}": products.delete_product,
    "POST /v1/refunds": refunds.create_refund,
    "POST /v1/refunds/{refund}": refunds.update_refund,
    "POST /v1/refunds/{refund}/cancel": refunds.cancel_refund,
    "GET /v1/subscription_items": subscriptions.list_items,
    "GET /v1/subscription_items/{item}": subscriptions.retrieve_item,
    "POST /v1/subscriptions": subscriptions.create_subscription,
    "POST /v1/subscriptions/{subscription_exposed_id}": subscriptions.update_subscription,
    "DELETE /v1/subscriptions/{subscription_exposed_id}": subscriptions.cancel_subscription,
    "POST /v1/webhook_endpoints": events.create_webhook_endpoint,
    "POST /v1/webhook_endpoints/{webhook_endpoint}": events.update_webhook_endpoint,
    "DELETE /v1/webhook_endpoints/{webhook_endpoint}": events.delete_webhook_endpoint,
}

ROUTES: dict[str, Run] = {
    **{f"GET {p}": partial(_list, each, p) for p, each in LISTINGS.items()},
    **{f"GET {path}": partial(_retrieve, kind) for path, kind in RETRIEVED.items()},
    **{f"GET {path}/search": partial(search, kind) for path, kind in SEARCHED.items()},
    **WRITTEN,
}


@dataclass(frozen=True, slots=True)
class Found:
    operation: str
    path: dict[str, str]


def find(method: str, path: str) -> Found | None:
    """The operation at a path; words win over placeholders."""
    parts = path.strip("/").split("/")
    for template in TEMPLATES.get((method, len(parts)), ()):
        if (values := _match(template, parts)) is not None:
            return Found(f"{method} /{'/'.join(template)}", values)
    return None


def _match(template: tuple[str, ...], parts: list[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for pattern, part in zip(template, parts, strict=True):
        if pattern.startswith("{"):
            values[pattern[1:-1]] = part
        elif pattern != part:
            return None
    return values


def _templates() -> dict[tuple[str, int], list[tuple[str, ...]]]:
    found: dict[tuple[str, int], list[tuple[str, ...]]] = {}
    for operation in sorted(OPERATIONS, key=lambda name: name.count("{")):
        method, _, path = operation.partition(" ")
        template = tuple(path.strip("/").split("/"))
        found.setdefault((method, len(template)), []).append(template)
    return found


TEMPLATES = _templates()
