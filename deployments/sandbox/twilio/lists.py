"""Pages of things, newest first, with tokens that stay where they are when new things come.

https://www.twilio.com/docs/usage/twilios-response#pagination
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import quote, urlencode

from deployments.sandbox.twilio.errors import Refused
from deployments.sandbox.twilio.forms import Form

PAGING = ("Page", "PageToken", "PageSize")


class Listed(Protocol):
    sid: str


Item = TypeVar("Item", bound=Listed)


class Page(NamedTuple, Generic[Item]):
    items: list[Item]
    number: int
    size: int
    more: bool


def page_of(
    form: Form,
    log: Sequence[Item | None],
    position_of: Callable[[str], int],
    wanted: Callable[[Item], bool],
) -> Page[Item]:
    """`log` is oldest first; deleted things have left None in it."""
    size = form.number("PageSize", 50, 1, 1000)
    number = form.number("Page", 0, 0, 10**9)
    token = form.get("PageToken")
    if number > 0 and not token:
        raise Refused(21481, f"for page {number}")
    back = token.startswith("PB")
    places = _places(token, len(log), position_of, back=back)
    found = (each for each in map(log.__getitem__, places) if each is not None and wanted(each))
    items = list(islice(found, size + 1))
    more = len(items) > size or back
    items = items[:size]
    return Page(items[::-1] if back else items, number, size, more)


def _places(
    token: str, length: int, position_of: Callable[[str], int], *, back: bool
) -> Sequence[int]:
    if not token:
        return range(length - 1, -1, -1)
    try:
        position = position_of(token[2:])
    except (KeyError, ValueError):
        raise Refused(21481, token) from None
    return range(position + 1, length) if back else range(position - 1, -1, -1)


def shown_2010(
    path: str, form: Form, key: str, page: Page[Any], show: Callable[[Any], Any]
) -> dict[str, Any]:
    urls = _urls(path, form, page)
    start = page.number * page.size
    return {
        "first_page_uri": urls["first"],
        "previous_page_uri": urls["previous"],
        "next_page_uri": urls["next"],
        "uri": urls["own"],
        "page": page.number,
        "page_size": page.size,
        "start": start,
        "end": start + max(0, len(page.items) - 1),
        key: [show(each) for each in page.items],
    }


def shown_v1(
    base: str, path: str, form: Form, key: str, page: Page[Any], show: Callable[[Any], Any]
) -> dict[str, Any]:
    urls = _urls(base + path, form, page)
    meta = {
        "page": page.number,
        "page_size": page.size,
        "first_page_url": urls["first"],
        "previous_page_url": urls["previous"],
        "next_page_url": urls["next"],
        "url": urls["own"],
        "key": key,
    }
    return {"meta": meta, key: [show(each) for each in page.items]}


def _urls(path: str, form: Form, page: Page[Any]) -> dict[str, str | None]:
    filters = [
        (name, value)
        for name, values in form.values.items()
        if name not in PAGING
        for value in values
    ]

    def url(number: int, token: str = "") -> str:
        pairs = [*filters, ("PageSize", str(page.size)), ("Page", str(number))]
        return f"{path}?{urlencode(pairs + [('PageToken', token)] * bool(token), quote_via=quote)}"

    items = page.items
    following = url(page.number + 1, "PA" + items[-1].sid) if page.more and items else None
    before = url(page.number - 1, "PB" + items[0].sid) if page.number > 0 and items else None
    return {
        "first": url(0),
        "next": following,
        "previous": before,
        "own": url(page.number, form.get("PageToken")),
    }
