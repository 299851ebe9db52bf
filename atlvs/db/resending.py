"""Sending again what has failed, once its cause is mended. Nobody is told twice by it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from atlvs.db import consents, notifications
from atlvs.db.engine import Transaction
from atlvs.db.notifications import Notification
from atlvs.errors import Rejected
from atlvs.notices import ITEMS, notice_type
from atlvs.records import Outcome

FAILED = ("failed", "bounced", "undelivered")
REACHED = ("queued", "sending", "unknown", "sent", "digested", "delivered", "opened")
SENT_AGAIN = ("sending", "paused", "held", "done")  # states of a notification that allow it


@dataclass(frozen=True)
class Again:
    """What is sent again, and what is not and why."""

    queued: int = 0
    left: Counter[str] = field(default_factory=Counter[str])


async def resend(
    tx: Transaction,
    id: UUID,
    by: str,
    *,
    deliveries: Sequence[UUID] | None = None,
    unknown_too: bool = False,
) -> Again:
    """Put failed deliveries of a notification back into the queue: all of them, or the given ones.

    Not to addresses that refused or cannot be reached, nor to somebody who was reached another way.
    One of unknown outcome may have arrived: a person has to say that it shall go again.
    """
    notification = await notifications.read(tx, id)
    _check(notification)
    rows = await _candidates(tx, id, deliveries)
    refused = await _refusals(tx, notification, rows)
    reasons = [_why_not(row, refused, unknown_too) for row in rows]
    left = Counter(why for why in reasons if why)
    wanted = [row for row, why in zip(rows, reasons, strict=True) if not why]
    if notification.mode == "first":
        wanted, others = _first_of_each(wanted)
        left += Counter({"will be tried on another channel": others} if others else {})
    await _queue(tx, [row["id"] for row in wanted])
    if wanted and notification.state == "done":
        await notifications.move(tx, id, "sending", among=["done"], by=by)
    if wanted:
        await tx.execute("select pg_notify('integration_notifications', '')")
    return Again(len(wanted), left)


def _check(notification: Notification) -> None:
    if notification.dry_run:
        raise Rejected("notifications", "a dry run sent nothing: send it first.", code="dry_run")
    if notification.state not in SENT_AGAIN:
        raise Rejected(
            "notifications",
            f"it is {notification.state}: raise it anew under another key.",
            code="not_sent",
        )
    if notification.state == "done" and notice_type(notification.type).secret:
        raise Rejected(
            "notifications",
            "what was secret in it was wiped when it had ended: raise it anew under another key.",
            code="secrets_wiped",
        )


async def _candidates(
    tx: Transaction, id: UUID, deliveries: Sequence[UUID] | None
) -> list[dict[str, Any]]:
    """Failed and unknown deliveries, locked, with whether their recipient was reached otherwise."""
    cursor = await tx.execute(
        """
        select d.id, d.recipient, d.channel, d.address, d.state, n.mode = 'first' and exists (
                select from integration_deliveries as o where o.notification_id = d.notification_id
                    and o.recipient = d.recipient and o.channel <> d.channel and o.state = any(%(reached)s)) as reached
        from integration_deliveries as d join integration_notifications as n on n.id = d.notification_id
        where d.notification_id = %(id)s and d.address is not null
            and (d.state = any(%(failed)s) or d.state = 'unknown')
            and (%(deliveries)s::uuid[] is null or d.id = any(%(deliveries)s))
        order by d.seq for update of d
        """,
        {
            "id": id,
            "failed": list(FAILED),
            "reached": list(REACHED),
            "deliveries": list(deliveries) if deliveries is not None else None,
        },
    )
    return await cursor.fetchall()


async def _refusals(
    tx: Transaction, notification: Notification, rows: Sequence[dict[str, Any]]
) -> dict[tuple[str, str], str]:
    """(channel, address) → what the ledger says against it."""
    notice = notice_type(notification.type)
    category = None if notice.critical or notice.transactional else str(notice.category)
    found: dict[tuple[str, str], str] = {}
    for channel in sorted({row["channel"] for row in rows}):
        addresses = {row["address"] for row in rows if row["channel"] == channel}
        against = await consents.refusals(tx, channel, addresses, category)
        found |= {(channel, address): why for address, why in against.items()}
    return found


def _why_not(
    row: dict[str, Any], refused: dict[tuple[str, str], str], unknown_too: bool
) -> str | None:
    if row["state"] == "unknown" and not unknown_too:
        return "may have arrived (unknown outcome)"
    if why := refused.get((row["channel"], consents.normal(row["channel"], row["address"]))):
        return why
    return "was reached on another channel" if row["reached"] else None


def _first_of_each(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """One for each recipient, where one channel is enough; how many are left out."""
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        first.setdefault(row["recipient"], row)
    return list(first.values()), len(rows) - len(first)


async def _queue(tx: Transaction, ids: Sequence[UUID]) -> None:
    await tx.execute(
        "update integration_deliveries set state = 'queued', lease = null, due_at = now(), attempts = 0, looks = 0,"
        " code = null, reason = null, provider_id = null, earlier_ids = array_remove(earlier_ids || provider_id, null),"
        # whoever was to be told with one that failed, failed with it, and goes again alone
        f" data = case when state = 'unknown' then data else data - '{ITEMS}' end, place = null, call_id = null,"
        " sending_at = null, sent_at = null, delivered_at = null, opened_at = null, updated_at = clock_timestamp() where id = any(%s)",
        [list(ids)],
    )


async def tries(tx: Transaction, failed: Sequence[Outcome]) -> dict[UUID, int]:
    """Deliveries, locked, that may be tried again as they are, and how often they were: the message
    that failed is their last, no other channel stands behind it, nothing was wiped, nobody cancelled."""
    cursor = await tx.execute(
        "select d.id, d.attempts, d.provider_id, n.type, n.sealed is null as wiped from integration_deliveries as d"
        " join integration_notifications as n on n.id = d.notification_id"
        " where d.id = any(%s) and d.state = 'sent' and d.fallback = '[]' and n.state in ('sending', 'paused', 'done')"
        " order by d.id for update of d",
        [[one.delivery for one in failed]],
    )
    messages = {(one.delivery, one.provider_id) for one in failed}
    return {
        row["id"]: row["attempts"]
        for row in await cursor.fetchall()
        if (row["id"], row["provider_id"]) in messages
        and not (row["wiped"] and notice_type(row["type"]).secret)
    }
