"""Notifications and their deliveries as people look at them: lists, totals, times, reasons."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from atlvs.db.engine import Transaction, database
from atlvs.errors import Rejected

LOOKS = 4  # a delivery in doubt is asked about so often; then only news can tell


@dataclass(frozen=True)
class Standing:
    """How far a notification has come."""

    state: str
    channels: list[str]  # with something due, under way or in doubt
    due: int  # may go now
    under_way: int  # with some sender
    doubtful: int  # their answer got lost, and the provider will be asked
    later: int  # after quiet hours, with a digest, or once a provider has recovered
    ended: int
    next_at: datetime | None  # when the next of the doubtful or later ones is due
    now: datetime

    @property
    def whole(self) -> int:
        """All that are to be sent, or were."""
        return self.due + self.under_way + self.doubtful + self.later + self.ended


@dataclass(frozen=True)
class Selection:
    """Which deliveries; what is None says nothing."""

    notification: UUID | None = None
    state: str | None = None
    channel: str | None = None
    since: datetime | None = None


async def organizations() -> list[UUID]:
    """Every organization."""
    async with database().system() as tx:
        cursor = await tx.execute("select id from organizations order by created_at, id")
        return [row["id"] for row in await cursor.fetchall()]


async def organization_of(notification: UUID) -> UUID:
    """Whose notification it is; Rejected when there is none of that id."""
    async with database().system() as tx:
        cursor = await tx.execute(
            "select org_id from integration_notifications where id = %s", [notification]
        )
        row = await cursor.fetchone()
    if row is None:
        raise Rejected(
            "notifications", f"there is no notification {notification}.", code="not_found"
        )
    return row["org_id"]


async def by_key(tx: Transaction, key: str) -> tuple[UUID, str]:
    """The notification of a key: id and state. Rejected when there is none."""
    cursor = await tx.execute(
        "select id, state from integration_notifications where org_id = atlvs_org() and key = %s",
        [key],
    )
    row = await cursor.fetchone()
    if row is None:
        raise Rejected("notifications", "there is no notification of this key.", code="not_found")
    return row["id"], row["state"]


async def standing(tx: Transaction, notification: UUID) -> Standing:
    """How far it has come. Nothing is due of one that is not being sent."""
    cursor = await tx.execute(
        """
        select n.state, clock_timestamp() as now, coalesce(c.due, 0) as due, coalesce(c.under_way, 0) as under_way,
            coalesce(c.doubtful, 0) as doubtful, coalesce(c.later, 0) as later, coalesce(c.ended, 0) as ended, c.next_at,
            coalesce(c.channels, '{}') as channels
        from integration_notifications as n left join lateral (
            select count(*) filter (where state = 'queued' and lease is null and due_at <= now()) as due,
                count(*) filter (where lease is not null) as under_way,
                count(*) filter (where state = 'unknown' and looks < %(looks)s) as doubtful,
                count(*) filter (where state = 'queued' and lease is null and due_at > now()) as later,
                count(*) filter (where state not in ('queued', 'sending', 'planned', 'skipped')
                    and (state <> 'unknown' or looks >= %(looks)s)) as ended,
                min(due_at) filter (where state = 'queued' and lease is null or state = 'unknown' and looks < %(looks)s)
                    as next_at,
                array_agg(distinct channel) filter (where lease is not null or state = 'unknown' and looks < %(looks)s
                    or state = 'queued' and due_at <= now()) as channels
            from integration_deliveries where notification_id = n.id) as c on true
        where n.id = %(id)s
        """,
        {"id": notification, "looks": LOOKS},
    )
    row = await cursor.fetchone()
    if row is None:
        raise Rejected(
            "notifications", f"there is no notification {notification}.", code="not_found"
        )
    return Standing(**row)


async def sample(tx: Transaction, notification: UUID, most: int = 20) -> list[dict[str, Any]]:
    """Some of the recipients, those who get it first: channel, address, state, reason."""
    cursor = await tx.execute(
        "select channel, address, state, reason from integration_deliveries where notification_id = %s"
        " order by state in ('skipped', 'suppressed'), seq limit %s",
        [notification, most],
    )
    return await cursor.fetchall()


async def chosen(tx: Transaction, which: Selection, most: int) -> list[dict[str, Any]]:
    """The newest deliveries of a selection."""
    cursor = await tx.execute(
        "select d.id, n.type, d.channel, d.address, d.state, d.code, d.reason, d.attempts, d.sent_at, d.delivered_at,"
        " d.created_at, d.notification_id from integration_deliveries as d"
        " join integration_notifications as n on n.id = d.notification_id where d.org_id = atlvs_org()"
        " and (%(notification)s::uuid is null or d.notification_id = %(notification)s)"
        " and (%(state)s::text is null or d.state = %(state)s) and (%(channel)s::text is null or d.channel = %(channel)s)"
        " and (%(since)s::timestamptz is null or d.created_at >= %(since)s) order by d.seq desc limit %(most)s",
        {**which.__dict__, "most": most},
    )
    return await cursor.fetchall()


async def whole(tx: Transaction, id: UUID) -> dict[str, Any] | None:
    """A delivery, or else a notification, with all that is known of it but the variables' values."""
    cursor = await tx.execute(
        "select d.*, n.type, n.subject, n.state as notification_state from integration_deliveries as d"
        " join integration_notifications as n on n.id = d.notification_id where d.id = %s",
        [id],
    )
    if row := await cursor.fetchone():
        return {name: value for name, value in row.items() if name not in ("data", "seq", "org_id")}
    cursor = await tx.execute("select * from integration_notifications where id = %s", [id])
    row = await cursor.fetchone()
    hidden = ("data", "sealed", "audience", "org_id", "fingerprint")
    return {name: value for name, value in row.items() if name not in hidden} if row else None


