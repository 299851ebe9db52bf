"""Search: a query over an index that lags behind.

https://docs.stripe.com/search · `email:'a@b.c' AND metadata['org_id']:'x'`
"""

from __future__ import annotations

import base64
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused
from deployments.sandbox.stripe.expand import expanded
from deployments.sandbox.stripe.lists import limit_of
from deployments.sandbox.stripe.tables import Object, Table, at

SEARCHED = {
    "/v1/charges": "charge",
    "/v1/customers": "customer",
    "/v1/invoices": "invoice",
    "/v1/payment_intents": "payment_intent",
    "/v1/prices": "price",
    "/v1/products": "product",
    "/v1/subscriptions": "subscription",
}
FIELDS = {
    "charge": "amount billing_details.address.postal_code created currency customer disputed "
    "metadata payment_method_details.card.last4 refunded status payment_intent",
    "customer": "created email metadata name phone",
    "invoice": "created currency customer metadata number receipt_number subscription total "
    "status last_finalization_error_code",
    "payment_intent": "amount created currency customer metadata status",
    "price": "active currency lookup_key metadata product type created",
    "product": "active description metadata name shippable url created",
    "subscription": "created metadata status canceled_at",
}
ELSEWHERE = {"subscription": "parent.subscription_details.subscription"}
CLAUSE = re.compile(
    r"""\s*(?P<minus>-)?(?P<field>[a-z_0-9.]+)(\[(?P<q>['"])(?P<key>[^'"]*)(?P=q)\])?
    \s*(?P<op>:|~|<=|>=|<|>)\s*
    (?P<value>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|null|true|false|-?\d+)\s*""",
    re.VERBOSE,
)
JOINT = re.compile(r"(AND|OR)\b|(?=-?[a-z])", re.IGNORECASE)
Test = Callable[[Object], bool]


def search(kind: str, call: Call) -> Object:
    params = call.params
    fits = _parsed(kind, params["query"])
    limit, start = limit_of(params), _start(params.get("page"))
    found = list(_indexed(call, kind, fits))
    page = found[start : start + limit]
    more = start + limit < len(found)
    things = expanded(call.account, page, params.get("expand", []))
    plural = next(path for path, each in SEARCHED.items() if each == kind)
    return {
        "object": "search_result",
        "data": things,
        "has_more": more,
        "next_page": _page(start + limit) if more else None,
        "url": f"{plural}/search",
    }


def _indexed(call: Call, kind: str, fits: Test) -> Iterator[bytes]:
    """What the index knows: objects as they were before the lag."""
    account = call.account
    table: Table = account.tables[kind]
    horizon = account.now() - account.search_lag
    for key in reversed(table.keys):
        identifier = table.ids[key]
        seen = table.changed.get(identifier, 0) <= horizon
        if key[0] <= horizon and seen and fits(orjson.loads(table.raw[identifier])):
            yield table.raw[identifier]


def _parsed(kind: str, query: str) -> Test:
    tests: list[Test] = []
    joints: set[str] = set()
    place = 0
    while place < len(query):
        found = CLAUSE.match(query, place)
        if found is None:
            raise _refused(f"We were unable to parse your search query: {query}")
        tests.append(_test(kind, found))
        place = found.end()
        if place < len(query):
            joint = JOINT.match(query, place)
            if joint is None:
                raise _refused(f"We were unable to parse your search query: {query}")
            joints.add((joint[1] or "AND").upper())
            place = joint.end()
    if not tests or len(joints) > 1:
        raise _refused("You cannot mix AND and OR in a search query.")
    if "OR" in joints:
        return lambda thing: any(test(thing) for test in tests)
    return lambda thing: all(test(thing) for test in tests)


def _test(kind: str, clause: re.Match[str]) -> Test:
    field, key, op = clause["field"], clause["key"], clause["op"]
    if field not in FIELDS[kind].split():
        raise _refused(f"Field `{field}` is an unsupported search field for resource `{kind}s`.")
    if (field == "metadata") != (key is not None):
        raise _refused(f"Metadata is searched by key, as in metadata['key']: {clause[0]}")
    wanted = _value(clause["value"])
    path = ELSEWHERE.get(field, field)

    def test(thing: Object) -> bool:
        value = at(thing, path)
        if key is not None:
            value = (value or {}).get(key)
        return _compare(op, value, wanted) != bool(clause["minus"])

    return test


def _compare(op: str, value: Any, wanted: Any) -> bool:
    if wanted is None:
        return value is None
    if value is None:
        return False
    if op == "~":
        if len(str(wanted)) < 3:
            raise _refused("Substring searches need at least three characters.")
        return str(wanted).lower() in str(value).lower()
    if op == ":":
        return _plain(value) == _plain(wanted)
    return ORDER[op](int(value), int(wanted))


ORDER: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _plain(value: Any) -> str:
    return str(value).lower()


def _value(text: str) -> Any:
    if text == "null":
        return None
    if text[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _start(page: str | None) -> int:
    if not page:
        return 0
    try:
        return int(base64.urlsafe_b64decode(page).decode().removeprefix("from:"))
    except ValueError:
        raise _refused("Invalid page token", "page") from None


def _page(start: int) -> str:
    return base64.urlsafe_b64encode(f"from:{start}".encode()).decode()


def _refused(message: str, param: str = "query") -> Refused:
    return Refused(400, message, param=param)
