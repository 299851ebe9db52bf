"""The posts that wait: one row an event and subscription, made with the routing of the event.

A subscription is posted to by one process at a time (its lease), a record's events in their order: the
next one is claimed when the one before it is delivered or dead. A claimed row is `sending`; when its
process ends before the answer is written, it is posted again, under the same id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from atlvs.db.arrays import plain, texts, times
from atlvs.db.engine import Transaction, database
from atlvs.db.hook_events import HEARD, opened
from atlvs.db.hooks import KEEPS, wake
from atlvs.db.leases import dead

MOST_HOOKS = 64
ENDED_EARLY = "The sender ended before the answer."
# What a Zap or a key has written does not start that Zap again: `source` is zapier:<key>:<Zap, if told>;
# the Zap begins at its 45th character, and may have colons.
OWN = """
    (not h.own_writes and o.source like 'zapier:%%' and split_part(o.source, ':', 2) = h.api_key_id::text
        and (h.zap_id is null or substr(o.source, 45) in ('', h.zap_id)))
"""
# What nobody posts to any more does not wait.
WAITS = "case when h.state in ('active', 'paused') then 'waiting' else 'dead' end"
# A record's first open post goes next, or nothing of it. What was put off holds up what comes after it, and
# not the first itself, once that is due again; what was not is due at once, even if its transaction began
# after ours.
CLAIM = """
    with held as materialized (
        select record_id, max(due_at) filter (where state = 'waiting') as until,
            case when bool_or(state = 'sending') then 0 else min(seq) end as first
        from integration_hook_deliveries
        where hook_id = %(hook)s and (state = 'sending' or state = 'waiting' and (attempts > 0 or behind) and due_at > now())
        group by record_id
    ), due as materialized (
        select id, seq, record_id from integration_hook_deliveries as d
        where hook_id = %(hook)s and state = 'waiting' and (due_at <= now() or attempts = 0 and not behind)
            and not exists (select from held where held.record_id = d.record_id and held.first <= d.seq)
        order by seq limit %(most)s * 8
    ), chosen as (
        select id from (select distinct on (record_id) id, seq from due order by record_id, seq) as first
        order by seq limit %(most)s
    ), behind as (  -- waits as long as what holds it up: else we would look at it again and again
        update integration_hook_deliveries as d set due_at = held.until, behind = true from held
        where d.hook_id = %(hook)s and d.state = 'waiting' and d.due_at <= now() and d.record_id = held.record_id
            and held.first < d.seq and held.until is not null
    )
    update integration_hook_deliveries as d
    set state = 'sending', attempts = d.attempts + 1, tries = d.tries + 1, sending_at = clock_timestamp()
    from chosen, integration_hooks as h, integration_outbox as o
    where d.id = chosen.id and h.id = d.hook_id and h.lease = %(lease)s and h.state = 'active' and o.id = d.event_id
    returning d.id, d.attempts, d.tries, d.sending_at, o.id as event_id, o.seq, o.org_id, o.type, o.occurred_at,
        o.data::text as record, o.changed::text as changed
"""
# A late answer of an attempt that was taken over counts only where it says "delivered".
FINISH = f"""
    with told as (
        select * from unnest(%(ids)s::uuid[], %(attempts)s::int[], %(outcomes)s::text[], %(statuses)s::int[], %(errors)s::text[],
            %(responses)s::text[], %(waits)s::float8[], %(starts)s::timestamptz[], %(tooks)s::real[])
            as told(id, attempt, outcome, status, error, response, wait, started_at, took)
    ), logged as (
        insert into integration_hook_attempts
            (org_id, delivery_id, attempt, outcome, status, error, response, started_at, duration_ms)
        select atlvs_org(), id, attempt, outcome, status, error, response, started_at, took from told
    )
    update integration_hook_deliveries as d set
        state = case when told.outcome = 'delivered' then 'delivered' when told.wait is null then 'dead' else {WAITS} end,
        due_at = case when told.outcome <> 'delivered' and told.wait is not null
            then now() + told.wait * interval '1 second' else d.due_at end,
        tries = case when told.outcome in ('limited', 'unknown') then greatest(d.tries - 1, 0) else d.tries end,
        status = told.status, reason = told.error,
        done_at = case when told.outcome = 'delivered' or told.wait is null then clock_timestamp() end
    from told, integration_hooks as h
    where d.id = told.id and h.id = d.hook_id and (d.state = 'sending' and d.attempts = told.attempt
        or told.outcome = 'delivered' and d.state in ('waiting', 'sending', 'dead'))
