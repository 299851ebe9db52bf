"""Due deliveries that belong into one message."""

from collections.abc import Sequence
from typing import Any

import orjson

from atlvs.db import deliveries
from atlvs.db.engine import Transaction
from atlvs.notices import ITEMS
from atlvs.records import Delivery


async def due(tx: Transaction, channel: str, burst: int, most: int) -> list[list[Delivery]]:
    """Due deliveries that belong into one message: at least two of a person's digest, or a burst."""
    cursor = await tx.execute(
        f"""
        with due as (
            select d.id, d.digest, row_number() over whole as place,
                count(*) over (partition by d.digest, d.address) as number
            from integration_deliveries as d where d.org_id = atlvs_org() and d.channel = %(channel)s
                and d.state = 'queued' and d.lease is null and d.due_at <= now() and d.digest is not null
                and not d.data ? '{ITEMS}'
                and exists (select from integration_notifications as n where n.id = d.notification_id
                    and n.state = 'sending' and coalesce(n.expires_at > now(), true))
            window whole as (partition by d.digest, d.address order by d.seq)
        )
        select {deliveries.READ}, d.digest from due
        join integration_deliveries as d on d.id = due.id join integration_notifications as n on n.id = d.notification_id
        where due.place <= %(most)s and due.number >= case when due.digest like 'burst:%%' then %(burst)s else 2 end
        order by d.digest, d.address, d.seq for update of d skip locked
        """.encode(),
        {"channel": channel, "burst": burst, "most": most},
    )
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in await cursor.fetchall():
        groups.setdefault((row.pop("digest"), row["address"]), []).append(row)
    return [deliveries.opened(rows) for rows in groups.values() if len(rows) > 1]


async def gather(
    tx: Transaction, members: Sequence[Delivery], items: Sequence[dict[str, Any]]
) -> None:
    """The first carries all of them; the others are told with it."""
    carrier = members[0]
    await tx.execute(
        "update integration_deliveries set data = data || %s, digest = null, updated_at = clock_timestamp() where id = %s",
        [orjson.dumps({ITEMS: list(items)}).decode(), carrier.id],
    )
    await tx.execute(
        "update integration_deliveries set state = 'digested', digest_of = %s, updated_at = clock_timestamp()"
        " where id = any(%s) and state = 'queued'",
        [carrier.id, [one.id for one in members[1:]]],
    )
