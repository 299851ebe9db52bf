"""When somebody may be told: digests and quiet hours, in the recipient's own time zone."""

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAILY = time(8)  # when a daily digest comes
UTC_ZONE = ZoneInfo("UTC")


@lru_cache(maxsize=1_000)
def zone_of(name: str | None) -> ZoneInfo | None:
    """A time zone by its name; None when there is none of that name."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def next_digest(now: datetime, digest: str | None, zone: ZoneInfo) -> datetime:
    """When the next digest goes; now without one."""
    if digest == "hourly":
        return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    if digest == "daily":
        local = now.astimezone(zone)
        at = datetime.combine(local.date(), DAILY, zone)
        return (
            at if at > local else datetime.combine(local.date() + timedelta(1), DAILY, zone)
        ).astimezone(UTC)
    return now


def quiet(due: datetime, begins: time, ends: time, zone: ZoneInfo) -> dict[str, Any]:
    """When it may go if it must not go within these hours, and when the next ones begin."""
    found = window(due, begins, ends, zone)
    while found and found[0] <= due:  # more than once where a change of clocks makes them overlap
        due = found[1]
        found = window(due, begins, ends, zone)
    return {"due_at": due} | kept(found)


def kept(found: tuple[datetime, datetime] | None) -> dict[str, Any]:
    """Hours as a delivery keeps them."""
    return {"quiet_at": found[0], "quiet_for": found[1] - found[0]} if found else {}


def window(
    at: datetime, begins: time, ends: time, zone: ZoneInfo
) -> tuple[datetime, datetime] | None:
    """The hours that it is within, or else the next ones; None where there are none."""
    if begins == ends:
        return None
    day, over = at.astimezone(zone).date(), timedelta(begins > ends)  # over midnight
    for after in map(timedelta, range(-1, 4)):
        # Compared in UTC: on a day without this hour the clock shows another one.
        begin = datetime.combine(day + after, begins, zone).astimezone(UTC)
        end = datetime.combine(day + after + over, ends, zone).astimezone(UTC)
        if at < end and begin < end:
            return begin, end
    return None
