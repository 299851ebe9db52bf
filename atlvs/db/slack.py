"""Our copy of a Slack workspace's people and channels."""

from collections.abc import Iterable, Sequence
from typing import Any

from atlvs.db.bulk import Mirror
from atlvs.db.engine import Transaction
from atlvs.records import Connection

Row = dict[str, Any]
PEOPLE = Mirror("slack_users", "slack_user_id", per_connection=True)
CHANNELS = Mirror("slack_channels", "slack_channel_id", per_connection=True)
# The connection that carries the organization's messages: see `tasks.notify.lines.carrier`.
CARRIER = """(select id from integration_connections where org_id = atlvs_org() and provider = 'slack' and enabled
    order by name <> 'default', created_at limit 1)"""
# Who has a contact's address there. The same person has another id in another workspace.
USER_OF_CONTACT = f"""
    select s.slack_user_id from slack_users as s where s.org_id = c.org_id and s.connection_id = {CARRIER}
        and lower(s.email) = lower(c.email) and not s.deactivated and not s.is_bot and s.deleted_at is null
    order by s.slack_user_id limit 1
"""


async def person_with(tx: Transaction, connection: Connection, email: str) -> Row | None:
    """The person with this address: `slack_user_id`, `deactivated`."""
    cursor = await tx.execute(
        "select slack_user_id, deactivated from slack_users where connection_id = %s"
        " and lower(email) = %s and deleted_at is null and not is_bot order by deactivated limit 1",
        [connection.id, email.strip().lower()],
    )
    return await cursor.fetchone()


async def channel_named(tx: Transaction, connection: Connection, name: str) -> str | None:
    """The id of a channel by its name."""
    cursor = await tx.execute(
        "select slack_channel_id from slack_channels where connection_id = %s and name = %s"
        " and deleted_at is null and not is_archived limit 1",
        [connection.id, name],
    )
    row = await cursor.fetchone()
    return row["slack_channel_id"] if row else None


async def unseen(
    tx: Transaction, connection: Connection, seen: Sequence[str]
) -> tuple[list[str], int]:
    """Stored channels that a complete reading did not find, and how many are stored in all."""
    cursor = await tx.execute(
        "select slack_channel_id as id, slack_channel_id = any(%s) as seen from slack_channels"
        " where connection_id = %s and deleted_at is null",
        [list(seen), connection.id],
    )
    rows = await cursor.fetchall()
    return sorted(row["id"] for row in rows if not row["seen"]), len(rows)


async def emails(tx: Transaction, connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Known e-mail addresses by user id."""
    cursor = await tx.execute(
        "select slack_user_id, email from slack_users where connection_id = %s"
        " and slack_user_id = any(%s) and email is not null",
        [connection.id, list(ids)],
    )
    return {row["slack_user_id"]: row["email"] for row in await cursor.fetchall()}


async def people(tx: Transaction, connection: Connection, ids: Iterable[str]) -> list[Row]:
    """People by user id: `slack_user_id`, `email`, `deactivated`, `fetched_at`."""
    cursor = await tx.execute(
        "select slack_user_id, email, deactivated, fetched_at from slack_users"
        " where connection_id = %s and slack_user_id = any(%s) and deleted_at is null and not is_bot",
        [connection.id, list(ids)],
    )
    return await cursor.fetchall()
