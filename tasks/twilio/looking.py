"""Finding a message or call of which it is not known whether it was made.

Twilio has no idempotency key. Its list by recipient shows what was made; filtered by DateSent it leaves
out what still waits, so it is read newest first until it is older than the first sending.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from atlvs.db import twilio as mirror
from atlvs.db.engine import database
from atlvs.db.syncs import CLOCKS
from atlvs.errors import Unavailable
from atlvs.settings import settings
from blocks.twilio import Twilio
from blocks.twilio_webhooks import moment
from tasks.twilio.rows import INBOUND
from tasks.twilio.texts import alike

Json = dict[str, Any]
LISTS = {"message": ("/Messages.json", "messages"), "call": ("/Calls.json", "calls")}
PAGE = "50"


async def made_since(connection: Twilio, kind: str, number: str, since: datetime) -> list[Json]:
    """What was sent to a number since then and belongs to nothing of ours yet, oldest first."""
    path, name = LISTS[kind]
    found: list[Json] = []
    page = await connection.get(connection.path(path), {"To": number, "PageSize": PAGE})
    while True:
        things = page.get(name)
        if not isinstance(things, list):
            raise Unavailable("twilio", f"the answer to {path} is not a list.")
        recent = [
            one for one in things if (moment(one.get("date_created")) or since) >= since - CLOCKS
        ]
        found += [one for one in recent if one.get("direction") != INBOUND]
        if len(recent) < len(things) or not page.get("next_page_uri"):
            break
        page = await connection.get(page["next_page_uri"])
    return await _unbound(connection, found[::-1])


async def _unbound(connection: Twilio, things: list[Json]) -> list[Json]:
    if not things:
        return []
    whose = connection.connection
    async with database().org(whose.org_id) as tx:
        bound = await mirror.ours(tx, whose.id, [one["sid"] for one in things])
    return [one for one in things if one["sid"] not in bound]


def take(things: list[Json], since: datetime, fits: Callable[[Json], bool]) -> Json | None:
    """The oldest that fits and was made since then, which nobody else gets afterwards."""
    for one in things:
        if (moment(one.get("date_created")) or since) >= since - CLOCKS and fits(one):
            things.remove(one)
            return one
    return None


def says(text: str) -> Callable[[Json], bool]:
    """Whether a message has this text."""
    return lambda one: alike(text, str(one.get("body") or ""))


def is_silent(things: Iterable[Json]) -> bool:
    """Whether texts were wiped at Twilio: then nothing can be told from them."""
    return any(not one.get("body") and one.get("num_media") in ("0", None) for one in things)


async def unsettled(since: datetime) -> float:
    """Seconds until what was sent then, and is not in the list, certainly never left; 0 when it is so."""
    age = await database().now() - since
    return max(0.0, (timedelta(seconds=settings().settle_seconds) - age).total_seconds())