"""


@dataclass(frozen=True)
class Claimed:
    """One event that is to be posted now."""

    id: UUID
    attempts: int
    tries: int
    sending_at: datetime
    event_id: UUID
    seq: int
    org_id: UUID
    type: str
    occurred_at: datetime
    record: dict[str, Any]
    changed: dict[str, Any] | None


@dataclass(frozen=True)
class Posted:
    """What became of one attempt. `wait`: seconds until the next; None when there is none."""

    id: UUID
    attempt: int
    claimed_at: datetime
    outcome: str
    started_at: datetime
    took_ms: float
    status: int | None = None
    error: str | None = None
    response: str | None = None
    wait: float | None = None


async def enqueue(tx: Transaction, events: Iterable[UUID]) -> int:
    """Queue events for every subscription that listens; returns how many posts wait for it.

    Nobody closes these subscriptions before the transaction ends (`hooks.close` waits): what we queue it
    finds. Others may queue for them, and post to them.
    """
    cursor = await tx.execute(
        f"""
        with o as materialized (
            select o.id, o.seq, o.org_id, o.type, o.record_id, o.source from integration_outbox as o
            where o.id = any(%(ids)s::uuid[]) and {HEARD}
        ), h as materialized (
            select id, event, own_writes, api_key_id, zap_id from integration_hooks
            where org_id = atlvs_org() and state = any(%(keeps)s) and event in (select type from o)
            order by id for key share
        )
        insert into integration_hook_deliveries (org_id, hook_id, event_id, seq, record_id, state, reason, done_at)
        select o.org_id, h.id, o.id, o.seq, o.record_id, case when {OWN} then 'skipped' else 'waiting' end,
            case when {OWN} then 'its own write' end, case when {OWN} then clock_timestamp() end
        from o join h on h.event = o.type
        where not exists (select from integration_hook_deliveries where hook_id = h.id and event_id = o.id)
        on conflict do nothing returning state
        """.encode(),
        {"ids": plain(events), "keeps": list(KEEPS)},
    )
    waiting = sum(row["state"] == "waiting" for row in await cursor.fetchall())
    if waiting:
        await wake(tx)
    return waiting


async def due(without: Iterable[UUID] = ()) -> list[tuple[UUID, UUID]]:
    """(organization, subscription) of what could be posted to now and is not yet."""
    async with database().system() as tx:
        cursor = await tx.execute(
            "select org_id, id from integration_hooks as h where state = 'active' and lease is null"
            " and coalesce(rests_until, '-infinity') <= now() and id <> all(%s)"
            " and exists (select from integration_hook_deliveries where hook_id = h.id and state = 'waiting'"
            " and due_at <= now()) order by random() limit %s",
            [list(without), MOST_HOOKS],
        )
        return [(row["org_id"], row["id"]) for row in await cursor.fetchall()]


async def leased_organizations() -> list[UUID]:
    """Whose subscriptions are being posted to, by whomever."""
    async with database().system() as tx:
        cursor = await tx.execute(
            "select distinct org_id from integration_hooks where lease is not null"
        )
        return [row["org_id"] for row in await cursor.fetchall()]


async def recover(org_id: UUID) -> int:
    """Take back what a process that ended had leased; returns the posts whose answer was lost."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            f"""
            with dead as materialized ({dead("integration_hooks")}), freed as (
                update integration_hooks as h set lease = null from dead where h.lease = dead.lease
                returning h.id, h.state
            ), back as (
                update integration_hook_deliveries as d set state = {WAITS}, due_at = now(), reason = %(reason)s,
                    tries = greatest(d.tries - 1, 0)
                from freed as h where d.hook_id = h.id and d.state = 'sending'
                returning d.org_id, d.id, d.attempts, d.sending_at
            ), logged as (
                insert into integration_hook_attempts (org_id, delivery_id, attempt, outcome, error, started_at)
                select org_id, id, attempts, 'unknown', %(reason)s, sending_at from back
            )
            select count(*) as number from back
            """.encode(),
            {"reason": ENDED_EARLY},
        )
        row = await cursor.fetchone()
    return row["number"] if row else 0


async def take(tx: Transaction, hook_id: UUID, lease: UUID) -> dict[str, Any] | None:
    """Lease a subscription that is free; its row with the sealed address and secrets."""
    cursor = await tx.execute(
        "update integration_hooks set lease = %s where id = %s and lease is null and state = 'active'"
        " and coalesce(rests_until, '-infinity') <= now()"
        " returning id, org_id, event, target, target_hash, secrets, rotated_at, failures, created_at",
        [lease, hook_id],
    )
    return await cursor.fetchone()


async def give_back(tx: Transaction, hook_id: UUID, lease: UUID) -> None:
    """Let another process have it. What was claimed and never came to an end is posted again."""
    await tx.execute(
        f"update integration_hook_deliveries as d set state = {WAITS}, due_at = now(), reason = %s,"
        " tries = greatest(d.tries - 1, 0) from integration_hooks as h"
        " where h.id = %s and h.lease = %s and d.hook_id = h.id and d.state = 'sending'".encode(),
        [ENDED_EARLY, hook_id, lease],
    )
    await tx.execute(
        "update integration_hooks set lease = null where id = %s and lease = %s", [hook_id, lease]
    )


async def claim(tx: Transaction, hook_id: UUID, lease: UUID, most: int) -> list[Claimed]:
    """The next events to post, no two of one record, in the outbox's order."""
    given = {"hook": hook_id, "lease": lease, "most": most}
    rows = await (await tx.execute(CLAIM.encode(), given)).fetchall()
    return sorted((Claimed(**opened(row)) for row in rows), key=lambda one: one.seq)


