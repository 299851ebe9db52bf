"""Deliveries: one row for each (notification, recipient, channel), written before anything is sent.

queued → sending → sent → delivered → opened, or to one of the failures; `atlvs_rank` orders them and
nothing moves back, but what is proven not to have left (`Outcome.state` "queued"). A row is leased by
one sender at a time; a lease is worth as much as its holder's advisory lock, so it ends with its process.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import orjson

from atlvs.crypto import key_ring
from atlvs.db.carriers import let_go
from atlvs.db.engine import Transaction, database
from atlvs.db.leases import dead
from atlvs.db.marks import FAILURES, advance, begin
from atlvs.records import Delivery, Outcome
from atlvs.settings import settings

__all__ = ["FAILURES", "advance", "begin"]  # written in `marks`
READ = """
    d.id, d.org_id, d.notification_id, n.type, n.category, d.channel, d.recipient, d.address, d.contact_id,
    n.subject, (n.data || d.data)::text as data, n.sealed, d.sealed as own, n.record_type, n.record_id, d.attempts, d.looks,
    d.sending_at, d.call_id, d.provider_id
"""
# One statement, whose work does not grow with what is due besides.
CLAIM = f"""
    with due as (
        select d.ctid, coalesce(n.expires_at <= now(), false) as late,
            case when d.quiet_at <= now() then greatest(d.due_at, d.quiet_at + d.quiet_for + interval '1 day'
                * floor(extract(epoch from now() - d.quiet_at) / 86400)) else d.due_at end as due_at,
            case when d.quiet_at <= now() then d.quiet_at + interval '1 day'
                * ceil(extract(epoch from now() - d.quiet_at) / 86400 + 0.0001) else d.quiet_at end as quiet_at
        from integration_deliveries as d
        join integration_notifications as n on n.id = d.notification_id and n.state = 'sending'
        where d.org_id = atlvs_org() and d.channel = %(channel)s and d.state = 'queued'
            and d.lease is null and d.due_at <= now()
            and (%(notification)s::uuid is null or d.notification_id = %(notification)s)
            and (%(digests)s or d.digest is null)
        order by d.due_at, d.seq limit %(most)s for update of d skip locked
    )
    update integration_deliveries as d set
        lease = case when not due.late and due.due_at <= now() then %(lease)s::uuid end,
        state = case when due.late then 'skipped' else d.state end,
        reason = case when due.late then 'it would come too late' else d.reason end,
        updated_at = case when due.late then clock_timestamp() else d.updated_at end,
        due_at = due.due_at, quiet_at = due.quiet_at
    from due, integration_notifications as n
    where d.ctid = due.ctid and n.id = d.notification_id
    returning {READ}, d.seq, d.lease is not null as taken, due.late
