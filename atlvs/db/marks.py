"""Marking deliveries: that they are being sent, in the moment before, and what became of them.

Both are parts of one statement, so that a busy sender writes them together (`Marks`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from atlvs.db.arrays import plain, texts, times
from atlvs.db.consents import standing
from atlvs.db.engine import APP, Transaction, database, role_conninfo, unavailable
from atlvs.records import Outcome
from atlvs.settings import settings

FAILURES = ("failed", "bounced", "undelivered", "suppressed")  # another channel may be tried
BEGUN = f"""
    begun as (
        update integration_deliveries as d set
            state = case when word.verdict is null then 'sending' else 'suppressed' end,
            reason = case when word.verdict is null then d.reason else word.verdict || ': ' || word.reason end,
            lease = case when word.verdict is null then d.lease end,
            sending_at = clock_timestamp(), attempts = d.attempts + 1, connection_id = %(connection)s,
            call_id = given.call_id, updated_at = clock_timestamp()
        from unnest(%(beginning)s::uuid[], %(calls)s::uuid[]) as given(id, call_id)
        join integration_deliveries as d2 on d2.id = given.id
        join integration_notifications as n on n.id = d2.notification_id and n.state = 'sending'
        left join lateral ({standing("d2", "n")}) as word on true
        where d.id = given.id and d.state = 'queued' and d.lease is not distinct from %(lease)s  -- by id, not by lease
        returning d.id, d.state
    )
"""
# Compares with the row as it is when it is written: a callback may have come while we waited for it.
FURTHER = """
    (told.rank > atlvs_rank(d.state) or told.state = 'queued' and d.state in ('sending', 'unknown'))
"""
MOVED = f"""
    told as (
        select distinct on (id) told.*, atlvs_rank(state) as rank
        from unnest(%(ids)s::uuid[], %(states)s::text[], %(providers)s::text[], %(places)s::text[], %(codes)s::text[],
            %(reasons)s::text[], %(waits)s::float8[], %(segments)s::int[], %(times)s::timestamptz[])
            as told(id, state, provider_id, place, code, reason, wait, segments, at)
        order by id, atlvs_rank(state) desc
    ), moved as (
        update integration_deliveries as d set
            state = case when {FURTHER} then told.state else d.state end,
            provider_id = coalesce(told.provider_id, d.provider_id), place = coalesce(told.place, d.place),
            code = case when {FURTHER} then told.code else d.code end,
            reason = case when {FURTHER} then told.reason else d.reason end,
            segments = coalesce(told.segments, d.segments),
            lease = case when {FURTHER} then null else d.lease end,
            due_at = case when told.state in ('queued', 'unknown') and {FURTHER}
                then now() + coalesce(told.wait, 0) * interval '1 second' else d.due_at end,
            sent_at = case when told.rank between 4 and 7 and {FURTHER}
                then coalesce(d.sent_at, told.at, clock_timestamp()) else d.sent_at end,
            delivered_at = case when told.state in ('delivered', 'opened') and {FURTHER}
                then coalesce(d.delivered_at, told.at, clock_timestamp()) else d.delivered_at end,
            opened_at = case when told.state = 'opened' and {FURTHER}
                then coalesce(told.at, clock_timestamp()) else d.opened_at end,
            updated_at = clock_timestamp()
        from told
        where d.id = told.id and ({FURTHER} or told.provider_id is not null and d.provider_id is null)
        returning d.org_id, d.notification_id, d.recipient, d.contact_id, d.channel, d.data, d.state, d.quiet_at,
            d.quiet_for, d.fallback, d.state = told.state as further
    )
"""
# Left out where nothing failed: preparing an insert costs as much as some rows.
WOKEN = """
    next_channel as (
        insert into integration_deliveries (org_id, notification_id, recipient, contact_id, channel, address, data,
            state, quiet_at, quiet_for, fallback, reason)
        select org_id, notification_id, recipient, contact_id, fallback->0->>'channel', fallback->0->>'address', data,
            'queued', quiet_at, quiet_for, fallback - 0, 'after ' || channel || ': ' || state
        from moved where further and state = any(%(failures)s) and fallback <> '[]'
        on conflict do nothing returning 1
    ), woken as (
        select pg_notify('integration_notifications', '') from (select 1 from next_channel limit 1) as one
    )
