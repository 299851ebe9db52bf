"""Reading an audience from the database, a few thousand people at a time, and writing their deliveries."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

import orjson
from psycopg import DataError

from atlvs.audience import Attendees, Audience, Contacts, Everyone, People, SlackChannel, Tagged
from atlvs.db.engine import Transaction
from atlvs.db.notifications import END
from atlvs.db.slack import USER_OF_CONTACT
from atlvs.errors import Rejected

START = UUID(int=0)


@dataclass(frozen=True)
class Candidate:
    """Somebody who may be told, with what decides whether and when."""

    recipient: str
    contact_id: UUID | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    slack: str | None = None  # a channel or user id
    time_zone: str | None = None
    preferences: dict[str, Any] = field(default_factory=dict[str, Any])  # channel → wanted, digest
    quiet_begins: time | None = None
    quiet_ends: time | None = None
    quiet_zone: str | None = None
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    secret: dict[str, Any] = field(
        default_factory=dict[str, Any]
    )  # variables not to be kept in clear


@dataclass(frozen=True)
class Planned:
    """A delivery as it is planned."""

    recipient: str
    contact_id: UUID | None
    channel: str
    address: str | None
    data: dict[str, Any]
    state: str
    reason: str | None = None
    due_at: datetime | None = None
    quiet_at: datetime | None = None
    quiet_for: timedelta | None = None
    digest: str | None = None
    fallback: tuple[dict[str, str], ...] = ()
    segments: int | None = None
    cost_micros: int | None = None
    sealed: bytes | None = None
    secret: dict[str, Any] = field(default_factory=dict[str, Any])  # what is in `sealed`


async def candidates(
    tx: Transaction, audience: Audience, category: str, after: str | None, most: int
) -> tuple[list[Candidate], str]:
    """The next people of an audience, and the position after them (`END` when there are no more)."""
    match audience:
        case SlackChannel(channel=channel):
            return [Candidate(f"slack:{channel}", slack=channel)], END
        case People(people=people):
            begin = int(after or 0)
            found = [
                Candidate(
                    recipient=person.recipient(place),
                    first_name=person.name,
                    email=person.email,
                    phone=person.phone,
                    data=person.data,
                )
                for place, person in enumerate(people[begin : begin + most], begin)
            ]
            return found, END if begin + most >= len(people) else str(begin + most)
        case _:
            rows = await _contacts(tx, audience, category, UUID(after) if after else START, most)
            found = [Candidate(recipient=f"contact:{row['contact_id']}", **row) for row in rows]
            return found, END if len(found) < most else str(found[-1].contact_id)


async def _contacts(
    tx: Transaction, audience: Audience, category: str, after: UUID, most: int
) -> list[dict[str, Any]]:
    condition, given = _condition(audience)
    cursor = await tx.execute(
        f"""
        select c.id as contact_id, c.first_name, c.last_name, c.email, c.phone, s.slack_user_id as slack,
            coalesce(nullif(c.time_zone, ''), o.time_zone) as time_zone, coalesce(p.preferences, '{{}}') as preferences,
            q.begins as quiet_begins, q.ends as quiet_ends, q.time_zone as quiet_zone
        from (select * from contacts as c where c.id > %(after)s and {condition} order by c.id limit %(most)s) as c
        join organizations as o on o.id = c.org_id
        left join integration_quiet_hours as q on q.contact_id = c.id
        left join lateral (
            select jsonb_object_agg(channel, jsonb_build_object('wanted', wanted, 'digest', digest)) as preferences
            from integration_preferences as p where p.contact_id = c.id and p.category = %(category)s) as p on true
        left join lateral ({USER_OF_CONTACT}) as s on true
        order by c.id
        """.encode(),
        given | {"after": after, "most": most, "category": category},
    )
    return await cursor.fetchall()


def _condition(audience: Audience) -> tuple[str, dict[str, Any]]:
    match audience:
        case Contacts(ids=ids):
            return "c.id = any(%(ids)s)", {"ids": list(ids)}
        case Attendees(event_id=event, statuses=statuses):
            return (
                "c.id in (select contact_id from registrations where event_id = %(event)s and status = any(%(statuses)s))",
                {"event": event, "statuses": list(statuses)},
            )
        case Tagged(name=name):
            return (
                "c.id in (select record_id from taggings join tags on tags.id = tag_id where tags.name = %(tag)s"
                " and record_type in ('contact', 'contacts'))",
                {"tag": name},
            )
        case Everyone():
            return "true", {}
        case _:
            return "false", {}


async def write(
    tx: Transaction, notification: UUID, planned: Sequence[Planned], position: str
) -> None:
    """Deliveries of some of the audience, and how far it is planned, in one transaction.

    Whoever has an address that another recipient has already is skipped, and says so. Rejected, and
    nothing written, when it was cancelled meanwhile, or PostgreSQL cannot hold one of them (a NUL
    character, …).
    """
    await _still_planned(tx, notification)
    try:
        await _write(tx, notification, planned, position)
    except DataError as error:
        raise Rejected(
            "database", "a recipient's variables cannot be stored.", code="unstorable"
        ) from error


async def _still_planned(tx: Transaction, notification: UUID) -> None:
    """Locks it: whoever cancels it after this also cancels what is written here."""
    cursor = await tx.execute(
        "select state from integration_notifications where id = %s for no key update",
        [notification],
    )
    row = await cursor.fetchone()
    if row is None or row["state"] != "raised":
        state = row["state"] if row else "gone"
        raise Rejected(
            "notifications", f"it is {state}: nobody is added to it.", code="not_planned"
        )


async def _write(
    tx: Transaction, notification: UUID, planned: Sequence[Planned], position: str
) -> None:
    await tx.execute(
        "create temp table if not exists planned on commit delete rows as select recipient, contact_id, channel, address,"
        " data, state, reason, due_at, quiet_at, quiet_for, digest, fallback, segments, cost_micros,"
        " sealed from integration_deliveries with no data"
    )
    async with tx.cursor().copy("copy planned from stdin") as copy:
        for one in planned:
            await copy.write_row(_row(one))
    columns = (
        "recipient, contact_id, channel, address, data, state, reason, due_at, quiet_at, quiet_for, digest, fallback,"
        " segments, cost_micros, sealed"
    )
    into = f"insert into integration_deliveries (org_id, notification_id, {columns})"
    await tx.execute(
        f"{into} select atlvs_org(), %(id)s, {columns} from planned on conflict do nothing".encode(),
        {"id": notification},
    )
    await tx.execute(
        f"{into} select atlvs_org(), %(id)s, recipient, contact_id, channel, null, '{{}}', 'skipped',"
        " 'another recipient has the same address', now(), null, null, null, '[]', null, null, null from planned"
        " where address is not null on conflict do nothing".encode(),
        {"id": notification},
    )
    await tx.execute(
        "update integration_notifications set position = %s where id = %s", [position, notification]
    )


async def totals(tx: Transaction, notification: UUID) -> dict[str, Any]:
    """What a planned notification comes to: messages that wait, and their estimated cost."""
    cursor = await tx.execute(
        "select count(*) filter (where state in ('queued', 'planned')) as messages,"
        " coalesce(sum(cost_micros) filter (where state in ('queued', 'planned')), 0)::bigint as cost_micros,"
        " coalesce(sum(segments) filter (where state in ('queued', 'planned')), 0)::bigint as segments"
        " from integration_deliveries where notification_id = %s",
        [notification],
    )
    return await cursor.fetchone() or {}


def _row(one: Planned) -> tuple[Any, ...]:
    values = asdict(replace(one, secret={}))
    del values["secret"]
    values["data"] = orjson.dumps(one.data, default=str).decode()
    values["fallback"] = orjson.dumps(one.fallback).decode()
    if one.due_at is None:
        values["due_at"] = "now"
    return tuple(values.values())
