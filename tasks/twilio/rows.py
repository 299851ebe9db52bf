"""Twilio's messages and calls as rows of the mirror. Pure. What a message says is not kept."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import orjson

from blocks.twilio_webhooks import moment

Json = Mapping[str, Any]
LEFT_OUT = frozenset({"body", "subresource_uris", "uri", "api_version"})
INBOUND = "inbound"


def rows_from(
    kind: str, things: Iterable[Json], fetched_at: datetime, deliveries: Mapping[str, UUID]
) -> list[dict[str, Any]]:
    """Rows with the same columns. `fetched_at`: when they were asked for; `deliveries`: ours by SID."""
    return [
        {
            "twilio_sid": one["sid"],
            "kind": kind,
            "direction": one.get("direction"),
            "from_number": one.get("from"),
            "to_number": one.get("to"),
            "status": str(one.get("status")),
            "error_code": number_in(one.get("error_code")),
            "segments": number_in(one.get("num_segments")) or None,
            "price_micros": micros(one.get("price")),
            "price_unit": (one.get("price_unit") or "").lower() or None,
            "delivery_id": deliveries.get(one["sid"]),
            "twilio_created_at": moment(one.get("date_created")),
            "sent_at": moment(one.get("date_sent") or one.get("start_time")),
            "raw": kept(one),
            "fetched_at": fetched_at,
        }
        for one in things
    ]


def kept(one: Json) -> str:
    """The object without what is said in it, and without NUL characters."""
    text = orjson.dumps({name: value for name, value in one.items() if name not in LEFT_OUT})
    return text.decode().replace("\\u0000", "")


def micros(price: Any) -> int | None:
    """`-0.00830` as the 8300 millionths that it cost."""
    try:
        return None if price is None else abs(int(Decimal(str(price)) * 1_000_000))
    except (InvalidOperation, ValueError, OverflowError):
        return None


def number_in(value: Any) -> int | None:
    """A number, which Twilio sometimes writes as text."""
    return int(value) if isinstance(value, int) or str(value).isdecimal() else None
