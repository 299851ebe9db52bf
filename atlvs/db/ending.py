"""Where notifications end, and when their secrets are wiped.

One that has ended goes on when a late failure starts a fallback, or a look finds that a message never
left: until neither can happen, what is secret in it is kept.
"""

from uuid import UUID

from atlvs.db.engine import database

ENDED = """
    n.state = 'sending' and n.position = 'end' and not exists (select from integration_deliveries as d
        where d.notification_id = n.id and (d.state in ('queued', 'sending') or d.state = 'unknown' and d.looks < 4))
"""
# Nothing can be sent again any more, or it would come too late. SendGrid, the slowest, tries for 72 hours.
SPENT = """
    n.state = 'done' and n.sealed is not null and (n.finished_at < now() - interval '4 days' or n.expires_at <= now()
        or not exists (select from integration_deliveries as d where d.notification_id = n.id and (
            d.state = 'unknown' or d.state in ('sent', 'digested') and d.fallback <> '[]')))
"""


async def finish_ended(org_id: UUID) -> int:
    """Notifications whose last delivery has ended, or only waits for news that nobody can ask for.

    Locked first, and looked at in a statement of its own: a failure that is being written at this
    moment may start a fallback.
    """
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            f"select n.id from integration_notifications as n where {ENDED} order by n.id for no key update".encode()
        )
        ids = [row["id"] for row in await cursor.fetchall()]
        cursor = await tx.execute(
            "update integration_notifications as n set state = 'done', finished_at = clock_timestamp()"
            f" where n.id = any(%s) and {ENDED}".encode(),
            [ids],
        )
        ended = cursor.rowcount
        await tx.execute(
            f"update integration_notifications as n set sealed = null where n.org_id = atlvs_org() and {SPENT}".encode()
        )
        return ended


async def with_spent_secrets() -> list[UUID]:
    """Organizations with secrets of notifications that have ended, which nobody needs any more."""
    async with database().system() as tx:
        cursor = await tx.execute(
            f"select distinct n.org_id from integration_notifications as n where {SPENT}".encode()
        )
        return [row["org_id"] for row in await cursor.fetchall()]
