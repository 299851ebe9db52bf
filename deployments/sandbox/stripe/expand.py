"""Expanding: an id in an answer is replaced by its object, up to four levels deep.

https://docs.stripe.com/expand
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.errors import Refused
from deployments.sandbox.stripe.ids import type_of
from deployments.sandbox.stripe.parameters import EXPANDABLE
from deployments.sandbox.stripe.tables import Object

DEEPEST = 4
Include = Callable[[Account, Object], Any]


def _newest(account: Account, kind: str, path: str, thing: Object, url: str) -> Object:
    found = account.linked(kind, path, thing["id"])
    return {"object": "list", "data": found[:10], "has_more": len(found) > 10, "url": url}


def _refunds(account: Account, charge: Object) -> Object:
    return _newest(account, "refund", "charge", charge, f"/v1/charges/{charge['id']}/refunds")


def _payments(account: Account, invoice: Object) -> Object:
    return _newest(
        account,
        "invoice_payment",
        "invoice",
        invoice,
        f"/v1/invoice_payments?invoice={invoice['id']}",
    )


def _subscriptions(account: Account, customer: Object) -> Object:
    url = f"/v1/customers/{customer['id']}/subscriptions"
    found = _newest(account, "subscription", "customer", customer, url)
    found["data"] = [each for each in found["data"] if each["status"] != "canceled"]
    return found


def _confirmation_secret(account: Account, invoice: Object) -> Object | None:
    if invoice["status"] != "open":
        return None
    for payment in account.linked("invoice_payment", "invoice", invoice["id"]):
        if payment["is_default"] and payment["payment"]["type"] == "payment_intent":
            intent = account.get("payment_intent", payment["payment"]["payment_intent"])
            return {"client_secret": intent["client_secret"], "type": "payment_intent"}
    return None


def _line_items(account: Account, session: Object) -> Object:
    lines = account.hidden[session["id"]]["line_items"]
    url = f"/v1/checkout/sessions/{session['id']}/line_items"
    return {"object": "list", "data": lines[:10], "has_more": len(lines) > 10, "url": url}


def _empty_list(path: str) -> Include:
    return lambda account, thing: {
        "object": "list", "data": [], "has_more": False, "url": path.format(thing["id"]),
    }  # fmt: skip


# Fields which are there only when asked for.
INCLUDED: dict[str, dict[str, Include]] = {
    "charge": {"refunds": _refunds},
    "invoice": {"payments": _payments, "confirmation_secret": _confirmation_secret},
    "checkout.session": {"line_items": _line_items},
    "customer": {
        "subscriptions": _subscriptions,
        "sources": _empty_list("/v1/customers/{}/sources"),
        "tax_ids": _empty_list("/v1/customers/{}/tax_ids"),
        "invoice_credit_balance": lambda account, thing: {},
        "cash_balance": lambda account, thing: None,
        "tax": lambda account, thing: {
            "automatic_tax": "unrecognized_location",
            "ip_address": None,
        },
    },
    "price": {
        "tiers": lambda account, thing: None,
        "currency_options": lambda account, thing: None,
    },
}


def expanded(account: Account, page: Iterable[bytes], wanted: list[str]) -> list[Object]:
    """A list's objects; there every path starts with `data.`."""
    things: list[Object] = [orjson.loads(raw) for raw in page]
    for path in wanted:
        if not path.startswith("data."):
            raise _refused(path)
        for thing in things:
            expand(account, thing, path.removeprefix("data."))
    return things


def expand(account: Account, thing: Object, path: str) -> None:
    parts = path.split(".")
    if len([part for part in parts if part != "data"]) > DEEPEST:
        raise Refused(
            400,
            f"You cannot expand more than {DEEPEST} levels of a property. Property: {path}",
            param="expand",
        )
    _descend(account, thing, parts, thing.get("object", ""), "", path)


def _descend(
    account: Account, node: Any, parts: list[str], kind: str, here: str, whole: str
) -> None:
    """`kind` is the resource that `node` belongs to, `here` the dotted way from it to `node`."""
    if isinstance(node, list):
        for each in node:
            _descend(account, each, parts, kind, here, whole)
    elif parts and node is not None and not node.get("deleted"):
        if node.get("object") in EXPANDABLE:
            kind, here = node["object"], ""
        way = f"{here}.{parts[0]}" if here else parts[0]
        _step(account, node, parts, kind, way, whole)
        _descend(account, node.get(parts[0]), parts[1:], kind, way, whole)


def _step(
    account: Account, node: Object, parts: list[str], kind: str, way: str, whole: str
) -> None:
    """Put in place what the first part of the way names."""
    name, value = parts[0], node.get(parts[0])
    if include := INCLUDED.get(kind, {}).get(way):
        node.setdefault(name, include(account, node))
    elif way in EXPANDABLE.get(kind, ()):
        node[name] = _object_behind(account, value)
    elif not (parts[1:] and isinstance(value, dict | list)) and not _leads_on(kind, way):
        raise _refused(whole)


def _object_behind(account: Account, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    kind = type_of(value)
    if kind is None:
        return value
    table = account.tables[kind]
    raw = table.raw.get(value) or table.deleted.get(value)
    return orjson.loads(raw) if raw else value


def _leads_on(kind: str, way: str) -> bool:
    """A null on the way to something that can be expanded is no mistake."""
    return any(path.startswith(way + ".") for path in EXPANDABLE.get(kind, ()))


def _refused(path: str) -> Refused:
    return Refused(400, f"This property cannot be expanded ({path}).", param="expand")
