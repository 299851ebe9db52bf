"""What the outside hears of domain events: the payload's shape, its signature, and when a failed post
is tried again. Pure.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import uniform
from typing import Any
from uuid import UUID

from atlvs.db.core import core_columns
from atlvs.events import DomainEvent
from atlvs.money import decimals, major

Json = dict[str, Any]
TRIGGERS = tuple(DomainEvent)[:16]
RECORDS = {  # the first word of an event's name → the table of its record
    "registration": "registrations",
    "contact": "contacts",
    "lead": "leads",
    "deal": "deals",
    "task": "tasks",
    "invoice": "invoices",
    "event": "events",
}
PER_SECOND = 30.0  # what Zapier takes at one address
TIMEOUT = 40.0  # Zapier answers within 30 s: a slow answer must not be taken for none
# Seconds until one event's next try: over three days in all, in which most outages are noticed.
TRIES = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
# Seconds that a target rests after so many failures in a row; then one post tries it.
RESTS = (5, 30, 120, 600, 1_800, 3_600)
GIVEN_UP = timedelta(days=3)  # nothing but failures for so long ends a subscription
HOURS_TRIED = 6  # in which it was tried, at least: time in which nobody posts does not count
ROTATION = timedelta(days=1)  # in which the former secret signs too
LONGEST_REST = 86_400.0  # of what a Retry-After asks for


@dataclass(frozen=True)
class Hook:
    """A subscription. `target` is what people may see of its address."""

    id: UUID
    org_id: UUID
    event: str
    target: str
    state: str
    secret: str
    zap_id: str | None
    own_writes: bool
    reason: str | None
    failures: int
    failing_since: datetime | None
    rests_until: datetime | None
    last_success_at: datetime | None
    created_at: datetime


def new_secret() -> str:
    """A secret of 32 random bytes."""
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


def signature(id: str, timestamp: int, body: bytes, keys: Sequence[str]) -> str:
    """The header `webhook-signature`: one signature a key."""
    message = f"{id}.{timestamp}.".encode() + body
    signed = (
        hmac.new(b64decode(key.removeprefix("whsec_")), message, hashlib.sha256) for key in keys
    )
    return " ".join(f"v1,{b64encode(one.digest()).decode()}" for one in signed)


def payload(
    *,
    id: UUID,
    type: str,
    occurred_at: datetime,
    org_id: UUID,
    record: Mapping[str, Any],
    changed: Mapping[str, Any] | None,
    beside: Mapping[str, Any],
) -> Json:
    """One event as it is posted. `record` and `changed` (former values) as the outbox has them, `beside`
    the rows that the record points to, by their name here (`contact`, `event`). Columns that are the
    platform's own stay with it."""
    record = ours(RECORDS[type.partition(".")[0]], record)
    around = {name: row for name, row in beside.items() if f"{name}_id" in record}
    data = {**record, **_decimals(record), **around}
    former = {name: value for name, value in (changed or {}).items() if name in record}
    if type == DomainEvent.CONTACT_UPDATED:
        data |= {"changed_fields": sorted(former), "previous": former}
    if type == DomainEvent.LEAD_STATUS_CHANGED:
        data |= {"from_status": former.get("status"), "to_status": record.get("status")}
    return {
        "id": str(id),
        "type": type,
        "occurred_at": occurred_at.isoformat(),
        "org_id": str(org_id),
        "data": data,
    }


def ours(table: str, record: Mapping[str, Any]) -> Json:
    """A record with our columns: all of them, and no others."""
    return {name: record.get(name) for name in core_columns()[table]}


def _decimals(record: Mapping[str, Any]) -> Json:
    """`amount: "12.50"` beside `amount_cents: 1250`, where the record has no such field of its own."""
    currency = str(record.get("currency") or "usd")
    return {
        name.removesuffix("_cents"): f"{major(value, currency):.{decimals(currency)}f}"
        if isinstance(value, int)
        else None
        for name, value in record.items()
        if name.endswith("_cents") and name.removesuffix("_cents") not in record
    }


def next_try(tries: int) -> float | None:
    """Seconds until an event is tried again after so many tries; None when that was the last."""
    return jittered(TRIES[tries - 1]) if tries <= len(TRIES) else None


def rest(failures: int) -> float:
    """Seconds that a target rests after so many failures in a row."""
    return jittered(RESTS[min(failures, len(RESTS)) - 1])


def jittered(seconds: float) -> float:
    """Up to a fifth more or less, so that many do not come back at one moment."""
    return seconds * uniform(0.8, 1.2)  # noqa: S311  # no secret
