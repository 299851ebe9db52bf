"""A notification's variables as a mail shows them: clean, readable, and only links that are links.

What is for reading stands beside what came, under `shown`: amounts as "1,250.00 USD", times in the
recipient's or the event's time zone, texts of several paragraphs as lists. Templates at SendGrid get
the same, so that our contents can be copied there as they are.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from atlvs.errors import Rejected
from atlvs.money import readable
from atlvs.notices import ITEMS, NoticeType

Json = dict[str, Any]
MONEY = ("amount", "spent")
TIMES = ("due_at", "starts_at", "ends_at", "expires_at", "paid_at", "reported_at")
DATES = ("due_on",)
TEXTS = ("message", "description")
LINKS = ("url", "reset_url", "preferences_url")
# For the sender alone, or too large for a template.
ASIDE = ("attachments", "template_id")
# Control characters, and marks that make text read otherwise than it is.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
SPACES = re.compile(r"\s+")
DEEPEST = 6
MOST_ITEMS = 100
ITEM_TEXT = 300  # characters of a line of a digest


def variables(
    notice: NoticeType, data: Mapping[str, Any], *, transactional: bool | None = None
) -> Json:
    """What the templates of a type are filled with; Rejected, by name, when a variable is missing."""
    known: Json = {
        name: clean(value) for name, value in data.items() if name not in ASIDE and value != ""
    }
    for name in LINKS:
        if name in known and not is_link(known[name]):
            del known[name]
    if notice.transactional if transactional is None else transactional:
        known.pop("preferences_url", None)
    if ITEMS in known:
        known |= lines(known[ITEMS])
    else:
        notice.check(known | {name: data[name] for name in ASIDE if name in data})
    return {"title": notice.title} | known | {"shown": shown(known)}


def shown(known: Mapping[str, Any]) -> Json:
    """The readable forms."""
    zone = zone_of(str(known.get("time_zone") or ""))
    currency = str(known.get("currency") or "")
    forms: Json = {name: money(known[name], currency) for name in MONEY if name in known}
    forms |= {name: moment(known[name], zone) for name in TIMES if name in known}
    forms |= {name: day(known[name]) for name in DATES if name in known}
    forms |= {name: paragraphs(known[name]) for name in TEXTS if name in known}
    if "threshold" in known:
        forms["threshold"] = f"{known['threshold']} %"
    return forms


def lines(items: Any) -> Json:
    """The lines of a digest, as many as one mail holds."""
    told = [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
    if not told:
        raise Rejected("sendgrid", "the digest has no items.", code="data_missing", field=ITEMS)
    return {
        ITEMS: [line(one) for one in told[:MOST_ITEMS]],
        "count": len(told),
        "more": max(0, len(told) - MOST_ITEMS) or None,
    }


def line(item: Json) -> Json:
    """One line of a digest."""
    link = item.get("url")
    return {
        "title": one_line(item.get("title") or "Notification", 200),
        "text": one_line(item.get("text") or "", ITEM_TEXT),
        "url": link if is_link(link) else None,
    }


def clean(value: Any, depth: int = 0) -> Any:
    """The same without control characters and direction overrides, which no text needs."""
    if isinstance(value, str):
        return UNSEEN.sub("", value)
    if depth < DEEPEST and isinstance(value, Mapping):
        return {clean(str(key)): clean(part, depth + 1) for key, part in value.items()}
    if depth < DEEPEST and isinstance(value, list | tuple):
        return [clean(part, depth + 1) for part in value]
    return value if isinstance(value, int | float | None) else UNSEEN.sub("", str(value))


def one_line(text: Any, most: int) -> str:
    """A text as a subject or title: one line, and not endless."""
    line = SPACES.sub(" ", UNSEEN.sub(" ", str(text))).strip()
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def is_link(value: Any) -> bool:
    """Whether it leads to a page: no scripts, no files."""
    if not isinstance(value, str) or len(value) > 4_000 or SPACES.search(value):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def money(value: Any, currency: str) -> str:
    """An amount with its currency."""
    if type(value) is int and abs(value) < 10**15 and re.fullmatch("[A-Za-z]{3}", currency):
        return readable(value, currency)
    return f"{value} {currency.upper()}".strip()


def moment(value: Any, zone: ZoneInfo | None) -> str:
    """A time as people write it; what is none stays as it is."""
    try:
        at = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return str(value)
    try:
        at = at.astimezone(zone) if zone and at.tzinfo else at
        return f"{at:%A}, {at.day} {at:%B} {at.year}, {at:%H:%M} {at.tzname() or ''}".strip()
    except (OverflowError, ValueError):
        return str(value)


def day(value: Any) -> str:
    """A date as people write it."""
    try:
        at = date.fromisoformat(str(value)[:10])
    except ValueError:
        return str(value)
    return f"{at.day} {at:%B} {at.year}"


def paragraphs(value: Any) -> list[str]:
    """The lines of a text, without empty ones."""
    return [line for part in str(value).splitlines() if (line := part.strip())]


@lru_cache(maxsize=1_000)
def zone_of(name: str) -> ZoneInfo | None:
    """A time zone by its name; None when there is none of that name."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
