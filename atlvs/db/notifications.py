"""Notifications: what is to be told to whom, once for each key, and how far it has come."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import DataError

from atlvs import audience as audiences
from atlvs.db import secrets
from atlvs.db.carriers import take_apart
from atlvs.db.engine import Transaction, database
from atlvs.errors import Rejected
from atlvs.events import Channel
from atlvs.notices import check_given, notice_type

END = "end"  # the position of an audience that is planned to its end


@dataclass(frozen=True)
class Asked:
    """What somebody wants to be told. `key` is the asker's own: twice the same is once."""

    type: str
    key: str
    audience: dict[str, Any]
    origin: str
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    subject: str | None = None
    channels: tuple[str, ...] = ()
    mode: str = "all"
    record_type: str | None = None
    record_id: UUID | None = None
    dry_run: bool = False

    def check(self) -> None:
        """Rejected, with the field, when it could not be sent as it is."""
        kind = notice_type(self.type)
        kind.check(self.data)
        check_given(self.data, "data")
        audience = audiences.parsed(self.audience)
        if isinstance(audience, audiences.People):
            for person in audience.people:
                check_given(person.data, "audience.people.data")
        if isinstance(audience, audiences.RULES_ONLY):
            raise _wrong("audience", "of this kind stands in rules, where there is a record.")
        if not 0 < len(self.key) <= 300:
            raise _wrong("key", "has 1 to 300 characters.")
        if self.mode not in ("all", "first"):
            raise _wrong("mode", "is all or first.")
        for channel in self.channels:
            if channel not in set(Channel):
                raise _wrong("channels", f"are of {', '.join(Channel)}.")

    def fingerprint(self) -> str:
        """Equal for what is the same."""
        told = [self.type, self.data, self.audience, self.subject, self.channels, self.mode]
        return hashlib.sha256(
            orjson.dumps(told, option=orjson.OPT_SORT_KEYS, default=str)
        ).hexdigest()


@dataclass(frozen=True)
class Notification:
    """A notification as it stands."""

    id: UUID
    org_id: UUID
    key: str
    type: str
    category: str
    subject: str | None
    data: dict[str, Any]
    audience: dict[str, Any]
    channels: list[str]
    mode: str
    origin: str
    record_type: str | None
    record_id: UUID | None
    dry_run: bool
    state: str
    position: str | None
    reason: str | None
    decided_by: str | None
    created_at: datetime
    planned_at: datetime | None
    finished_at: datetime | None

    @property
    def planned(self) -> bool:
        """Whether every recipient has a row."""
        return self.position == END


COLUMNS = ", ".join(Notification.__dataclass_fields__)


async def raise_in(tx: Transaction, org_id: UUID, asked: Asked) -> tuple[UUID, str, bool]:
    """Write a notification, unless its key is known: (id, state, whether it is new).

    Rejected when the key stands for something else, or PostgreSQL cannot hold what is told (a NUL
    character, …).
    """
    asked.check()
    try:
        return await _raised(tx, org_id, asked)
    except DataError as error:
        raise Rejected(
            "notifications", "the data cannot be stored.", code="unstorable", field="data"
        ) from error


async def _raised(tx: Transaction, org_id: UUID, asked: Asked) -> tuple[UUID, str, bool]:
    kind = notice_type(asked.type)
    secret = {name: value for name, value in asked.data.items() if name in kind.secret}
    audience, own = secrets.parted(asked.audience, kind.secret)
    channels = asked.channels or tuple(map(str, kind.channels))
    cursor = await tx.execute(
        "insert into integration_notifications (org_id, key, fingerprint, type, category, subject, data, sealed,"
        " sealed_people, audience, channels, mode, origin, record_type, record_id, dry_run, expires_at, owed)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " on conflict (org_id, key) do nothing returning id, state",
        [
            org_id,
            asked.key,
            asked.fingerprint(),
            asked.type,
            kind.category,
            asked.subject,
            _json({name: value for name, value in asked.data.items() if name not in secret}),
            # Wiping it wipes people's own, too: where they have some, it is there.
            secrets.sealed(org_id, secret) if secret or own else None,
            secrets.sealed(org_id, own) if own else None,
            _json(audience),
            list(channels),
            asked.mode,
            asked.origin,
            asked.record_type,
            asked.record_id,
            asked.dry_run,
            kind.expires_at(asked.data),
            kind.owed,
        ],
    )
    made = await cursor.fetchone()
    if made:
        return made["id"], made["state"], True
    return *await _known(tx, asked), False


