"""Planning a notification: who gets it, decided for a few thousand people at a time (`judging`).

Each gets a row for each delivery before anything is sent.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from atlvs import audience as audiences
from atlvs.checkpoints import checkpoint
from atlvs.db import audiences as people
from atlvs.db import consents, habits, notifications, secrets
from atlvs.db.engine import Transaction, database
from atlvs.db.notifications import Notification
from atlvs.errors import Rejected, Unavailable
from atlvs.notices import NoticeType, notice_type
from tasks.notify.judging import Address, Setting, addresses_of, planned
from tasks.notify.lines import Lines, open_lines
from tasks.notify.rehearsing import OPEN, Rehearsal

log = logging.getLogger(__name__)
CHUNK = 2_000


async def plan(org_id: UUID, id: UUID) -> Notification:
    """Write a delivery for everybody in the audience, then let it be sent, or hold it for a person.

    Goes on where it was interrupted; whoever plans it meanwhile is left to it.
    """
    async with database().lock(f"plan {id}") as free:
        if not free:
            raise Unavailable("notifications", "is being planned already.", retry_after=1)
        async with database().org(org_id) as tx:
            notification = await notifications.read(tx, id)
        if notification.state != "raised":
            return notification
        try:
            return await _planned_whole(org_id, notification)
        except Rejected as error:
            return await _refused(org_id, id, error.message)
        except (
            ArithmeticError,
            TypeError,
            ValueError,
        ) as error:
            log.exception("Notification %s cannot be planned", id)  # nor could it be the next time
            return await _refused(org_id, id, f"It cannot be planned ({type(error).__name__}).")


async def _refused(org_id: UUID, id: UUID, reason: str) -> Notification:
    async with database().org(org_id) as tx:
        await notifications.move(tx, id, "refused", among=["raised"], reason=reason)
        return await notifications.read(tx, id)


async def _planned_whole(org_id: UUID, notification: Notification) -> Notification:
    async with database().org(org_id) as tx:
        own = await secrets.of_people(tx, org_id, notification.id)
    async with open_lines(org_id, notification.channels) as lines:
        position = notification.position
        while position != people.END:
            position = await _chunk(org_id, notification, lines, position, own)
            checkpoint("notify.planned-chunk")
    async with database().org(org_id) as tx:
        await _decide(tx, notification)
        return await notifications.read(tx, notification.id)


async def _chunk(
    org_id: UUID,
    notification: Notification,
    lines: Lines,
    position: str | None,
    own: dict[str, dict[str, Any]],
) -> str:
    audience = audiences.parsed(notification.audience)
    notice = notice_type(notification.type)
    async with database().org(org_id) as tx:
        setting = await _setting(tx, notification, notice, lines)
        found, after = await people.candidates(tx, audience, notice.category, position, CHUNK)
        if own:
            found = [replace(one, secret=own.get(one.recipient, {})) for one in found]
        addresses = {one.recipient: addresses_of(one, setting) for one in found}
        refused = await _refusals(tx, notice, addresses.values())
        rehearsal = Rehearsal(org_id, notification, lines)
        rows = [
            rehearsal.row(one, row, setting)
            for one in found
            for row in planned(one, addresses[one.recipient], refused, setting)
        ]
        if position is None and rehearsal.refused and not any(row.state in OPEN for row in rows):
            raise rehearsal.refused
        await people.write(tx, notification.id, rows, after)
    return after


async def _setting(
    tx: Transaction, notification: Notification, notice: NoticeType, lines: Lines
) -> Setting:
    return Setting(
        notice=notice,
        channels=tuple(notification.channels),
        first=notification.mode == "first",
        dry_run=notification.dry_run,
        now=await database().now(),
        habits=await habits.habits(tx),
        closed=lines.closed,
    )


async def _refusals(
    tx: Transaction, notice: NoticeType, addresses: Iterable[Sequence[Address]]
) -> dict[tuple[str, str], str]:
    by_channel: dict[str, set[str]] = {}
    for found in addresses:
        for one in found:
            if one.address:
                by_channel.setdefault(one.channel, set()).add(one.address)
    category = None if notice.owed else str(notice.category)
    return {
        (channel, address): why
        for channel, wanted in by_channel.items()
        for address, why in (await consents.refusals(tx, channel, wanted, category)).items()
    }


async def _decide(tx: Transaction, notification: Notification) -> None:
    """Ready to be sent, held for a person, or, for a dry run, at its end."""
    if notification.dry_run:
        await notifications.move(tx, notification.id, "done", among=["raised"])
        return
    wanted, totals = await habits.habits(tx), await people.totals(tx, notification.id)
    many = totals["messages"] > wanted.approve_above_recipients
    dear = totals["cost_micros"] > wanted.approve_above_cost_cents * 10_000
    if (many or dear) and not notice_type(notification.type).critical:
        reason = (
            f"{totals['messages']:,} messages for about {totals['cost_micros'] / 1e6:,.2f} wait for approval:"
            f" atlvs deliveries approve {notification.id}"
        )
        await notifications.move(tx, notification.id, "held", among=["raised"], reason=reason)
        return
    await notifications.move(tx, notification.id, "sending", among=["raised"])
