"""Reading what changed: the events feed, behind the webhooks, into the same inbox.

https://docs.stripe.com/webhooks/process-undelivered-events · Events are listed for 30 days, and the
list is only eventually consistent: each reading goes back over an overlap, and an event that is in
the inbox already is not stored again.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from atlvs.checkpoints import checkpoint
from atlvs.db import inbox, syncs
from atlvs.db.engine import database
from blocks.stripe import EVENT_TYPES, Stripe, event_from, without_client_secrets
from tasks.policy import call
from tasks.stripe.rows import without_nul

CURSOR = "events"
OVERLAP = timedelta(minutes=10)
HORIZON = timedelta(days=28)  # Stripe lists 30 days; two are kept for slow nights
MOST_EVENTS = 10_000  # beyond, reading lists is cheaper than re-reading objects one by one
PAGE = 100


@dataclass(frozen=True)
class FeedRead:
    """What a reading of the feed found."""

    read: int
    new: int
    too_much: bool = False


@call("stripe")
async def events_since(connection: Stripe, wanted: datetime | None = None) -> datetime | None:
    """Where the next reading begins; None when only a full sync can close the gap."""
    position = await syncs.read_cursor(connection.connection, CURSOR)
    if wanted is None and position is None:
        return None
    since = wanted or datetime.fromtimestamp((position or {})["created"], UTC)
    since = since.replace(tzinfo=since.tzinfo or UTC)
    return since if since > await database().now() - HORIZON else None


@call("stripe")
async def read_feed(connection: Stripe, since: datetime, dry_run: bool = False) -> FeedRead:
    """Put the events since then into the inbox; the cursor moves with the last page.

    It stays where it is when the reading began after it, so that nothing is left out between.
    """
    whose = connection.connection
    began, position = await database().now(), await syncs.read_cursor(whose, CURSOR)
    joins = position is not None and position["created"] >= int(since.timestamp())
    newest = max(int((began - OVERLAP).timestamp()), position["created"] if position else 0)
    read, new, after = 0, 0, ""
    while True:
        page = await _page(connection, since - OVERLAP, after)
        known = [one for one in page["data"] if one["type"] in EVENT_TYPES]
        events = [event_from(without_nul(without_client_secrets(one))) for one in known]
        newest = max([newest, *(one["created"] for one in page["data"])])
        read += len(page["data"])
        last = not page["has_more"] or not page["data"]
        checkpoint("feed.page")
        async with database().org(whose.org_id) as tx:
            new += await inbox.insert(tx, [(whose, event) for event in events])
            if last and joins:
                await syncs.move_cursor(tx, whose, CURSOR, {"created": newest})
            if dry_run:
                await tx.rollback()
        if last:
            return FeedRead(read, new)
        if new >= MOST_EVENTS:
            return FeedRead(read, new, too_much=True)
        after = page["data"][-1]["id"]


async def start_feed(connection: Stripe, at: datetime) -> None:
    """Let the feed begin at the moment a full sync began, unless it is further already.

    What happened before needs no second look, so the overlap is added that a reading goes back.
    """
    whose = connection.connection
    position = await syncs.read_cursor(whose, CURSOR)
    begin = int((at - syncs.CLOCKS + OVERLAP).timestamp())
    if position is None or position["created"] < begin:
        async with database().org(whose.org_id) as tx:
            await syncs.move_cursor(tx, whose, CURSOR, {"created": begin})


async def _page(connection: Stripe, since: datetime, after: str) -> dict[str, Any]:
    query: dict[str, str | int] = {"limit": PAGE, "created[gte]": int(since.timestamp())}
    if after:
        query["starting_after"] = after
    return await connection.get("/v1/events", urlencode(query, safe="[]"))