async def _known(tx: Transaction, asked: Asked) -> tuple[UUID, str]:
    cursor = await tx.execute(
        "select id, state, fingerprint from integration_notifications where org_id = atlvs_org() and key = %s",
        [asked.key],
    )
    known = await cursor.fetchone()
    if known is None or known["fingerprint"] != asked.fingerprint():
        raise Rejected(
            "notifications",
            "this key was used for another notification.",
            code="key_reused",
            field="key",
        )
    return known["id"], known["state"]


async def read(tx: Transaction, id: UUID) -> Notification:
    """One notification; Rejected when the organization has none of that id."""
    cursor = await tx.execute(
        f"select {COLUMNS} from integration_notifications where id = %s".encode(), [id]
    )
    row = await cursor.fetchone()
    if row is None:
        raise Rejected("notifications", f"there is no notification {id}.", code="not_found")
    return Notification(**row)


async def recent(
    tx: Transaction, limit: int = 50, state: str | None = None
) -> list[dict[str, Any]]:
    """The newest notifications with their deliveries by state."""
    cursor = await tx.execute(
        "select n.id, n.type, n.subject, n.origin, n.state, n.dry_run, n.created_at, n.key, n.reason,"
        " (select coalesce(jsonb_object_agg(state, number), '{}') from (select d.state, count(*) as number"
        "  from integration_deliveries as d where d.notification_id = n.id group by d.state) as s) as deliveries"
        " from integration_notifications as n where n.org_id = atlvs_org() and (%(state)s::text is null or n.state = %(state)s)"
        " order by n.created_at desc limit %(limit)s",
        {"limit": limit, "state": state},
    )
    return await cursor.fetchall()


async def counts(tx: Transaction, id: UUID) -> list[dict[str, Any]]:
    """Deliveries of a notification by channel, state and reason, with estimated segments and cost."""
    cursor = await tx.execute(
        "select channel, state, coalesce(code || ': ', '') || coalesce(reason, '') as reason, count(*) as number,"
        " coalesce(sum(segments), 0) as segments, coalesce(sum(cost_micros), 0) as cost_micros"
        " from integration_deliveries where notification_id = %s group by 1, 2, 3 order by 1, 2, 4 desc",
        [id],
    )
    return await cursor.fetchall()


async def under_way(tx: Transaction) -> int:
    """What the organization's drain has still to do: events, plans, and deliveries that are due."""
    cursor = await tx.execute(
        "select (select count(*) from integration_outbox where org_id = atlvs_org() and state = 'waiting')"
        " + (select count(*) from integration_notifications where state = 'raised' and not dry_run)"
        " + (select count(*) from integration_deliveries as d"
        "    join integration_notifications as n on n.id = d.notification_id"
        "    where d.state = 'sending' or d.state = 'queued' and n.state = 'sending' and d.due_at <= now()) as number"
    )
    row = await cursor.fetchone()
    return row["number"] if row else 0


async def open_ones(dry_run: bool = False) -> list[dict[str, Any]]:
    """Notifications of any organization that have to be planned or may have ended: org_id, id, state."""
    async with database().system() as tx:
        cursor = await tx.execute(
            "select org_id, id, state, position from integration_notifications where state in ('raised', 'sending')"
            " and not dry_run order by created_at limit 500"
        )
        return await cursor.fetchall()


async def move(
    tx: Transaction,
    id: UUID,
    to: str,
    *,
    among: Sequence[str],
    by: str = "",
    reason: str | None = None,
) -> bool:
    """Bring a notification from one of these states into another; whether it was in one of them."""
    cursor = await tx.execute(
        "update integration_notifications set state = %(to)s, reason = coalesce(%(reason)s, reason),"
        " decided_by = coalesce(nullif(%(by)s, ''), decided_by),"
        " planned_at = case when %(to)s = 'sending' then coalesce(planned_at, clock_timestamp()) else planned_at end,"
        " finished_at = case when %(to)s in ('done', 'cancelled', 'refused') then clock_timestamp() end,"
        " sealed = case when %(to)s in ('done', 'cancelled', 'refused') then null else sealed end,"
        " sealed_people = null"
        " where id = %(id)s and state = any(%(among)s)",
        {"id": id, "to": to, "among": list(among), "by": by, "reason": reason},
    )
    if cursor.rowcount and to in ("cancelled", "refused"):
        await take_apart(tx, id)
        await tx.execute(
            "update integration_deliveries set state = 'cancelled', lease = null, updated_at = clock_timestamp()"
            " where notification_id = %s and state in ('queued', 'planned')",
            [id],
        )
    if cursor.rowcount:
        await tx.execute("select pg_notify('integration_notifications', '')")
    return bool(cursor.rowcount)


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _wrong(field: str, text: str) -> Rejected:
    return Rejected("notifications", f"{field} {text}", code="invalid", field=field)
