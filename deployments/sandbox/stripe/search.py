"""Search: a query over an index that lags behind.

https://docs.stripe.com/search · `email:'a@b.c' AND metadata['org_id']:'x'`
"""

from __future__ import annotations

import base64
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
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
    query = _parsed(kind, params["query"])
    limit, start = limit_of(params), _start(params.get("page"))
    found = list(islice(_indexed(call, kind, query), start, start + limit + 1))
    more = len(found) > limit
    things = expanded(call.account, found[:limit], params.get("expand", []))
    plural = next(path for path, each in SEARCHED.items() if each == kind)
    return {
        "object": "search_result",
        "data": things,
        "has_more": more,
        "next_page": _page(start + limit) if more else None,
        "url": f"{plural}/search",
    }


def _indexed(call: Call, kind: str, query: Query) -> Iterator[bytes]:
    """What the index knows: objects that have not changed within the lag."""
    account = call.account
    table: Table = account.tables[kind]
    horizon = account.now() - account.search_lag
    for key in reversed(table.keys):
        identifier = table.ids[key]
        raw = table.raw[identifier]
        if max(key[0], table.changed.get(identifier, 0)) <= horizon and query.fits(raw):
            yield raw


@dataclass(slots=True)
class Query:
    """`needles` are in the JSON of everything that can fit: looking for them costs little."""

    tests: list[Test]
    needles: list[bytes]
    any_of: bool

    def fits(self, raw: bytes) -> bool:
        lowered = raw.lower() if self.needles else raw
        if not all(needle in lowered for needle in self.needles):
            return False
        thing = orjson.loads(raw)
        return (any if self.any_of else all)(test(thing) for test in self.tests)


def _parsed(kind: str, text: str) -> Query:
    clauses: list[re.Match[str]] = []
    joints: set[str] = set()
    place = 0
    while place < len(text):
        found = CLAUSE.match(text, place)
        joint = JOINT.match(text, found.end()) if found else None
        if found is None or (joint is None and found.end() < len(text)):
            raise _refused(f"We were unable to parse your search query: {text}")
        clauses.append(found)
        place = joint.end() if joint else found.end()
        joints |= {(joint[1] or "AND").upper()} if joint else set()
    if not clauses or len(joints) > 1:
        raise _refused("You cannot mix AND and OR in a search query.")
    any_of = "OR" in joints
    needles = [] if any_of else [n for n in map(_needle, clauses) if n]
    return Query([_test(kind, each) for each in clauses], needles, any_of)


def _needle(clause: re.Match[str]) -> bytes | None:
    value = _value(clause["value"])
    if clause["minus"] or clause["op"] not in (":", "~") or value is None:
        return None
    text = str(value).lower()
    return orjson.dumps(text).strip(b'"') if text.isascii() else None


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
