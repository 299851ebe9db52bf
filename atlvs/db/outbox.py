"""The outbox: domain events that wait to be told on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from atlvs.db.engine import Transaction, database

# By the clock, and not by `now()`: a writer that began after us may have been before one that began earlier.
OLDEST = """
    from integration_outbox where org_id = atlvs_org() and state = 'waiting' and due_at <= clock_timestamp()
    order by seq limit %s
"""


@dataclass(frozen=True)
class Happened:
    """One domain event. `data` is the record in our words, `changed` the former values of what changed."""

    id: UUID
    seq: int
    org_id: UUID
    type: str
    record_type: str
    record_id: UUID
    data: dict[str, Any]
    changed: dict[str, Any] | None
    source: str
    occurred_at: datetime


async def waiting_organizations() -> list[UUID]:
    """Whose events wait."""
    async with database().system() as tx:
        cursor = await tx.execute(
            "select distinct org_id from integration_outbox where state = 'waiting' and due_at <= now()"
        )
        return [row["org_id"] for row in await cursor.fetchall()]


async def take(tx: Transaction, most: int = 200) -> list[Happened]:
    """The oldest waiting events, for the caller's transaction, in which they are to be finished.

    One routing of an organization at a time: what was committed later is not told on earlier.
    """
    await _routing(tx)
    columns = "id, seq, org_id, type, record_type, record_id, data, changed, source, occurred_at"
    cursor = await tx.execute(f"select {columns} {OLDEST}".encode(), [most])
    return [Happened(**row) for row in await cursor.fetchall()]


async def oldest(tx: Transaction) -> UUID | None:
    """The event that `take` would begin with; nothing of its record is read."""
    await _routing(tx)
    row = await (await tx.execute(f"select id {OLDEST}".encode(), [1])).fetchone()
    return row["id"] if row else None


async def _routing(tx: Transaction) -> None:
    await tx.execute("select pg_advisory_xact_lock(hashtextextended('outbox ' || atlvs_org(), 0))")


async def bury(tx: Transaction, id: UUID, error: str) -> None:
    """An event that cannot be handled becomes a dead letter, so that it holds up no other."""
    await tx.execute(
        "update integration_outbox set state = 'dead', done_at = clock_timestamp(), error = %s where id = %s",
        [error[:500], id],
    )


async def finish(tx: Transaction, ids: Iterable[UUID], errors: dict[UUID, str]) -> None:
    """Mark events told on; `errors` says of some of them what could not be."""
    wanted = list(ids)
    await tx.execute(
        "update integration_outbox as o set state = 'done', done_at = clock_timestamp(), error = given.error"
        " from unnest(%s::uuid[], %s::text[]) as given(id, error) where o.id = given.id",
        [wanted, [errors.get(one) for one in wanted]],
    )
