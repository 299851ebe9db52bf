"""Posts as people look at them, and have them done again: what failed is sent again, what happened is
replayed. A range of time is about when events happened, in both.

An answer may repeat the address that it comes from: it is shown without it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from atlvs.db import hooks
from atlvs.db.arrays import plain
from atlvs.db.engine import Transaction, database
from atlvs.db.hook_events import HEARD
from atlvs.db.hook_standing import no_such_hook
from atlvs.db.resending import Again
from atlvs.errors import Rejected

Row = dict[str, Any]
AGAIN = ("waiting", "delivered", "dead", "skipped")  # what is being sent now is let be
MANY = 10_000  # posts of one replay; more wants to be said
MENDS = {
    "paused": "Post to it again first: atlvs hooks enable {id}",
    "disabled": "When its target is mended: atlvs hooks enable {id}",
    "gone": "Switch the Zap off and on again: it subscribes anew.",
    "ended": "Switch the Zap on again: it subscribes anew.",
}
COLUMNS = """
    d.id, d.hook_id, o.type as event, h.shown as target, d.state, d.attempts, d.status, d.reason, d.event_id,
    o.record_type, d.record_id, o.occurred_at, case when d.state = 'waiting' then d.due_at end as due_at, d.done_at
"""
POSTS = """
    integration_hook_deliveries as d join integration_outbox as o on o.id = d.event_id
    join integration_hooks as h on h.id = d.hook_id
"""
# What is not routed yet, the router queues.
HAPPENED = f"""
    o.org_id = atlvs_org() and o.type = %(event)s and {HEARD} and o.state <> 'waiting'
    and o.occurred_at >= %(since)s and o.occurred_at < %(until)s
"""


@dataclass(frozen=True)
class Selection:
    """Which posts; what is None says nothing. `since` and `until`: when it happened."""

    hook: UUID | None = None
    state: str | None = None
    event: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Replayed:
    """Posts that wait now: of events that were never queued, and once more."""

    new: int
    again: int


async def deliveries(org_id: UUID, which: Selection, limit: int = 50) -> list[Row]:
    """Posts of a selection, of the newest event first."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            f"""
            select {COLUMNS} from {POSTS} where d.org_id = atlvs_org()
                and (%(hook)s::uuid is null or d.hook_id = %(hook)s)
                and (%(state)s::text is null or d.state = %(state)s)
                and (%(event)s::text is null or o.type = %(event)s)
                and (%(since)s::timestamptz is null or o.occurred_at >= %(since)s)
                and (%(until)s::timestamptz is null or o.occurred_at < %(until)s)
            order by d.seq desc, d.id limit %(limit)s
            """.encode(),
            {**which.__dict__, "limit": limit},
        )
        return await cursor.fetchall()


async def delivery(org_id: UUID, id: UUID) -> Row | None:
    """One post with all its attempts, oldest first; without what was in it."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            f"select {COLUMNS}, d.tries, d.created_at from {POSTS} where d.id = %s".encode(),
            [id],
        )
        row = await cursor.fetchone()
        if row is None:
            return None
        cursor = await tx.execute(
            "select attempt, outcome, status, error, response, started_at, duration_ms"
            " from integration_hook_attempts where delivery_id = %s order by id",
            [id],
        )
        return row | {"tried": await cursor.fetchall()}


async def resend(org_id: UUID, ids: Sequence[UUID]) -> Again:
    """Have these posts go out again now, whatever became of them. Their events keep their ids."""
    wanted = list(dict.fromkeys(ids))
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "select distinct hook_id from integration_hook_deliveries where id = any(%s) order by 1",
            [wanted],
        )
        for row in await cursor.fetchall():
            await _postable(tx, row["hook_id"])
        queued = await _again(tx, "d.id = any(%(ids)s)", {"ids": wanted}, AGAIN)
        cursor = await tx.execute(
            "select count(*) as number from integration_hook_deliveries where id = any(%s)",
            [wanted],
        )
        row = await cursor.fetchone()
    there = row["number"] if row else 0
    left = Counter({"being sent now": there - queued, "not there": len(wanted) - there})
    return Again(queued, +left)


async def resend_range(
    org_id: UUID,
    hook_id: UUID,
    since: datetime | None = None,
    until: datetime | None = None,
    states: Sequence[str] = ("dead",),
) -> int:
    """Have a subscription's posts in these states go out again now; returns how many."""
    if wrong := sorted(set(states) - set(AGAIN)):
        text = f"posts that are {wrong[0]!r} cannot be sent again; there are {', '.join(AGAIN)}."
        raise Rejected("hooks", text, field="state")
    where = """
        d.hook_id = %(hook)s and d.event_id = o.id
        and (%(since)s::timestamptz is null or o.occurred_at >= %(since)s)
        and (%(until)s::timestamptz is null or o.occurred_at < %(until)s)
    """
    given: Row = {"hook": hook_id, **_checked(since, until)}
    async with database().org(org_id) as tx:
        await _postable(tx, hook_id)
        return await _again(tx, where, given, states)


