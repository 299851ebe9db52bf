"""Notifications as the text of an SMS, and as what a call says. Pure.

The text is the notification type's own; its variables are made readable and harmless first. Of a text
that would take more than three segments the longest variable is shortened, but never somebody's own
message, and never a link.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from string import Formatter
from typing import Any, NoReturn

from atlvs.errors import Rejected
from atlvs.events import NotificationType
from atlvs.notices import ITEMS, notice_type
from atlvs.records import Delivery
from tasks.twilio.readable import clean, readable
from tasks.twilio.segments import is_gsm7, segments

LONGEST = 1600  # https://www.twilio.com/docs/api/errors/21617
USUAL = 3  # segments
LINKS = frozenset({"url", "reset_url"})
JOINERS = frozenset("\u200d\ufe0f")  # an emoji goes on after them
LEAST = 8  # characters that are left of a shortened variable
Pieces = tuple[tuple[str, str | None], ...]


def text_for(delivery: Delivery) -> str:
    """The SMS; Rejected when it would be empty, or too long whatever is shortened."""
    if isinstance(items := delivery.data.get(ITEMS), list):
        return digest_of(items)
    pieces = pieces_of(notice_type(delivery.type).text)
    values = {name: readable(name, delivery.data) for _, name in pieces if name}
    # Somebody's own words are cut only where Twilio would refuse them.
    most = LONGEST if delivery.type == NotificationType.ANNOUNCEMENT else USUAL
    return fitted(pieces, values, most)


def words_for(delivery: Delivery) -> str:
    """What a call says: the same without links, which nobody can write down by ear."""
    spoken = {name: value for name, value in delivery.data.items() if name not in LINKS}
    items = spoken.get(ITEMS)
    if isinstance(items, list):
        return digest_of(items)
    pieces = pieces_of(notice_type(delivery.type).text)
    return fitted(pieces, {name: readable(name, spoken) for _, name in pieces if name}, USUAL)


def digest_of(items: list[Any]) -> str:
    """Several notices in one message: their titles, as many as fit."""
    told = [one for one in items if isinstance(one, Mapping)]
    titles = [
        title for one in told if (title := clean(str(one.get("title") or one.get("text") or "")))
    ]
    for number in range(len(titles), 0, -1):
        text = _listed(titles, number)
        if segments(text) <= USUAL:
            return text
    return fitted((("1 notice: ", "title"),), {"title": titles[0]}, USUAL) if titles else _empty()


def _listed(titles: list[str], number: int) -> str:
    more = len(titles) - number
    return f"{len(titles)} notices: {'; '.join(titles[:number])}" + (
        f"; and {more} more" if more else ""
    )


def fitted(pieces: Pieces, values: Mapping[str, str], most: int) -> str:
    """The text, with its longest variables shortened until it fits. Links stay whole."""
    text = filled(pieces, values)
    if not text:
        return _empty()
    return text if fits(text, most) else _shorter(pieces, tuple(values.items()), most)


@lru_cache(maxsize=64)  # thousands may get the same long one
def _shorter(pieces: Pieces, given: tuple[tuple[str, str], ...], most: int) -> str:
    values = dict(given)
    text = filled(pieces, values)
    for name in sorted(values, key=lambda one: len(values[one]), reverse=True):
        if name not in LINKS and not fits(text, most):
            values[name] = _shortened(pieces, values, name, most)
            text = filled(pieces, values)
    if len(text) > LONGEST:
        raise Rejected(
            "twilio", f"the text has more than {LONGEST} characters.", code="too_long", field="data"
        )
    return text


def fits(text: str, most: int) -> bool:
    """Whether it is short enough: so many segments, and what Twilio takes at all."""
    return len(text) <= LONGEST and (len(text) <= 67 * most or segments(text) <= most)


def _shortened(pieces: Pieces, values: Mapping[str, str], name: str, most: int) -> str:
    """As much of a variable as fits, found by halving."""
    whole = values[name]
    low, high = min(LEAST, len(whole)), len(whole)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(filled(pieces, {**values, name: cut(whole, middle)}), most):
            low = middle
        else:
            high = middle - 1
    return cut(whole, low)


def cut(text: str, keep: int) -> str:
    """The beginning of a text, not in the middle of a character that is made of several."""
    if keep >= len(text):
        return text
    while keep and (text[keep] in JOINERS or text[keep - 1] == "\u200d" or _combines(text[keep])):
        keep -= 1
    # One character outside of GSM-7 would make the whole text cost twice.
    return text[:keep].rstrip() + ("..." if is_gsm7(text) else "…")


def _combines(letter: str) -> bool:
    return unicodedata.combining(letter) > 0 or "\U0001f3fb" <= letter <= "\U0001f3ff"


def filled(pieces: Pieces, values: Mapping[str, str]) -> str:
    """A template with its variables; what is missing leaves no hole."""
    parts: list[str] = []
    for literal, name in pieces:
        parts.append(literal)
        if name:
            parts.append(values.get(name, ""))
    text = " ".join("".join(parts).split())
    last = pieces[-1][1]
    return text if last and values.get(last) else text.rstrip(" :;,-")


@lru_cache(maxsize=64)
def pieces_of(template: str) -> Pieces:
    """A template's literals, each with the variable that follows it."""
    return tuple((literal, name) for literal, name, _, _ in Formatter().parse(template))


def _empty() -> NoReturn:
    raise Rejected("twilio", "the text is empty.", code="empty", field="data")


PUNCTUATION = re.compile(r"[^\w]+")


def alike(sent: str, found: str) -> bool:
    """Whether a logged text is the one that was sent: Twilio may replace quotes and accents, and a trial
    account's messages have a preface."""
    mine, theirs = _letters(sent), _letters(found)
    return bool(mine) and (theirs == mine or theirs == f"sentfromyourtwiliotrialaccount{mine}")


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return PUNCTUATION.sub("", plain).replace("_", "").casefold()
