"""Who gets what on which channel, when, and who does not and why. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from atlvs.db.audiences import Candidate, Planned
from atlvs.db.habits import Habits
from atlvs.emails import is_address
from atlvs.events import Channel
from atlvs.notices import NoticeType
from atlvs.phones import e164
from tasks.notify.times import UTC_ZONE, kept, next_digest, quiet, window, zone_of

LONGEST = 254  # characters of an address: RFC 5321
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
        if email and not (is_address(email) and len(email) <= LONGEST):
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
    behind = tuple(_behind(one, other, setting) for other in open_ones[1:])
    return [_row(one, open_ones[0], behind, setting)]


def _behind(one: Candidate, address: Address, setting: Setting) -> dict[str, str]:
    """A channel that comes after another, with the quiet hours that it has to keep by then."""
    found = {"channel": address.channel, "address": address.address or ""}
    hours = None if setting.notice.owed else _quiet_hours(one, address.channel, setting)
    times = kept(window(setting.now, *hours)) if hours else {}
    if times:
        found["quiet_at"] = times["quiet_at"].isoformat()
        found["quiet_for"] = f"{times['quiet_for'].total_seconds()} seconds"
    return found


def next_channel(one: Candidate, row: Planned, why: str, setting: Setting) -> Planned:
    """The same for what comes after a channel on which it cannot be sent; skipped where nothing does."""
    if not row.fallback:
        return _row(one, Address(row.channel, None, "skipped", why), (), setting)
    then, *others = row.fallback
    address = Address(then["channel"], then["address"], reason=f"after {row.channel}: {why}")
    return _row(one, address, tuple(others), setting)


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
        secret=one.secret,
        state=address.state,
        reason=address.reason,
        fallback=behind,
    )
    if address.state != "queued":
        return replace(row, data={}, secret={})
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
    zone = _zone(one, setting)
    wish = one.preferences.get(row.channel) or {}
    due = next_digest(setting.now, wish.get("digest"), zone)
    found: dict[str, Any] = {"due_at": due}
    if wish.get("digest"):
        found["digest"] = f"{row.recipient}:{row.channel}:{setting.notice.category}"
    if hours := _quiet_hours(one, row.channel, setting):
        found |= quiet(due, *hours)
    return found


def _quiet_hours(
    one: Candidate, channel: str, setting: Setting
) -> tuple[time, time, ZoneInfo] | None:
    """When somebody is not to be disturbed: by a mail never, in Slack only where they said so."""
    if channel == Channel.EMAIL or (channel == Channel.SLACK and not one.quiet_begins):
        return None
    begins = one.quiet_begins or setting.habits.quiet_begins
    return begins, one.quiet_ends or setting.habits.quiet_ends, _zone(one, setting)


def _zone(one: Candidate, setting: Setting) -> ZoneInfo:
    zones = (one.quiet_zone, one.time_zone, setting.habits.time_zone)
    return next(filter(None, map(zone_of, zones)), UTC_ZONE)