""".encode()


async def claim(
    org_id: UUID,
    channel: str,
    lease: UUID,
    most: int,
    notification: UUID | None = None,
    digests: bool = True,
) -> list[Delivery]:
    """Lease due deliveries of notifications that are being sent; of one of them if it is given.
    `digests`: also of digests, which were gathered a moment ago.

    Of those it comes across, what would come too late is skipped, and what has come into its
    recipient's quiet hours since it was planned waits for their end.
    """
    given = {"channel": channel, "lease": lease, "most": most, "notification": notification}
    given["digests"] = digests
    async with database().org(org_id) as tx:
        while True:
            rows = await (await tx.execute(CLAIM, given)).fetchall()
            taken = [row for row in rows if row.pop("taken")]
            await let_go(tx, [row["id"] for row in rows if row.pop("late")])
            if taken or not rows:
                break
    return opened(sorted(taken, key=lambda row: row.pop("seq")))


async def release(tx: Transaction, lease: UUID, ids: Iterable[UUID], seconds: float = 0.0) -> None:
    """Give back what was leased and not begun, for `seconds` at least."""
    await tx.execute(
        "update integration_deliveries set lease = null, due_at = greatest(due_at, now() + %s * interval '1 second')"
        " where id = any(%s) and lease = %s and state = 'queued'",
        [seconds, list(ids), lease],
    )


async def wake(tx: Transaction) -> None:
    """Have the drainer look for what is due, when this transaction ends."""
    await tx.execute("select pg_notify('integration_notifications', '')")


async def settle_call(tx: Transaction, calls: Iterable[UUID]) -> int:
    """Deliveries of one call share its fate: one of them was heard of, so all of them went out."""
    cursor = await tx.execute(
        "update integration_deliveries set state = 'sent', lease = null, sent_at = coalesce(sent_at, sending_at),"
        " updated_at = clock_timestamp() where call_id = any(%s) and state = 'unknown'",
        [list(calls)],
    )
    return cursor.rowcount


async def recover(org_id: UUID) -> dict[str, int]:
    """Take back what a process that died had leased: begun is unknown, the rest waits again."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            f"""
            with dead as materialized ({dead("integration_deliveries")}), taken as (
                update integration_deliveries as d set lease = null, updated_at = clock_timestamp(),
                    state = case when d.state = 'sending' then 'unknown' else d.state end,
                    reason = case when d.state = 'sending' then 'The sender ended before the answer.' else d.reason end,
                    due_at = case when d.state = 'sending' then d.sending_at + %s * interval '1 second' else d.due_at end
                from dead where d.lease = dead.lease returning d.state
            )
            select state, count(*) as number from taken group by state
            """.encode(),
            [settings().settle_seconds],
        )
        return {row["state"]: row["number"] for row in await cursor.fetchall()}


async def unknown(org_id: UUID, channel: str, most: int = 500) -> list[Delivery]:
    """Deliveries of unknown outcome that are to be looked up now; each is looked up ever later."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            f"""
            with due as (
                select id from integration_deliveries where state = 'unknown' and channel = %s and due_at <= now()
                order by due_at limit %s for update skip locked
            )
            update integration_deliveries as d set looks = d.looks + 1,
                due_at = now() + %s * power(3, least(d.looks, 6)) * interval '1 second'
            from due, integration_notifications as n
            where d.id = due.id and n.id = d.notification_id returning {READ}
            """.encode(),
            [channel, most, settings().settle_seconds],
        )
        return opened(await cursor.fetchall())


async def doubt(tx: Transaction, outcomes: Sequence[Outcome]) -> None:
    """Write why the outcome of deliveries is still unknown."""
    await tx.execute(
        "update integration_deliveries as d set reason = given.reason, updated_at = clock_timestamp()"
        " from unnest(%s::uuid[], %s::text[]) as given(id, reason)"
        " where d.id = given.id and d.state = 'unknown' and given.reason is not null",
        [[one.delivery for one in outcomes], [one.reason for one in outcomes]],
    )


async def by_provider_id(tx: Transaction, connection: UUID, ids: Sequence[str]) -> dict[str, UUID]:
    """The provider's message id → our delivery."""
    cursor = await tx.execute(
        "select provider_id, id from integration_deliveries where connection_id = %s and provider_id = any(%s)",
        [connection, list(ids)],
    )
    return {row["provider_id"]: row["id"] for row in await cursor.fetchall()}


async def earlier(tx: Transaction, delivery: Delivery) -> list[dict[str, Any]]:
    """Messages about the same record that reached the same address on the same channel, newest first:
    type, state, provider_id, place, sent_at."""
    if delivery.record_id is None:
        return []
    cursor = await tx.execute(
        "select n.type, d.state, d.provider_id, d.place, d.sent_at, d.id from integration_deliveries as d"
        " join integration_notifications as n on n.id = d.notification_id"
        " where n.record_type = %s and n.record_id = %s and d.recipient = %s and d.channel = %s"
        " and d.provider_id is not null and d.id <> %s order by d.sent_at desc nulls last limit 500",
        [
            delivery.record_type,
            delivery.record_id,
            delivery.recipient,
            delivery.channel,
            delivery.id,
        ],
    )
    return await cursor.fetchall()


async def work(channel: str | None = None) -> list[dict[str, Any]]:
    """Organizations and channels with deliveries that are due, of unknown outcome or leased."""
    async with database().system() as tx:
        cursor = await tx.execute(
            "select d.org_id, d.channel, bool_or(d.state = 'queued' and lease is null and n.state = 'sending') as due,"
            " bool_or(d.state = 'unknown') as unknown, bool_or(lease is not null) as leased"
            " from integration_deliveries as d join integration_notifications as n on n.id = d.notification_id"
            " where (d.state = 'queued' and n.state = 'sending' and due_at <= now()"
            "  or d.state = 'unknown' and due_at <= now() or lease is not null)"
            " and (%(channel)s::text is null or d.channel = %(channel)s) group by d.org_id, d.channel",
            {"channel": channel},
        )
        return await cursor.fetchall()


def opened(rows: Iterable[dict[str, Any]]) -> list[Delivery]:
    """Deliveries with their secrets unsealed; their notification's once for all of them."""
    ring = cache(lambda: key_ring(settings()))
    shared: dict[UUID, dict[str, Any]] = {}
    found: list[Delivery] = []
    for row in rows:
        sealed, own, org = row.pop("sealed"), row.pop("own"), str(row["org_id"])
        if sealed and row["notification_id"] not in shared:
            shared[row["notification_id"]] = orjson.loads(ring().open(bytes(sealed), org))
        row["data"] = orjson.loads(row["data"]) | shared.get(row["notification_id"], {})
        if own:
            row["data"] |= orjson.loads(ring().open(bytes(own), org))
        found.append(Delivery(**row))
    return found
