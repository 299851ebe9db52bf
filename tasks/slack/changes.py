"""What Slack's events change: people, channels, and whether the app is still installed.

A person comes whole with the event; of a channel only the id is taken, and it is asked for. That the app
was removed is believed when the token proves dead: an old event told again must not end a new connection.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from atlvs.db import connections
from atlvs.db.engine import Transaction, database
from atlvs.db.inbox import Waiting
from atlvs.errors import Rejected, Unauthorized
from atlvs.records import Connection, Counts
from blocks.slack import Slack
from blocks.slack_events import CHANNEL_EVENTS, ENDINGS, PERSON_EVENTS
from tasks.slack.mirror import Changes, channel_row, person_row, store


async def fetch_changes(connection: Slack, events: Sequence[Waiting]) -> Changes | None:
    """What these events of one lane are about, as it is now; None if nothing of it is ours."""
    mine = connection.connection.account_id
    changes, channels, heard = Changes(), set[str](), False
    for event in events:
        told = event.payload["event"]
        if mine and event.payload["team_id"] not in ("", mine):
            continue  # another workspace, stored before the connection was bound to its own
        if event.type in PERSON_EVENTS:
            row = person_row(told["user"], _at(event))
            changes.update(Changes(people={row["slack_user_id"]: row}))
        elif event.type in CHANNEL_EVENTS:
            channels.add(told["channel"])
        elif event.type in ENDINGS:
            await _end(connection)
        heard = True
    for id in sorted(channels):
        changes.update(await _channel(connection, id))
    return changes if heard else None


async def apply_changes(
    tx: Transaction, connection: Connection, changes: Changes
) -> dict[str, Counts]:
    """Store it, with what it means for who can be reached."""
    return await store(tx, connection, changes)


def _at(event: Waiting) -> datetime:
    return datetime.fromtimestamp(event.payload["event_time"], UTC)


async def _channel(slack: Slack, id: str) -> Changes:
    """A channel as it is now: there, or gone. Nothing where the token may not look."""
    if not slack.may("channels:read", "groups:read"):
        return Changes()
    asked_at = await database().now()
    try:
        told = await slack.api(
            "conversations.info", reading=True, channel=id, include_num_members=True
        )
    except Rejected as error:
        return Changes(gone={id}) if error.code == "channel_not_found" else Changes()
    except Unauthorized as error:
        if error.code != "missing_scope":
            raise
        return Changes()
    row: dict[str, Any] = channel_row(told["channel"], asked_at)
    return Changes(channels={id: row})


async def _end(slack: Slack) -> None:
    """Stop using a connection whose token is dead. Its records stay."""
    try:
        if slack.has_bot:
            await slack.api("auth.test", reading=True)
            return
    except Unauthorized:
        pass
    await connections.wipe(slack.connection)
