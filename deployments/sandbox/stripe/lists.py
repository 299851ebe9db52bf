"""Lists: newest first, by cursor, filtered by links, ranges and equal fields.

https://docs.stripe.com/api/pagination
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused, missing
from deployments.sandbox.stripe.expand import expanded
from deployments.sandbox.stripe.ids import type_of
from deployments.sandbox.stripe.tables import END, Object, Window, at

Fits = Callable[[Object], bool]


@dataclass(frozen=True, slots=True)
class Listing:
    """What one list can be filtered by: parameter → dotted path in the object."""

    kind: str
    links: dict[str, str] = field(default_factory=dict)
    equal: dict[str, str] = field(default_factory=dict)
    ranges: dict[str, str] = field(default_factory=dict)
    # More conditions, from the call's parameters; None when there are none.
    special: Callable[[Object], Fits | None] | None = None
    # The oldest creation time that is shown at all.
    horizon: Callable[[Account], int] | None = None


def list_objects(call: Call, listing: Listing, url: str) -> bytes:
    account, params = call.account, call.params
    table = account.tables[listing.kind]
    window = _window(call, listing)
    links = _links(listing, params)
    for value in (each for values in links.values() for each in values):
        _check_exists(account, value, listing)
    page, more = table.page(window, links, _conditions(listing, params))
    if wanted := params.get("expand"):
        page = [orjson.dumps(each) for each in expanded(account, page, wanted)]
    return b"".join(
        (b'{"object":"list","data":[', b",".join(page), b'],"has_more":',
         b"true" if more else b"false", b',"url":"', url.encode(), b'"}')
    )  # fmt: skip


def page_of(things: list[Object], params: Object, url: str) -> Object:
    """The list envelope over things which are in order already."""
    start, limit = 0, limit_of(params)
    ids = [thing["id"] for thing in things]
    if cursor := params.get("starting_after"):
        start = _place(ids, cursor, "starting_after") + 1
    if cursor := params.get("ending_before"):
        end = _place(ids, cursor, "ending_before")
        start = max(0, end - limit)
        return list_of(things[start:end], url, more=start > 0)
    return list_of(things[start : start + limit], url, more=start + limit < len(things))


def list_of(things: list[Object], url: str, *, more: bool = False) -> Object:
    return {"object": "list", "data": things, "has_more": more, "url": url}


def limit_of(params: Object) -> int:
    limit: int = params.get("limit", 10)
    if not 1 <= limit <= 100:
        least = "greater than or equal to 1" if limit < 1 else "less than or equal to 100"
        raise Refused(
            400, f"This value must be {least}.", code="parameter_invalid_integer", param="limit"
        )
    return limit


def _links(listing: Listing, params: Object) -> dict[str, list[Any]]:
    """The values that each indexed path may have; patterns are left to the conditions."""
    links: dict[str, list[Any]] = {}
    for name, path in listing.links.items():
        given = at(params, name)
        values = given if isinstance(given, list) else [given]
        if given is not None and not any("*" in value for value in values):
            links[path] = values
    return links


def _window(call: Call, listing: Listing) -> Window:
    params, table = call.params, call.account.tables[listing.kind]
    after, before = params.get("starting_after"), params.get("ending_before")
    if after and before:
        raise Refused(
            400,
            "You can use starting_after or ending_before, not both.",
            code="parameters_exclusive",
            param="ending_before",
        )
    low, high = _bounds(params.get("created"))
    if listing.horizon:
        low = max(low, listing.horizon(call.account))
    window = Window((low, -1), (high, -1), bool(before), limit_of(params))
    for name, cursor in (("starting_after", after), ("ending_before", before)):
        if cursor and cursor not in table.key_of:
            raise missing(listing.kind, cursor, name, 400)
    if after:
        window.high = min(window.high, table.key_of[after])
    if before:
        created, number = table.key_of[before]
        window.low = max(window.low, (created, number + 1))
    return window


def _bounds(created: Any) -> tuple[int, int]:
    """From, and up to but not including."""
    if created is None:
        return -1, END
    if isinstance(created, int):
        return created, created + 1
    low = max(created.get("gte", -1), created.get("gt", -2) + 1)
    return low, min(created.get("lt", END), created.get("lte", END - 1) + 1)


def _conditions(listing: Listing, params: Object) -> Fits | None:
    tests: list[Fits] = []
    for name, path in listing.equal.items():
        if (wanted := at(params, name)) is not None:
            tests.append(_equals(path, wanted))
    for name, path in listing.ranges.items():
        if name in params:
            tests.append(_within(path, _bounds(params[name])))
    if listing.special and (test := listing.special(params)):
        tests.append(test)
    return (lambda thing: all(test(thing) for test in tests)) if tests else None


def _equals(path: str, wanted: Any) -> Fits:
    return lambda thing: at(thing, path) == wanted


def _within(path: str, bounds: tuple[int, int]) -> Fits:
    low, high = bounds
    return lambda thing: (value := at(thing, path)) is not None and low <= value < high


def _check_exists(account: Account, identifier: str, listing: Listing) -> None:
    kind = type_of(identifier)
    if kind is None or kind == listing.kind:
        return
    table = account.tables[kind]
    if identifier not in table.raw and identifier not in table.deleted:
        raise missing(kind, identifier, kind.rsplit(".", 1)[-1], 400)


def _place(ids: list[str], cursor: str, param: str) -> int:
    if cursor not in ids:
        raise missing("line item", cursor, param, 400)
    return ids.index(cursor)
