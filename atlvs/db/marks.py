"""Marking deliveries: that they are being sent, in the moment before, and what became of them.

Both are parts of one statement, so that a busy sender writes them together (`Marks`).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from atlvs.db.arrays import plain, texts, times
from atlvs.db.carriers import reopened
from atlvs.db.consents import standing
from atlvs.db.engine import APP, Transaction, database, role_conninfo, unavailable
from atlvs.notices import ITEMS
from atlvs.records import Outcome
from atlvs.settings import settings

Calls = Mapping[UUID, UUID | None]  # delivery → the call that it went with
FAILURES = ("failed", "bounced", "undelivered", "suppressed")  # another channel may be tried
NAMES = "org_id, notification_id, recipient, contact_id, channel, data, sealed, state, code, reason, fallback"
ROW = ", ".join(f"d.{name}" for name in NAMES.split(", "))
BEGUN = f"""
    begun as (
        update integration_deliveries as d set
            state = case when word.verdict is null then 'sending' else d.state end,
            attempts = d.attempts + case when word.verdict is null then 1 else 0 end,
            call_id = given.call_id, sending_at = clock_timestamp(), connection_id = %(connection)s,
            updated_at = clock_timestamp()
        from unnest(%(beginning)s::uuid[], %(calls)s::uuid[]) as given(id, call_id)
        join integration_deliveries as d2 on d2.id = given.id
        join integration_notifications as n on n.id = d2.notification_id and n.state = 'sending'
        left join lateral ({standing("d2", "n")}) as word on true
        where d.id = given.id and d.state = 'queued' and d.lease is not distinct from %(lease)s  -- by id, not by lease
        returning d.id, word.verdict || ': ' || word.reason as against
    )
"""
# Compares with the row as it is when it is written: a callback may have come while we waited for it.
# "It never left" is believed of the call that it tells of; of a message that was given up for another,
# nothing is believed but that it arrived before the other left. One that was sent may be tried again.
FURTHER = """
    ((told.rank > atlvs_rank(d.state) or told.state = 'queued' and (d.state = 'unknown' and told.call_id is null
            or d.state in ('sending', 'unknown') and d.call_id = told.call_id
            or d.state = 'sent' and d.provider_id = told.provider_id))
        and (told.provider_id is null or told.provider_id <> all(d.earlier_ids)
            or told.rank between 6 and 7 and d.state = 'queued'))
"""
MOVED = f"""
    told as (
        select distinct on (id) told.*, atlvs_rank(state) as rank
        from unnest(%(ids)s::uuid[], %(states)s::text[], %(providers)s::text[], %(places)s::text[], %(codes)s::text[],
            %(reasons)s::text[], %(waits)s::float8[], %(segments)s::int[], %(times)s::timestamptz[], %(of_calls)s::uuid[])
            as told(id, state, provider_id, place, code, reason, wait, segments, at, call_id)
        order by id, atlvs_rank(state) desc
    ), moved as (
        update integration_deliveries as d set
            state = case when {FURTHER} then told.state else d.state end,
            provider_id = case when told.state = 'queued' and {FURTHER} then null
                else coalesce(told.provider_id, d.provider_id) end,
            earlier_ids = case when told.state = 'queued' and {FURTHER}
                then array_remove(d.earlier_ids || d.provider_id || nullif(told.provider_id, d.provider_id), null) else d.earlier_ids end,
            place = coalesce(told.place, d.place),
            code = case when {FURTHER} then told.code else d.code end,
            reason = case when {FURTHER} then told.reason else d.reason end,
            segments = coalesce(told.segments, d.segments),
            lease = case when {FURTHER} then null else d.lease end,
            -- what only did not fit into a call was not tried
            attempts = greatest(0, d.attempts - case when told.state = 'queued' and told.wait = 0
                and told.reason is null and {FURTHER} then 1 else 0 end),
            due_at = case when told.state in ('queued', 'unknown') and {FURTHER}
                then now() + coalesce(told.wait, 0) * interval '1 second' else d.due_at end,
            sent_at = case when told.state = 'queued' and {FURTHER} then null when told.rank between 4 and 7 and {FURTHER}
                then coalesce(d.sent_at, told.at, clock_timestamp()) else d.sent_at end,
            delivered_at = case when told.state in ('delivered', 'opened') and {FURTHER}
                then coalesce(d.delivered_at, told.at, clock_timestamp()) else d.delivered_at end,
            opened_at = case when told.state = 'opened' and {FURTHER}
                then coalesce(told.at, clock_timestamp()) else d.opened_at end,
            updated_at = clock_timestamp()
        from told
        where d.id = told.id and ({FURTHER} or d.provider_id is null
            and told.provider_id is not null and told.provider_id <> all(d.earlier_ids))
        returning d.id, {ROW}, d.state = told.state as further
    )