async def put_back(tx: Transaction, ids: Sequence[UUID]) -> None:
    """What was claimed and never sent waits as before, or is dead with its subscription."""
    if not ids:
        return
    await tx.execute(
        f"update integration_hook_deliveries as d set state = {WAITS}, attempts = d.attempts - 1,"
        " tries = greatest(d.tries - 1, 0), reason = case when h.state in ('active', 'paused') then d.reason"
        " else h.reason end,"
        " done_at = case when h.state not in ('active', 'paused') then clock_timestamp() end"
        " from integration_hooks as h where h.id = d.hook_id and d.id = any(%s) and d.state = 'sending'".encode(),
        [list(ids)],
    )


async def slots(tx: Transaction, target_hash: bytes, number: int, per_second: float) -> float:
    """Reserve `number` posts to an address, whatever subscription they are of; seconds until the first."""
    cursor = await tx.execute(
        "insert into integration_hook_targets as t (org_id, target_hash, next_free_at)"
        " values (atlvs_org(), %(hash)s, clock_timestamp() + %(span)s * interval '1 second')"
        " on conflict (org_id, target_hash) do update"
        " set next_free_at = greatest(t.next_free_at, clock_timestamp()) + %(span)s * interval '1 second'"
        " returning extract(epoch from next_free_at - clock_timestamp())::float8 - %(span)s as wait",
        {"hash": target_hash, "span": number / per_second},
    )
    row = await cursor.fetchone()
    return max(0.0, row["wait"]) if row else 0.0


async def finish(tx: Transaction, posted: Sequence[Posted]) -> None:
    """Write what became of attempts, and each of them into the log."""
    if not posted:
        return
    await tx.execute(
        FINISH.encode(),
        {
            "ids": plain(one.id for one in posted),
            "attempts": plain(one.attempt for one in posted),
            "outcomes": texts(one.outcome for one in posted),
            "statuses": plain(one.status for one in posted),
            "errors": texts(one.error for one in posted),
            "responses": texts(
                None if one.outcome == "delivered" else one.response for one in posted
            ),
            "waits": plain(one.wait for one in posted),
            "starts": times(one.started_at for one in posted),
            "tooks": plain(one.took_ms for one in posted),
        },
    )
