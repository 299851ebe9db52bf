"""The consent ledger: what people and providers said about an address, over all channels.

Nothing is overwritten: the newest word of a scope counts, and one that arrives late does not outweigh
what was said after it. `all` binds every message on the channel; `optional` and a category bind what
is neither owed (transactional) nor critical.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from atlvs.db.engine import Transaction
from atlvs.records import Word

ALL, OPTIONAL = "all", "optional"  # scopes, beside the categories


def standing(delivery: str, notification: str) -> str:
    """What forbids a delivery, as a lateral subquery over these aliases: no row when nothing does."""
    d, n = delivery, notification
    return f"""
        select verdict, reason from (
            select distinct on (scope) scope, verdict, reason from integration_consents as word
            where (word.org_id, word.channel, word.address) = ({d}.org_id, {d}.channel, {d}.address)
                and (scope = 'all' or scope in ('optional', {n}.category) and not {n}.owed)
            order by scope, occurred_at desc, id desc
        ) as newest where verdict <> 'allowed' limit 1
    """


def normal(channel: str, address: str) -> str:
    """An address as the ledger has it: e-mail in lower case, all else as it is."""
    return address.strip().lower() if channel == "email" else address.strip()


async def record(tx: Transaction, org_id: UUID, words: Sequence[Word]) -> int:
    """Write what was said; returns how many entries were new."""
    if not words:
        return 0
    now = datetime.now(UTC)
    # In one order, else two processes that write the same words wait for each other.
    ordered = sorted(words, key=lambda word: (word.source, word.event_id or ""))
    cursor = await tx.execute(
        "insert into integration_consents (org_id, channel, address, scope, verdict, reason, source, event_id,"
        " contact_id, occurred_at) select %s, * from unnest(%s::text[], %s::text[], %s::text[], %s::text[],"
        " %s::text[], %s::text[], %s::text[], %s::uuid[], %s::timestamptz[])"
        " on conflict (org_id, source, event_id) do nothing",
        [
            org_id,
            [word.channel for word in ordered],
            [normal(word.channel, word.address) for word in ordered],
            [word.scope for word in ordered],
            [word.verdict for word in ordered],
            [word.reason[:200] for word in ordered],
            [word.source for word in ordered],
            [word.event_id or str(uuid4()) for word in ordered],
            [word.contact_id for word in ordered],
            [word.occurred_at or now for word in ordered],
        ],
    )
    return cursor.rowcount


async def refusals(
    tx: Transaction, channel: str, addresses: Collection[str], category: str | None = None
) -> dict[str, str]:
    """Which of these addresses must not get a message, and why. Keys are normal addresses. Without a
    category: a message that is owed or critical."""
    cursor = await tx.execute(
        """
        select address, string_agg(verdict || ': ' || reason, ', ' order by scope) as why from (
            select distinct on (address, scope) address, scope, verdict, reason from integration_consents
            where org_id = atlvs_org() and channel = %(channel)s and address = any(%(addresses)s)
                and scope = any(%(scopes)s)
            order by address, scope, occurred_at desc, id desc
        ) as newest where verdict <> 'allowed' group by address
        """,
        {
            "channel": channel,
            "addresses": sorted({normal(channel, address) for address in addresses}),
            "scopes": [ALL, OPTIONAL, category] if category else [ALL],
        },
    )
    return {row["address"]: row["why"] for row in await cursor.fetchall()}


async def history(tx: Transaction, channel: str, address: str) -> list[dict[str, Any]]:
    """All that was ever said about an address, newest first."""
    cursor = await tx.execute(
        "select scope, verdict, reason, source, occurred_at, recorded_at from integration_consents"
        " where org_id = atlvs_org() and channel = %s and address = %s order by occurred_at desc, id desc",
        [channel, normal(channel, address)],
    )
    return await cursor.fetchall()
