"""Data as Slack's text: escaped, cut at the limits, dates in the reader's time zone. Pure.

https://docs.slack.dev/messaging/formatting-message-text
"""

import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from atlvs.money import readable

# What turns the order of the text around it, controls, and halves of characters.
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
LONGEST_URL = 3000


def line(value: Any, most: int) -> str:
    """Data as one line of plain text."""
    return cut(" ".join(TURNING.sub("", str(value)).split()), most)


def lines(value: Any, most: int) -> str:
    """Data as plain text of several lines."""
    return cut(TURNING.sub("", str(value).replace("\r", "")).strip(), most)


def cut(text: str, most: int) -> str:
    """At most so many characters."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def escaped(text: str, most: int) -> str:
    """Text in which nothing is a mention, a link or a date, cut between characters."""
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(shown) <= most:
        return shown
    kept = shown[: most - 1]
    entity = kept.rfind("&")
    return (kept[:entity] if entity > kept.rfind(";") else kept) + "…"


def address(value: Any) -> str | None:
    """A link that can be opened, with nothing in it that ends a link; None when it is none."""
    text = TURNING.sub("", str(value or "")).strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    safe = quote(text, safe="%/:?#[]@!$&'()*+,;=~-._")
    return safe if len(safe) <= LONGEST_URL else None


def link(url: str | None, label: str, most: int) -> str:
    """A label that is a link, where there is one."""
    shown = escaped(label, most).replace("|", "¦")
    return f"<{url.replace('&', '&amp;')}|{shown}>" if url else shown


def moment(value: Any) -> tuple[str, str]:
    """A time as Slack shows it in the reader's time zone, and in plain words."""
    return _moment(line(value, 100))


@lru_cache(maxsize=1000)
def _moment(text: str) -> tuple[str, str]:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return escaped(text, 200), text
    if DAY.fullmatch(text):
        day = f"{date.fromisoformat(text):%d %b %Y}"
        return day, day
    if at.tzinfo is None:
        plain = f"{at:%d %b %Y %H:%M}"
        return plain, plain
    plain = f"{at:%d %b %Y %H:%M} {at.tzname()}"
    try:
        return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} at {{time}}|{plain}>", plain
    except (OverflowError, ValueError, OSError):
        return plain, plain


def money(value: Any, facts: Mapping[str, Any]) -> str:
    """An amount with the currency beside it; as it is where it is none."""
    currency = str(facts.get("currency") or "")
    if type(value) is int and re.fullmatch("[A-Za-z]{3}", currency):
        return readable(value, currency)
    return line(f"{value} {currency}", 100)
