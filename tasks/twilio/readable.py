"""Variables of a notification as people read them: times, amounts, harmless text. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from atlvs.money import decimals, major
from tasks.notify.times import zone_of

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
AMOUNTS = frozenset({"amount", "spent"})
MOST = 2_000  # characters of one variable that are looked at
# Control characters, marks that turn the direction of writing or hide, halves of characters.
HARMFUL = re.compile(
    "[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200c\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
# What looks the same in GSM-7, where a text costs half.
PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        "\u2026": "...",
    }
)


def readable(name: str, data: Mapping[str, Any]) -> str:
    """A variable as text; "" when it is missing."""
    value = data.get(name)
    if isinstance(value, str):
        if name.endswith(("_at", "_on")):
            return time_text(value[:40], str(data.get("time_zone") or ""))
        return clean(value).upper() if name == "currency" else clean(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if name in AMOUNTS and isinstance(value, int):
        currency = str(data.get("currency") or "usd")
        return f"{major(value, currency):,.{decimals(currency)}f}"
    return f"{value:,.10g}" if isinstance(value, float) else f"{value}"


def clean(text: str) -> str:
    """One line, with nothing that hides or turns what is written."""
    if text.isascii() and text.isprintable():
        return " ".join(text[:MOST].split())
    return " ".join(HARMFUL.sub("", text[:MOST]).translate(PLAIN).split())


@lru_cache(maxsize=1_000)
def time_text(text: str, zone: str) -> str:
    """An ISO 8601 time, in the time zone: `Sat 12 Jun 2027, 19:30 CEST`; a date without a time."""
    try:
        at = datetime.fromisoformat(text)
        if len(text) == 10:
            return f"{at.day} {MONTHS[at.month - 1]} {at.year}"
        there = zone_of(zone)
        at = at.astimezone(there) if at.tzinfo and there else at
    except (ValueError, OverflowError):
        return clean(text)
    name = at.tzname() or ""
    name = f"UTC{name}" if name.startswith(("+", "-")) else name
    date = f"{DAYS[at.weekday()]} {at.day} {MONTHS[at.month - 1]} {at.year}"
    return f"{date}, {at:%H:%M} {name}".strip()
