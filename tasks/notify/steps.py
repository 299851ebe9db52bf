"""The steps of one fan-out: raise, plan, send some thousands, settle. As Prefect tasks, or bare."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from atlvs.db import deliveries, notifications, overview
from atlvs.db.engine import database
from atlvs.db.notifications import Asked, Notification
from atlvs.errors import Rejected, Unavailable
from tasks.notify import settling
from tasks.notify.planning import plan
from tasks.notify.sending import Sent, send_due
from tasks.policy import retriable

CHUNK = 5_000
SECONDS = 60.0  # a chunk takes no longer: a channel may be slow


@retriable("notify.raise")
async def raise_asked(
    org_id: UUID, asked: Asked, changed_too: bool = False
) -> tuple[UUID, str, bool]:
    """Write a notification, unless its key is known: (id, state, whether it is new).

    `changed_too`: what was raised under the key stands, even if it would read differently now.
    """
    try:
        async with database().org(org_id) as tx:
            return await notifications.raise_in(tx, org_id, asked)
    except Rejected as error:
        if error.code != "key_reused" or not changed_too:
            raise
    async with database().org(org_id) as tx:
        return *await overview.by_key(tx, asked.key), False


@retriable("notify.plan")
async def plan_notification(org_id: UUID, id: UUID) -> Notification:
    """Write a delivery for everybody in the audience. Waits where somebody else does it already."""
    while True:
        try:
            return await plan(org_id, id)
        except Unavailable as error:
            if error.provider != "notifications":
                raise
            await asyncio.sleep(error.retry_after or 1.0)


@retriable("notify.send", "send {channel}")
async def send_chunk(org_id: UUID, channel: str, lease: UUID, notification: UUID) -> Sent:
    """Send some thousands of one notification's deliveries that are due on a channel."""
    return await send_due(
        org_id, channel, lease, seconds=SECONDS, most=CHUNK, notification=notification
    )


@retriable("notify.settle", "settle {channel}")
async def settle_channel(org_id: UUID, channel: str) -> Counter[str]:
    """Find out what became of messages whose answer got lost; takes back what a dead sender had."""
    found = Counter(await deliveries.recover(org_id))
    return found + await settling.settle(org_id, channel)


@dataclass(frozen=True)
class Steps:
    """How the steps are taken."""

    write: Callable[[UUID, Asked, bool], Awaitable[tuple[UUID, str, bool]]]
    plan: Callable[[UUID, UUID], Awaitable[Notification]]
    send: Callable[[UUID, str, UUID, UUID], Awaitable[Sent]]
    settle: Callable[[UUID, str], Awaitable[Counter[str]]]


_all: tuple[Any, ...] = (raise_asked, plan_notification, send_chunk, settle_channel)
TASKS = Steps(*_all)  # in a flow: Prefect shows them, and tries them again after an outage
BARE = Steps(*(task.fn for task in _all))  # works without a Prefect server
