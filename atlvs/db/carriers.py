"""Digests that are taken apart: what a carrier will not tell is told otherwise."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from atlvs.db.engine import Transaction
from atlvs.notices import ITEMS


def reopened(waiting: str) -> str:
    """Notifications go on for which something waits again, as parts of a statement. Locked first: one
    that is being ended at this moment is seen as it is then."""
    return f"""
    ended as (
        select n.id, n.state from integration_notifications as n
        where n.id in (select notification_id from {waiting}) and n.state in ('sending', 'done')
        order by n.id for no key update
    ), reopened as (
        update integration_notifications as n set state = 'sending', finished_at = null
        from ended where n.id = ended.id and ended.state = 'done'
    )
    """


# Queued at once, and in their digest still: those that are left may become one again.
FREED = f"""
    with freed as (
        update integration_deliveries as d set
            state = case when n.state = 'cancelled' then 'cancelled' else 'queued' end, digest_of = null,
            due_at = now(), updated_at = clock_timestamp()
        from integration_notifications as n
        where d.digest_of = any(%s) and d.state = 'digested' and n.id = d.notification_id returning d.notification_id
    ), {reopened("freed")}
    select count(*) from freed
""".encode()
# Carriers that nobody has begun to send, of a notification or with a member of it.
CARRIERS = """
    select c.id from integration_deliveries as c where c.state = 'queued' and (
        c.notification_id = %(id)s or c.lease is null and c.id in (select digest_of from integration_deliveries as m
            where m.notification_id = %(id)s and m.state = 'digested'))
        and exists (select from integration_deliveries as m where m.digest_of = c.id and m.state = 'digested')
    order by c.id for update of c
"""


async def let_go(tx: Transaction, carriers: Sequence[UUID]) -> None:
    """Let those that were to be told with these go by themselves."""
    if carriers:
        await tx.execute(FREED, [list(carriers)])


async def take_apart(tx: Transaction, notification: UUID) -> None:
    """The digests that a notification carries or is told with, before it is cancelled."""
    rows: list[dict[str, Any]] = await (
        await tx.execute(CARRIERS.encode(), {"id": notification})
    ).fetchall()
    carriers = [row["id"] for row in rows]
    if not carriers:
        return
    await tx.execute(
        "update integration_deliveries as c set data = c.data - %s, digest = m.digest from integration_deliveries as m"
        " where c.id = any(%s) and m.digest_of = c.id and m.state = 'digested'",
        [ITEMS, carriers],
    )
    await let_go(tx, carriers)
