"""Who gets what, when, and who does not and why: decided for a few thousand people at a time.

The decision is a pure function; `plan` reads people, asks it, and writes a row for each delivery.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from atlvs import audience as audiences
from atlvs.checkpoints import checkpoint
from atlvs.db import audiences as people
from atlvs.db import consents, habits, notifications
from atlvs.db.audiences import Candidate, Planned
from atlvs.db.engine import Transaction, database
from atlvs.db.habits import Habits
from atlvs.db.notifications import Notification
from atlvs.errors import Rejected, Unavailable
from atlvs.events import Channel
from atlvs.notices import NoticeType, notice_type
from atlvs.phones import e164
from atlvs.records import Delivery, Estimate
from tasks.notify.lines import Lines, open_lines
from tasks.notify.senders import sender_for
from tasks.notify.times import UTC_ZONE, next_digest, quiet, zone_of

log = logging.getLogger(__name__)
CHUNK = 2_000
EMAIL = re.compile(r"[^@\s\"(),:;<>\[\\\]\x00-\x1f]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
DISTURBING = (Channel.SMS, Channel.CALL, Channel.SLACK)  # channels that quiet hours are for
NO_ADDRESS = {"email": "no e-mail address", "sms": "no phone number", "call": "no phone number"}


@dataclass(frozen=True)
class Setting:
    """What is the same for all recipients of one notification."""

    notice: NoticeType
    channels: tuple[str, ...]
    first: bool
    dry_run: bool
    now: datetime
    habits: Habits
    closed: Mapping[str, str] = field(default_factory=dict)  # channel → why nothing goes there


@dataclass(frozen=True)
class Address:
    """Where somebody can be reached on a channel, or why not."""

    channel: str
    address: str | None
    state: str = "queued"
    reason: str | None = None


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
    async with open_lines(org_id, notification.channels) as lines:
        position = notification.position
        while position != people.END:
            position = await _chunk(org_id, notification, lines, position)
            checkpoint("notify.planned-chunk")
    async with database().org(org_id) as tx:
        await _decide(tx, notification)
        return await notifications.read(tx, notification.id)


async def _chunk(
    org_id: UUID, notification: Notification, lines: Lines, position: str | None
) -> str:
    audience = audiences.parsed(notification.audience)
    notice = notice_type(notification.type)
    async with database().org(org_id) as tx:
        setting = Setting(
            notice=notice,
            channels=tuple(notification.channels),
            first=notification.mode == "first",
            dry_run=notification.dry_run,
            now=await database().now(),
            habits=await habits.habits(tx),
            closed=lines.closed,
        )
        found, after = await people.candidates(tx, audience, notice.category, position, CHUNK)
        addresses = {one.recipient: addresses_of(one, setting) for one in found}
        refused = await _refusals(tx, notice, addresses.values())
        rows = [
            row for one in found for row in planned(one, addresses[one.recipient], refused, setting)
        ]
        rows = _estimated(org_id, notification, rows, lines)
        await people.write(tx, notification.id, rows, after)
    return after


def addresses_of(one: Candidate, setting: Setting) -> list[Address]:
    """Where somebody can be reached, channel by channel."""
    return [_address(one, channel, setting) for channel in setting.channels]


def _address(one: Candidate, channel: str, setting: Setting) -> Address:
    if channel in setting.closed:
        return Address(channel, None, "skipped", setting.closed[channel])
    if channel == Channel.SLACK:
        known = setting.habits.slack_known and one.contact_id
        found = one.slack or ("" if known else (one.email or "").strip().lower())
        return (
            Address(channel, found) if found else Address(channel, None, "skipped", "no Slack user")
        )
    if channel == Channel.EMAIL:
        email = (one.email or "").strip().lower()
        if email and not (EMAIL.fullmatch(email) and len(email) <= 254):
            return Address(channel, None, "skipped", "not an e-mail address")
        return (
            Address(channel, email)
            if email
            else Address(channel, None, "skipped", NO_ADDRESS[channel])
        )
    if not (one.phone or "").strip():
        return Address(channel, None, "skipped", NO_ADDRESS[channel])
    number = e164(one.phone or "", setting.habits.region)
    return (
        Address(channel, number)
        if number
        else Address(channel, None, "skipped", "not a phone number")
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


def planned(
    one: Candidate,
    addresses: Sequence[Address],
    refused: Mapping[tuple[str, str], str],
    setting: Setting,
) -> list[Planned]:
    """The deliveries of one person: one a channel, or the first that works with the others behind it."""
    judged = [_judged(one, address, refused, setting) for address in addresses]
    open_ones = [address for address in judged if address.state == "queued"]
    if not setting.first:
        return [_row(one, address, (), setting) for address in judged]
    if not open_ones:
        return [_row(one, _nowhere(judged), (), setting)]
    behind = tuple(
        {"channel": other.channel, "address": other.address or ""} for other in open_ones[1:]
    )
    return [_row(one, open_ones[0], behind, setting)]


def _nowhere(judged: Sequence[Address]) -> Address:
    """Nobody can be told on any channel: one row, with all the reasons."""
    reasons = "; ".join(f"{address.channel}: {address.reason}" for address in judged)
    refused = next((address for address in judged if address.state == "suppressed"), judged[0])
    return replace(refused, reason=reasons)


def _judged(
    one: Candidate, address: Address, refused: Mapping[tuple[str, str], str], setting: Setting
) -> Address:
    if address.address is None:
        return address
    why = refused.get((address.channel, address.address))
    if why:
        return replace(address, state="suppressed", reason=why)
    wish = one.preferences.get(address.channel) or {}
    if wish.get("wanted") is False and not setting.notice.owed:
        return replace(address, state="skipped", reason="does not want it")
    return address


def _row(
    one: Candidate, address: Address, behind: tuple[dict[str, str], ...], setting: Setting
) -> Planned:
    row = Planned(
        recipient=one.recipient,
        contact_id=one.contact_id,
        channel=address.channel,
        address=address.address,
        data=own_data(one),
        state=address.state,
        reason=address.reason,
        fallback=behind,
    )
    if address.state != "queued":
        return replace(row, data={})
    return replace(
        row, state="planned" if setting.dry_run else "queued", **_times(one, row, setting)
    )


def own_data(one: Candidate) -> dict[str, Any]:
    """The recipient's own variables; what is empty is left out."""
    name = " ".join(part for part in (one.first_name, one.last_name) if part)
    own = {
        "first_name": one.first_name,
        "last_name": one.last_name,
        "name": name,
        "time_zone": one.time_zone,
    }
    return {key: value for key, value in own.items() if value} | one.data


