"""Moments as the two API generations write them, and as callers filter by them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache

DAY = 86_400.0


@lru_cache(maxsize=4096)
def _rfc2822(second: int) -> str:
    return formatdate(second).replace("-0000", "+0000")


def rfc2822(moment: float | None) -> str | None:
    return None if moment is None else _rfc2822(int(moment))


def iso8601(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span_of(text: str) -> tuple[float, float]:
    """First and last moment of a date, or of a second; ValueError for anything else."""
    parsed = datetime.fromisoformat(text)
    at = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    return (at, at + DAY) if len(text) == 10 else (at, at + 1)