"""
# Left out where nothing failed: preparing an insert costs as much as some rows. Whoever was to be told
# with a message that failed is told by the next channel, too; what had ended goes on.
WOKEN = f"""
    members as (
        update integration_deliveries as d set
            state = moved.state, code = moved.code, reason = moved.reason, digest_of = null, updated_at = clock_timestamp()
        from moved where d.digest_of = moved.id and d.state = 'digested' and further and moved.state = any(%(failures)s)
        returning {ROW}
    ), next_channel as (
        insert into integration_deliveries (org_id, notification_id, recipient, contact_id, channel, address, data,
            sealed, state, quiet_at, quiet_for, fallback, reason)
        select org_id, notification_id, recipient, contact_id, fallback->0->>'channel', fallback->0->>'address',
            data - '{ITEMS}', sealed, 'queued', (fallback->0->>'quiet_at')::timestamptz,
            (fallback->0->>'quiet_for')::interval, fallback - 0, 'after ' || channel || ': ' || state
        from (select {NAMES} from moved where further and state = any(%(failures)s)
            union all select {NAMES} from members) as failed
        where fallback <> '[]' and exists (select from integration_notifications as n
            where n.id = notification_id and n.state <> 'cancelled')
        on conflict do nothing returning notification_id
    ), waiting as (
        select notification_id from next_channel
        union select notification_id from moved where further and state = 'queued'
    ), {reopened("waiting")}, woken as (
        select pg_notify('integration_notifications', '') from (select 1 from next_channel limit 1) as one
    )
"""
COUNTED = "select count(*) filter (where further) as moved, (select count(*) from woken) as woken from moved"
STATES = "array(select id from begun) as ids, array(select against from begun) as against"
ADVANCE = f"with {MOVED} select count(*) filter (where further) as moved from moved".encode()
ADVANCE_ALL = f"with {MOVED}, {WOKEN} {COUNTED}".encode()
BEGIN = f"with {BEGUN} select {STATES}".encode()
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
    return await _written(tx, BEGIN, beginnings(lease, connection, calls), None)


async def advance(tx: Transaction, outcomes: Sequence[Outcome], calls: Calls | None = None) -> int:
    """Write what became of deliveries; forward only. Starts the fallback of a confirmed failure.

    `calls`: the call that an outcome tells of, where it is known. Returns how many moved. Of several
    outcomes of one message, the furthest counts.
    """
    moved = 0
    for some in _rounds(outcomes):
        goes_on = has_failure(some) or any(one.state == "queued" for one in some)
        cursor = await tx.execute(ADVANCE_ALL if goes_on else ADVANCE, endings(some, calls or {}))
        row = await cursor.fetchone()
        moved += row["moved"] if row else 0
    return moved


def _rounds(outcomes: Sequence[Outcome]) -> Iterable[list[Outcome]]:
    """Of one delivery, one message a round: news of an old one does not hide those of the new."""
    messages: dict[UUID, list[str | None]] = {}
    rounds: dict[int, list[Outcome]] = {}
    for one in outcomes:
        known = messages.setdefault(one.delivery, [])
        if one.provider_id not in known:
            known.append(one.provider_id)
        rounds.setdefault(known.index(one.provider_id), []).append(one)
    return rounds.values()


def has_failure(outcomes: Sequence[Outcome]) -> bool:
    """Whether another channel may have to be tried."""
    return any(one.state in FAILURES for one in outcomes)


def beginnings(lease: UUID, connection: UUID, calls: Mapping[UUID, UUID]) -> dict[str, Any]:
    """The parameters of BEGUN."""
    ids, under = plain(calls), plain(calls.values())
    return {"lease": lease, "connection": connection, "beginning": ids, "calls": under}


def endings(outcomes: Sequence[Outcome], calls: Calls) -> dict[str, Any]:
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
        "of_calls": plain(calls.get(one.delivery) for one in ordered),
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
        self._calls: dict[UUID, UUID] = {}  # begun, and not heard of

    async def write(
        self, calls: Mapping[UUID, UUID], outcomes: Sequence[Outcome]
    ) -> dict[UUID, str]:
        """`advance` and `begin` together; the states of what was to be begun."""
        given = beginnings(self.lease, self.connection, calls) | endings(outcomes, self._calls)
        states = await self._write(BOTH_ALL if has_failure(outcomes) else BOTH, given)
        for one in outcomes:
            self._calls.pop(one.delivery, None)
        self._calls |= {id: calls[id] for id, state in states.items() if state == "sending"}
        return states

    async def _write(self, statement: bytes, given: dict[str, Any]) -> dict[UUID, str]:
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
    """The states of what was to be begun. What somebody refused meanwhile ends like any failure."""
    row = await (await tx.execute(statement, given, prepare=prepare)).fetchone()
    if row is None:
        return {}
    against = dict(zip(row["ids"], row["against"], strict=True))
    refused = [Outcome(id, "suppressed", reason=why) for id, why in against.items() if why]
    if refused:
        await tx.execute(ADVANCE_ALL, endings(refused, {}))
    return {id: "suppressed" if why else "sending" for id, why in against.items()}
