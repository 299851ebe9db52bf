"""Whose Zaps are to be paused, since we ended their subscriptions."""

from typing import Any
from uuid import UUID

from atlvs.db.engine import Transaction, database


async def organizations() -> list[UUID]:
    """Whose ended subscriptions' Zaps are still to be paused."""
    async with database().system() as tx:
        cursor = await tx.execute(
            "select distinct org_id from integration_hooks where farewell_at <= now()"
        )
        return [row["org_id"] for row in await cursor.fetchall()]


async def waiting(tx: Transaction) -> list[dict[str, Any]]:
    """Ended subscriptions whose Zaps are to be paused now; somebody else waits ten minutes for us."""
    cursor = await tx.execute(
        "update integration_hooks set farewell_at = now() + interval '10 minutes', farewells = farewells + 1"
        " where farewell_at <= now() returning id, org_id, target, farewells - 1 as farewells"
    )
    return await cursor.fetchall()


async def said(tx: Transaction, hook_id: UUID, again: float | None) -> None:
    """It is told, or to be tried again after so many seconds."""
    await tx.execute(
        "update integration_hooks set farewell_at = now() + %s * interval '1 second'"
        " where id = %s and state = 'ended'",
        [again, hook_id],
    )