async def times(tx: Transaction, notification: UUID) -> list[dict[str, Any]]:
    """For each channel: first and last sent, and half of the seconds from sent to delivered."""
    cursor = await tx.execute(
        "select channel, min(sent_at) as first_sent, max(sent_at) as last_sent, count(sent_at) as sent,"
        " count(delivered_at) as delivered, percentile_cont(0.5) within group"
        " (order by extract(epoch from delivered_at - sent_at)::float8) as median_seconds_to_delivered"
        " from integration_deliveries where notification_id = %s group by channel order by channel",
        [notification],
    )
    return await cursor.fetchall()


async def in_state(tx: Transaction, notification: UUID, state: str, most: int) -> list[UUID]:
    """The ids of a notification's deliveries in a state, oldest first."""
    cursor = await tx.execute(
        "select id from integration_deliveries where notification_id = %s and state = %s order by seq limit %s",
        [notification, state, most],
    )
    return [row["id"] for row in await cursor.fetchall()]


async def backlog() -> dict[str, int]:
    """Of all organizations: deliveries that wait, notifications that are held, deliveries of unknown
    outcome, and those that failed in the last 24 hours."""
    async with database().system() as tx:
        cursor = await tx.execute(
            "select count(*) filter (where state in ('queued', 'sending')) as waiting,"
            " (select count(*) from integration_notifications where state = 'held') as held,"
            " count(*) filter (where state = 'unknown') as unknown,"
            " count(*) filter (where state in ('failed', 'bounced', 'undelivered')) as failed"
            " from integration_deliveries where state in ('queued', 'sending', 'unknown')"
            " or state in ('failed', 'bounced', 'undelivered') and updated_at > now() - interval '24 hours'"
        )
        return await cursor.fetchone() or {}


async def totals(tx: Transaction) -> list[dict[str, Any]]:
    """All deliveries of the organization by type, channel and state."""
    cursor = await tx.execute(
        "select n.type, d.channel, d.state, coalesce(d.reason, '') as reason, count(*) as number"
        " from integration_deliveries as d join integration_notifications as n on n.id = d.notification_id"
        " where d.org_id = atlvs_org() and not n.dry_run group by 1, 2, 3, 4 order by 1, 2, 3, 4"
    )
    return await cursor.fetchall()