async def foreseen(org_id: UUID, hook_id: UUID, since: datetime, until: datetime) -> list[Row]:
    """What a replay would find: events by what became of them so far (`new`: never queued)."""
    given: Row = {"hook": hook_id, **_checked(since, until)}
    async with database().org(org_id) as tx:
        given["event"] = (await _postable(tx, hook_id))["event"]
        return await _foreseen(tx, given)


async def replay(
    org_id: UUID, hook_id: UUID, since: datetime, until: datetime, *, even_many: bool = False
) -> Replayed:
    """Post what happened in a range of time, under the same ids: what the subscription was never told,
    and once more what was posted, failed or was skipped."""
    given: Row = {"hook": hook_id, **_checked(since, until)}
    async with database().org(org_id) as tx:
        given["event"] = (await _postable(tx, hook_id))["event"]
        number = sum(one["number"] for one in await _foreseen(tx, given) if one["posted"])
        if number > MANY and not even_many:
            text = (
                f"that would post {number:,} events, more than {MANY:,}: take a shorter range, or "
                "say that so many are wanted (even_many)."
            )
            raise Rejected("hooks", text, code="too_many")
        again = await _again(
            tx,
            f"d.hook_id = %(hook)s and d.event_id = o.id and {HAPPENED}",
            given,
            ("delivered", "dead", "skipped"),
        )
        cursor = await tx.execute(
            f"""
            insert into integration_hook_deliveries (org_id, hook_id, event_id, seq, record_id)
            select o.org_id, %(hook)s, o.id, o.seq, o.record_id from integration_outbox as o where {HAPPENED}
                and not exists (select from integration_hook_deliveries where hook_id = %(hook)s and event_id = o.id)
            """.encode(),
            given,
        )
        await hooks.wake(tx)
    return Replayed(cursor.rowcount, again)


async def addressed(tx: Transaction, hook_id: UUID) -> Row:
    """Its row with the sealed address and secrets, for a post beside the queue: to whatever state, but
    not where nobody is any more."""
    cursor = await tx.execute(
        "select id, org_id, event, shown, state, reason, target, target_hash, secrets, rotated_at, created_at"
        " from integration_hooks where id = %s",
        [hook_id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise no_such_hook(hook_id)
    if row["state"] in ("gone", "ended"):
        raise _closed(row)
    return row


async def _postable(tx: Transaction, hook_id: UUID) -> Row:
    """Its row, ours until the transaction ends. Rejected when it is not posted to.

    Who posts locks its posts first, and then the row: what is being sent must not be waited for from here
    on, as "on conflict" would.
    """
    cursor = await tx.execute(
        "select id, event, state, reason from integration_hooks where id = %s for no key update",
        [hook_id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise no_such_hook(hook_id)
    if row["state"] != "active":
        raise _closed(row)
    return row


async def _again(tx: Transaction, where: str, given: Row, states: Sequence[str]) -> int:
    cursor = await tx.execute(
        f"""
        update integration_hook_deliveries as d set state = 'waiting', due_at = now(), tries = 0, status = null,
            reason = null, done_at = null
        {"from integration_outbox as o" if "o.id" in where else ""} where d.state = any(%(states)s) and {where}
        returning d.hook_id, d.record_id
        """.encode(),
        given | {"states": list(states)},
    )
    found = await cursor.fetchall()
    if found:
        await _behind(tx, found)
        await hooks.wake(tx)
    return len(found)


async def _behind(tx: Transaction, resent: Sequence[Row]) -> None:
    """What waits behind these is due with them."""
    await tx.execute(
        "update integration_hook_deliveries set due_at = now(), behind = false where state = 'waiting' and behind"
        " and (hook_id, record_id) in (select * from unnest(%s::uuid[], %s::uuid[]))",
        [plain(row["hook_id"] for row in resent), plain(row["record_id"] for row in resent)],
    )


async def _foreseen(tx: Transaction, given: Row) -> list[Row]:
    cursor = await tx.execute(
        f"""
        select o.type as event, coalesce(d.state, 'new') as state, count(*) as number, min(o.occurred_at) as first,
            max(o.occurred_at) as last, coalesce(d.state, 'new') not in ('waiting', 'sending') as posted
        from integration_outbox as o
        left join integration_hook_deliveries as d on d.event_id = o.id and d.hook_id = %(hook)s
        where {HAPPENED} group by o.type, d.state order by 2
        """.encode(),
        given,
    )
    return await cursor.fetchall()


def _checked(since: datetime | None, until: datetime | None) -> dict[str, datetime | None]:
    """The range, in UTC if nothing else is said; Rejected when it is none."""
    given = {"since": since, "until": until}
    aware = {
        name: at.replace(tzinfo=UTC) if at and at.tzinfo is None else at
        for name, at in given.items()
    }
    if aware["since"] and aware["until"] and aware["since"] >= aware["until"]:
        raise Rejected("hooks", "the range ends before it begins.", field="until")
    return aware


def _closed(row: Row) -> Rejected:
    mend = MENDS[row["state"]].format(id=row["id"])
    why = f" ({row['reason']})" if row["reason"] else ""
    text = f"nothing is posted to subscription {row['id']}: it is {row['state']}{why}. {mend}"
    return Rejected("hooks", text, code="not_posted_to", field="subscription")
