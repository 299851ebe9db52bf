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
    if begins == ends:
        return {"due_at": due}
    local = due.astimezone(zone)
    begin = datetime.combine(local.date(), begins, zone)
    end = datetime.combine(local.date(), ends, zone)
    if begins > ends:  # over midnight
        if local < end:
            begin = datetime.combine(local.date() - timedelta(1), begins, zone)
        else:
            end = datetime.combine(local.date() + timedelta(1), ends, zone)
    if begin <= local < end:
        due = end.astimezone(UTC)
    if due.astimezone(zone) >= end:
        begin = datetime.combine(begin.date() + timedelta(1), begins, zone)
        end = datetime.combine(end.date() + timedelta(1), ends, zone)
    length = end.astimezone(UTC) - begin.astimezone(UTC)
    return {"due_at": due, "quiet_at": begin.astimezone(UTC), "quiet_for": length}
