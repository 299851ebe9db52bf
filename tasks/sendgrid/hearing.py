"""What the event webhook has told. SendGrid itself cannot be asked about a message without an add-on:
of what was processed it tells within seconds.
"""

from datetime import datetime, timedelta

from atlvs.db import inbox
from atlvs.db.engine import database
from atlvs.db.inbox import Selection
from atlvs.settings import settings
from blocks.sendgrid import SendGrid

MOST = 1_000  # events looked through
CLOCKS = timedelta(minutes=1)  # that SendGrid's clock and ours may differ


async def all_was_told(connector: SendGrid, sent_at: datetime) -> bool:
    """Whether a message sent then would have been heard of by now: what was processed later has been,
    and nothing that came in between still waits to be handled."""
    settled = sent_at + timedelta(seconds=settings().settle_seconds)
    if settled > await database().now():
        return False
    name = connector.connection.name
    waiting = Selection(
        provider="sendgrid", connection=name, state="waiting", since=sent_at - CLOCKS, until=settled
    )
    if await inbox.read(waiting, 1):
        return False
    later = Selection(provider="sendgrid", connection=name, type="processed", since=settled)
    return any(
        event["occurred_at"] and event["occurred_at"] > sent_at + CLOCKS
        for event in await inbox.read(later, MOST)
    )


async def heard_of(connector: SendGrid, lane: str, since: datetime) -> bool | None:
    """Whether an event of this lane came since then; None when that cannot be told."""
    chosen = Selection(
        provider="sendgrid", connection=connector.connection.name, since=since - CLOCKS
    )
    events = await inbox.read(chosen, MOST)
    if any(event["lane"] == lane for event in events):
        return True
    return False if len(events) < MOST and await all_was_told(connector, since) else None
