"""How a subscription's target does: what is written of it, and what an outage that is over held up."""

from datetime import datetime
from typing import Any
from uuid import UUID

from atlvs.db.engine import Transaction


async def found(tx: Transaction, hook_id: UUID) -> dict[str, Any] | None:
    """How it does, and its secrets, ours until the transaction ends: somebody may just have changed it."""
    cursor = await tx.execute(
        "select org_id, failures, failing_since, secrets, rotated_at, updated_at from integration_hooks"
        " where id = %s for no key update",
        [hook_id],
    )
    return await cursor.fetchone()


async def note(
    tx: Transaction,
    hook_id: UUID,
    *,
    failures: int,
    failing_since: datetime | None,
    rests: float | None,
    succeeded: bool,
) -> None:
    """How a subscription's target does. A rest is made longer, and never shorter, by a slower answer."""
    await tx.execute(
        "update integration_hooks set failures = %(failures)s, failing_since = %(since)s,"
        " rests_until = greatest(nullif(greatest(rests_until, now()), now()),"
        " now() + %(rests)s * interval '1 second'),"
        " last_success_at = case when %(succeeded)s then now() else last_success_at end,"
        " last_failure_at = case when %(failures)s > 0 then now() else last_failure_at end where id = %(id)s",
        {
            "id": hook_id,
            "failures": failures,
            "since": failing_since,
            "rests": rests,
            "succeeded": succeeded,
        },
    )


async def hours_tried(tx: Transaction, hook_id: UUID, since: datetime) -> int:
    """In how many hours it was tried: many posts at once are one try, and nobody posting is none."""
    cursor = await tx.execute(
        "select count(distinct date_trunc('hour', a.started_at)) as number from integration_hook_attempts as a"
        " join integration_hook_deliveries as d on d.id = a.delivery_id"
        " where d.hook_id = %s and a.started_at >= %s - interval '1 minute'",
        [hook_id, since],
    )
    row = await cursor.fetchone()
    return row["number"] if row else 0


async def hurry(tx: Transaction, hook_id: UUID, *, refused: bool = False) -> int:
    """An outage is over: what it held up is due within a minute, and not all at once. `refused`: what
    the target refused for itself too."""
    cursor = await tx.execute(
        "update integration_hook_deliveries set due_at = now() + random() * interval '60 seconds'"
        " where hook_id = %s and state = 'waiting' and due_at > now() + interval '60 seconds'"
        " and (%s or coalesce(status, 500) >= 500)",
        [hook_id, refused],
    )
    return cursor.rowcount