def _times(one: Candidate, row: Planned, setting: Setting) -> dict[str, Any]:
    """When it may go: at once, after quiet hours, or with a digest."""
    if row.recipient.startswith("slack:"):
        return (
            {"digest": f"burst:{row.address}:{setting.notice.type}"}
            if setting.notice.digestible
            else {}
        )
    if setting.notice.owed:
        return {}
    zone = (
        zone_of(one.quiet_zone)
        or zone_of(one.time_zone)
        or zone_of(setting.habits.time_zone)
        or UTC_ZONE
    )
    wish = one.preferences.get(row.channel) or {}
    due = next_digest(setting.now, wish.get("digest"), zone)
    found: dict[str, Any] = {"due_at": due}
    if wish.get("digest"):
        found["digest"] = f"{row.recipient}:{row.channel}:{setting.notice.category}"
    if row.channel in DISTURBING and (one.quiet_begins or row.channel != Channel.SLACK):
        begins = one.quiet_begins or setting.habits.quiet_begins
        ends = one.quiet_ends or setting.habits.quiet_ends
        found |= quiet(due, begins, ends, zone)
    return found


def _estimated(
    org_id: UUID, notification: Notification, rows: list[Planned], lines: Lines
) -> list[Planned]:
    """Rows with what they will cost. The first of each channel is rendered, so that what can never be
    sent is refused before anything is."""
    done: list[Planned] = []
    checked: set[str] = set()
    for row in rows:
        if row.state in ("queued", "planned"):
            delivery = as_delivery(org_id, notification, row)
            connector, sender = lines.connectors[row.channel], sender_for(row.channel)
            if row.channel not in checked:
                checked.add(row.channel)
                sender.check(connector, delivery)
            cost: Estimate | None = sender.estimate(connector, delivery)
            if cost:
                row = replace(row, segments=cost.segments, cost_micros=cost.cost_micros)
        done.append(row)
    return done


def as_delivery(org_id: UUID, notification: Notification, row: Planned) -> Delivery:
    """A planned row as a sender wants it. Secret variables are not known here: their names stand in."""
    hidden = {name: f"({name})" for name in notice_type(notification.type).secret}
    return Delivery(
        id=notification.id,
        org_id=org_id,
        notification_id=notification.id,
        type=notification.type,
        category=notification.category,
        channel=row.channel,
        recipient=row.recipient,
        address=row.address or "",
        contact_id=row.contact_id,
        subject=notification.subject,
        data=hidden | notification.data | row.data,
        record_type=notification.record_type,
        record_id=notification.record_id,
    )


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
