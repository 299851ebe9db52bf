"""Cursors: opaque, and only good for the list they came from.

https://docs.slack.dev/apis/web-api/pagination
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TypeVar

from deployments.sandbox.slack.errors import Refused

Thing = TypeVar("Thing")


def page(
    things: Sequence[Thing], kind: str, cursor: str | None, limit: int, most: int
) -> tuple[Sequence[Thing], str]:
    """A page, and the cursor of the next one: empty at the end."""
    if not 1 <= limit <= most:
        raise Refused("invalid_limit")
    start = _place(kind, cursor) if cursor else 0
    if start > len(things):
        raise Refused("invalid_cursor")
    end = start + limit
    return things[start:end], encoded(kind, str(end)) if end < len(things) else ""


def encoded(kind: str, place: str) -> str:
    return base64.b64encode(f"{kind}:{place}".encode()).decode()


def decoded(kind: str, cursor: str) -> str:
    try:
        found, _, place = base64.b64decode(cursor, validate=True).decode().partition(":")
    except ValueError as error:  # no base64, or no text in it
        raise Refused("invalid_cursor") from error
    if found != kind:
        raise Refused("invalid_cursor")
    return place


def _place(kind: str, cursor: str) -> int:
    place = decoded(kind, cursor)
    if not place.isdecimal():
        raise Refused("invalid_cursor")
    return int(place)
