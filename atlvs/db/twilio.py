"""The mirror of Twilio's log of messages and calls, and deliveries that it tells of."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from atlvs.db.bulk import Mirror
from atlvs.db.engine import Transaction
from atlvs.db.syncs import Sync

MESSAGES = Mirror("twilio_messages", "twilio_sid", per_connection=True)
KINDS = {"sms": "message", "call": "call"}


async def ours(tx: Transaction, connection: UUID, sids: Sequence[str]) -> set[str]:
    """Which of these belong to a delivery or to a request already."""
    cursor = await tx.execute(
        "select provider_id as sid from integration_deliveries where connection_id = %(connection)s and provider_id = any(%(sids)s)"
        " union select external_id from integration_requests where connection_id = %(connection)s and external_id = any(%(sids)s)",
        {"connection": connection, "sids": list(sids)},
    )
    return {row["sid"] for row in await cursor.fetchall()}


async def unfinished(
    tx: Transaction, connection: UUID, older: timedelta, newer: timedelta, most: int
) -> list[dict[str, Any]]:
    """Deliveries that were sent between these ages and have not come to an end: id, channel, provider_id.

    In no order: one that never ends does not keep others from being asked for.
    """
    cursor = await tx.execute(
        "select id, channel, provider_id from integration_deliveries where connection_id = %s and state = 'sent'"
        " and provider_id is not null and sent_at between now() - %s and now() - %s order by random() limit %s",
        [connection, newer, older, most],
    )
    return await cursor.fetchall()


async def note_missing(
    tx: Transaction, sync: Sync, kind: str, since: datetime, until: datetime, seen: Sequence[str]
) -> None:
    """Remember stored records of a completely read piece of time that Twilio no longer has."""
    await tx.execute(
        "insert into integration_sync_missing (org_id, sync_id, entity, external_id)"
        " select org_id, %(sync)s, %(kind)s, twilio_sid from twilio_messages where connection_id = %(connection)s"
        " and kind = %(kind)s and deleted_at is null and fetched_at < %(started)s"
        " and twilio_created_at >= %(since)s and twilio_created_at < %(until)s and twilio_sid <> all(%(seen)s)"
        " on conflict do nothing",
        {
            "sync": sync.id,
            "kind": kind,
            "connection": sync.connection.id,
            "started": sync.started_at,
            "since": since,
            "until": until,
            "seen": list(seen),
        },
    )


async def stored(tx: Transaction, connection: UUID, kind: str) -> int:
    """How many records of a kind there are."""
    cursor = await tx.execute(
        "select count(*) as number from twilio_messages where connection_id = %s and kind = %s and deleted_at is null",
        [connection, kind],
    )
    row = await cursor.fetchone()
    return row["number"] if row else 0