"""
COUNTED = "select count(*) filter (where further) as moved, (select count(*) from woken) as woken from moved"
STATES = "array(select id from begun) as ids, array(select state from begun) as states"
ADVANCE = f"with {MOVED} select count(*) filter (where further) as moved from moved".encode()
ADVANCE_ALL = f"with {MOVED}, {WOKEN} {COUNTED}".encode()
BOTH = f"with {MOVED}, {BEGUN} select {STATES}".encode()
BOTH_ALL = f"with {MOVED}, {WOKEN}, {BEGUN} select {STATES}, (select count(*) from woken) as woken".encode()
FEW = 5  # writes that are not worth a connection of one's own
MOST = 4  # own connections of this process


async def begin(
    tx: Transaction, lease: UUID, connection: UUID, calls: Mapping[UUID, UUID]
) -> dict[UUID, str]:
    """Mark deliveries (id → call) as being sent, in the moment before they are.

    Returns their states: "sending", or "suppressed" where somebody refused since they were planned.
    What is not returned was paused, cancelled or taken: it must not be sent.
    """
    given = beginnings(lease, connection, calls)
    cursor = await tx.execute(f"with {BEGUN} select id, state from begun".encode(), given)
    return {row["id"]: row["state"] for row in await cursor.fetchall()}


async def advance(tx: Transaction, outcomes: Sequence[Outcome]) -> int:
    """Write what became of deliveries; forward only. Starts the fallback of a confirmed failure.

    Returns how many moved. Of several outcomes of one delivery, the furthest counts.
    """
    if not outcomes:
        return 0
    statement = ADVANCE_ALL if has_failure(outcomes) else ADVANCE
    cursor = await tx.execute(statement, endings(outcomes))
    row = await cursor.fetchone()
    return row["moved"] if row else 0


def has_failure(outcomes: Sequence[Outcome]) -> bool:
    """Whether another channel may have to be tried."""
    return any(one.state in FAILURES for one in outcomes)


def beginnings(lease: UUID, connection: UUID, calls: Mapping[UUID, UUID]) -> dict[str, Any]:
    """The parameters of BEGUN."""
    ids, under = plain(calls), plain(calls.values())
    return {"lease": lease, "connection": connection, "beginning": ids, "calls": under}


def endings(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The parameters of MOVED. In one order, else two processes that write the same wait for each other."""
    ordered = sorted(outcomes, key=lambda one: one.delivery)
    return {
        "ids": plain(one.delivery for one in ordered),
        "states": texts(one.state for one in ordered),
        "providers": texts(one.provider_id for one in ordered),
        "places": texts(one.place for one in ordered),
        "codes": texts(one.code for one in ordered),
        "reasons": texts(one.reason and one.reason[:500] for one in ordered),
        "waits": plain(one.retry_after for one in ordered),
        "segments": plain(one.segments for one in ordered),
        "times": times(one.at for one in ordered),
        "failures": list(FAILURES),
    }


class Marks:
    """One sender's marks. A busy one has a connection to itself, of its organization: each writing is
    then one round trip, and one transaction."""

    _own_ones = 0

    def __init__(self, org_id: UUID, connection: UUID, lease: UUID) -> None:
        self.org_id, self.connection, self.lease = org_id, connection, lease
        self._own: AsyncConnection[DictRow] | None = None
        self._writings = 0

    async def write(
        self, calls: Mapping[UUID, UUID], outcomes: Sequence[Outcome]
    ) -> dict[UUID, str]:
        """`advance` and `begin` together; the states of what was to be begun."""
        given = beginnings(self.lease, self.connection, calls) | endings(outcomes)
        statement = BOTH_ALL if has_failure(outcomes) else BOTH
        self._writings += 1
        try:
            if self._own or (self._writings > FEW and Marks._own_ones < MOST):
                return await _written(self._own or await self._open(), statement, given, True)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            await self.close()
            raise unavailable(error) from error
        async with database().org(self.org_id) as tx:
            return await _written(tx, statement, given, None)

    async def close(self) -> None:
        """Give the connection back."""
        own, self._own = self._own, None
        if own:
            Marks._own_ones -= 1
            with suppress(psycopg.Error):
                await own.close()

    async def _open(self) -> AsyncConnection[DictRow]:
        Marks._own_ones += 1
        try:
            conninfo = await asyncio.to_thread(role_conninfo, settings(), APP)
            own = await AsyncConnection[DictRow].connect(
                conninfo, autocommit=True, row_factory=dict_row
            )
            await own.execute(
                # Some dozen rows a statement: planning it each time costs more than they do.
                "select set_config('atlvs.org_id', %s, false), set_config('plan_cache_mode',"
                " 'force_generic_plan', false)",
                [str(self.org_id)],
            )
        except BaseException:
            Marks._own_ones -= 1
            raise
        self._own = own
        return own


async def _written(
    tx: Transaction, statement: bytes, given: dict[str, Any], prepare: bool | None
) -> dict[UUID, str]:
    row = await (await tx.execute(statement, given, prepare=prepare)).fetchone()
    return dict(zip(row["ids"], row["states"], strict=True)) if row else {}
