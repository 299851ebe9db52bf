"""The drain of triggers: domain events to their subscriptions, for all organizations.

Called by the warm drainer when PostgreSQL tells of a change, and by its schedule as a safety net.
"""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from atlvs.db import hook_queue
from atlvs.db.leases import leasing
from atlvs.errors import IntegrationError, Misconfigured
from tasks.notify.routing import route_events
from tasks.triggers.announcing import announcer
from tasks.triggers.farewells import say_farewells
from tasks.triggers.posting import post_due

log = logging.getLogger(__name__)
LOOK = 0.2  # seconds until new events are routed while posts are under way
PAUSE = 1.0  # seconds until a subscription that broke is tried again: it may break again at once
ENDED = 1.0  # seconds that a drain waits, beyond its time, for targets that hang

_lingering: set[asyncio.Task[None]] = set()


@dataclass
class Told:
    """What a drain did: attempts by outcome."""

    raised: Counter[str] = field(default_factory=Counter[str])  # notifications, by type
    posts: Counter[str] = field(default_factory=Counter[str])
    subscriptions: int = 0
    recovered: int = 0
    farewells: int = 0

    @property
    def events(self) -> int:
        """How much was done, in all."""
        return sum(self.posts.values()) + sum(self.raised.values()) + self.farewells

    def add(self, other: "Told") -> None:
        """Add what another drain did."""
        self.raised += other.raised
        self.posts += other.posts
        self.subscriptions += other.subscriptions
        self.recovered += other.recovered
        self.farewells += other.farewells


async def drain_triggers(
    seconds: float = 20.0, begun: asyncio.Event | None = None, *, linger: bool = False
) -> Told:
    """Post until nothing is due or the time is over. `begun` is set once there is something to do.

    A target that hangs is waited for; with `linger` in the background, so that others are not held up.
    """
    told = Told()
    work = asyncio.create_task(_drain(monotonic() + seconds, begun or asyncio.Event(), told))
    if not linger:
        await work
        await announcer().settle()
        return told
    await asyncio.wait({work}, timeout=seconds + ENDED)
    if work.done():
        work.result()
    else:
        _lingering.add(work)
        work.add_done_callback(_over)
    return told


def _over(work: asyncio.Task[None]) -> None:
    _lingering.discard(work)
    if not work.cancelled() and (error := work.exception()):
        why = error if isinstance(error, IntegrationError) else type(error).__name__
        log.warning("A drain that lingered did not end well: %s", why)


async def settle(seconds: float) -> None:
    """Wait for posts that still linger, before the process ends."""
    if _lingering:
        await asyncio.wait(set(_lingering), timeout=seconds)


async def _drain(until: float, begun: asyncio.Event, told: Told) -> None:
    for org_id in await hook_queue.leased_organizations():
        told.recovered += await hook_queue.recover(org_id)
    farewells = asyncio.create_task(say_farewells())  # to targets that may hang
    under_way: dict[UUID, asyncio.Task[None]] = {}
    async with leasing() as lease:
        try:
            await _work(lease, until, begun, told, under_way)
        finally:  # under our lease, and they alone know what becomes of their posts
            if under_way:
                await asyncio.wait(under_way.values())
            told.farewells += await farewells


async def _work(
    lease: UUID,
    until: float,
    begun: asyncio.Event,
    told: Told,
    under_way: dict[UUID, asyncio.Task[None]],
) -> None:
    while True:
        raised = await route_events()
        told.raised += raised
        if monotonic() < until:
            for org_id, hook_id in await hook_queue.due(under_way):
                posting = _tried(org_id, hook_id, lease, until, told.posts)
                under_way[hook_id] = asyncio.create_task(posting)
                told.subscriptions += 1
        if raised or under_way:
            begun.set()
        if not under_way:
            return
        await asyncio.wait(under_way.values(), timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
        for hook_id in [hook_id for hook_id, task in under_way.items() if task.done()]:
            del under_way[hook_id]


async def _tried(
    org_id: UUID, hook_id: UUID, lease: UUID, until: float, posts: Counter[str]
) -> None:
    """One subscription's trouble is not another's; the next drain tries again."""
    try:
        await post_due(org_id, hook_id, lease, until, posts)
    except (IntegrationError, Misconfigured) as error:
        log.warning("Not posted: %s", error)
    except Exception:  # a process edge
        log.exception("Not posted")
        await asyncio.sleep(PAUSE)
