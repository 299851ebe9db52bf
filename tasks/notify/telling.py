"""Sending one notification to its end: chunk by chunk on all channels at once, doubts settled first.

Others may send the same notification meanwhile (the warm drainer does); each delivery is leased by one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from uuid import UUID

from atlvs.db import ending, overview
from atlvs.db.engine import database
from atlvs.db.leases import leasing
from atlvs.db.overview import Standing
from tasks.notify.sending import Sent
from tasks.notify.steps import Steps

PATIENCE = 600.0  # seconds in which nothing moves; the rest is the drainer's
LOOK = 2.0  # seconds between looks at what others have under way
STALE = 10.0  # seconds in which nothing moves, until somebody else's work is looked after

Shown = Callable[[Standing], Awaitable[None]]


async def send_until_told(
    org_id: UUID, id: UUID, steps: Steps, shown: Shown, patience: float = PATIENCE
) -> Sent:
    """Until nothing of it is due or in doubt, it is stopped, or nothing moves any more."""
    sent, moved_at, before = Sent(), monotonic(), -1
    while True:
        await ending.finish_ended(org_id)
        now = await read_standing(org_id, id)
        await shown(now)
        moved_at = moved_at if now.ended == before else monotonic()
        before, still = now.ended, monotonic() - moved_at
        if sent.troubles or not is_open(now, patience - still):
            return sent
        done = Sent()
        if now.due or is_doubt_due(now) or still > STALE:
            done = await _pass(org_id, id, now.channels, steps)
            sent.add(done)
        if not done.states:
            await asyncio.sleep(pause(now, patience - still))


async def read_standing(org_id: UUID, id: UUID) -> Standing:
    """How far a notification has come."""
    async with database().org(org_id) as tx:
        return await overview.standing(tx, id)


def is_open(now: Standing, patience: float) -> bool:
    """Whether there is something to do, or to wait for, within this time."""
    if now.state != "sending" or patience <= 0:
        return False
    if now.due or now.under_way:
        return True
    return now.next_at is not None and (now.next_at - now.now).total_seconds() <= patience


def is_doubt_due(now: Standing) -> bool:
    """Whether a provider is to be asked now."""
    return bool(now.doubtful) and now.next_at is not None and now.next_at <= now.now


def pause(now: Standing, patience: float) -> float:
    """Seconds until the next is due; with others at work, a little."""
    if now.under_way or now.due or now.next_at is None:
        return LOOK
    wait = (now.next_at - now.now).total_seconds()
    return min(max(wait, 0.2), LOOK * 5, max(patience, 0.2))


async def _pass(org_id: UUID, id: UUID, channels: list[str], steps: Steps) -> Sent:
    """All channels at once, under one lease: it is worth no more than its database connection."""
    sent = Sent()
    async with leasing() as lease:
        sendings = [
            asyncio.ensure_future(_channel(org_id, id, channel, lease, steps))
            for channel in channels
        ]
        try:
            for done in await asyncio.gather(*sendings):
                sent.add(done)
        finally:
            await _ended(sendings)  # none goes on when another has failed, or the run is ended
    return sent


async def _ended(sendings: Sequence[asyncio.Future[Sent]]) -> None:
    for sending in sendings:
        sending.cancel()
    await asyncio.gather(*sendings, return_exceptions=True)


async def _channel(org_id: UUID, id: UUID, channel: str, lease: UUID, steps: Steps) -> Sent:
    """What is due on a channel; what is in doubt first, so that nothing is sent into the doubt."""
    await steps.settle(org_id, channel)
    sent = Sent()
    while True:
        done = await steps.send(org_id, channel, lease, id)
        sent.add(done)
        if not done.states or done.troubles:
            return sent
