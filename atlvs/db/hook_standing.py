"""Subscriptions as people look at them: how each one does, and whether anybody posts at all."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from atlvs.db import hooks
from atlvs.db.engine import database
from atlvs.errors import Rejected

Row = dict[str, Any]
STATES = ("waiting", "sending", "delivered", "dead", "skipped")  # of posts


@dataclass(frozen=True)
class Backlog:
    """Since when something is due that nobody does; None where nothing is."""

    post: datetime | None
    event: datetime | None


async def organization_of(hook_id: UUID) -> UUID:
    """Whose subscription it is; Rejected when there is none of that id."""
    async with database().system() as tx:
        cursor = await tx.execute("select org_id from integration_hooks where id = %s", [hook_id])
        row = await cursor.fetchone()
    if row is None:
        raise no_such_hook(hook_id)
    return row["org_id"]


async def standing(org_id: UUID, *, hook: UUID | None = None, ended: bool = False) -> list[Row]:
    """Subscriptions as people may see them, newest first, with how many posts are in which state."""
    found = await hooks.every(org_id, ended=ended or hook is not None)
    numbers = await counts(org_id)
    return [
        {
            "id": one.id,
            "event": one.event,
            "target": one.target,
            "state": one.state,
            "reason": one.reason,
            "failures": one.failures,
            "failing_since": one.failing_since,
            "rests_until": one.rests_until,
            "last_success_at": one.last_success_at,
            "created_at": one.created_at,
            **{state: numbers.get(one.id, Counter())[state] for state in STATES},
        }
        for one in found
        if hook in (None, one.id)
    ]


async def counts(org_id: UUID) -> dict[UUID, Counter[str]]:
    """Posts by subscription and state."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "select hook_id, state, count(*) as number from integration_hook_deliveries group by 1, 2"
        )
        found: dict[UUID, Counter[str]] = {}
        for row in await cursor.fetchall():
            found.setdefault(row["hook_id"], Counter())[row["state"]] = row["number"]
    return found


async def last_reasons(org_id: UUID, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Why posts of these subscriptions failed last."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "select distinct on (hook_id) hook_id, reason from integration_hook_deliveries"
            " where hook_id = any(%s) and state in ('waiting', 'sending', 'dead') and status is distinct from 429"
            " and reason is not null and sending_at is not null order by hook_id, sending_at desc",
            [list(ids)],
        )
        return {row["hook_id"]: row["reason"] for row in await cursor.fetchall()}


async def backlog(org_id: UUID) -> Backlog:
    """The oldest post and the oldest event that nobody has taken up for a minute, though they are due.
    A target that rests, or was heard of a moment ago, is not what is meant."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            """
            select (
                select min(d.due_at) from integration_hook_deliveries as d join integration_hooks as h on h.id = d.hook_id
                where d.state in ('waiting', 'sending') and d.due_at < now() - interval '1 minute' and h.state = 'active'
                    and coalesce(h.rests_until, '-infinity') <= now()
                    and coalesce(greatest(h.last_success_at, h.last_failure_at), '-infinity') < now() - interval '1 minute'
            ) as post, (
                select min(due_at) from integration_outbox
                where org_id = atlvs_org() and state = 'waiting' and due_at < now() - interval '1 minute'
            ) as event
            """
        )
        row = await cursor.fetchone()
    return Backlog(**row) if row else Backlog(None, None)


def no_such_hook(hook_id: UUID) -> Rejected:
    """The refusal of an id that no subscription has."""
    text = f"there is no subscription {hook_id}. See: atlvs hooks list"
    return Rejected("hooks", text, code="not_found", field="subscription")
