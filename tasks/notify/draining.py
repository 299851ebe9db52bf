"""The drain of notifications: rules, plans, what is due, what is in doubt. For all organizations.

Called by the warm drainer when PostgreSQL tells of something new, and by its schedule as a safety net.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from atlvs.checkpoints import checkpoint
from atlvs.db import deliveries, ending, notifications
from atlvs.db.leases import leasing
from atlvs.errors import IntegrationError, Misconfigured
from tasks.notify.planning import plan
from tasks.notify.routing import route_events
from tasks.notify.sending import Sent, send_due
from tasks.notify.settling import settle_all
from tasks.triggers.announcing import announcer

log = logging.getLogger(__name__)


@dataclass
class Told:
    """What a drain did."""

    raised: Counter[str] = field(default_factory=Counter[str])  # notifications by type
    planned: int = 0
    held: int = 0
    settled: Counter[str] = field(default_factory=Counter[str])
    recovered: Counter[str] = field(default_factory=Counter[str])
    sent: Sent = field(default_factory=Sent)

    @property
    def events(self) -> int:
        """How much was done, in all."""
        sent = sum(self.sent.states.values())
        return sum(self.raised.values()) + self.planned + sent + sum(self.settled.values())

    def add(self, other: "Told") -> None:
        """Add what another drain did."""
        self.raised += other.raised
        self.planned += other.planned
        self.held += other.held
        self.settled += other.settled
        self.recovered += other.recovered
        self.sent.add(other.sent)


async def drain_notifications(seconds: float = 20.0, begun: asyncio.Event | None = None) -> Told:
    """Tell what is to be told, until nothing is due or the time is over. `begun` is set once there is
    something to do. One organization's trouble does not hold up another."""
    told, until = Told(), monotonic() + seconds
    while monotonic() < until:
        done = await _once(until, begun)
        told.add(done)
        if not done.events:
            break
    await announcer().settle()
    return told


async def _once(until: float, begun: asyncio.Event | None) -> Told:
    told = Told()
    told.raised += await route_events()
    opened = await notifications.open_ones()
    due = await deliveries.work()
    if begun and (told.raised or due or any(row["state"] == "raised" for row in opened)):
        begun.set()
    checkpoint("notify.looked")
    await _plan_all(opened, told)
    for org_id in {row["org_id"] for row in due if row["leased"]}:
        told.recovered += Counter(await deliveries.recover(org_id))
    told.settled += await settle_all(due)
    await _send_all(until, told)
    ended = {row["org_id"] for row in opened} | set(await ending.with_spent_secrets())
    for org_id in ended:
        await ending.finish_ended(org_id)
    return told


async def _plan_all(opened: list[dict[str, Any]], told: Told) -> None:
    for row in opened:
        if row["state"] == "raised":
            planned = await _tried(plan(row["org_id"], row["id"]))
            told.planned += planned is not None
            told.held += planned is not None and planned.state == "held"


async def _send_all(until: float, told: Told) -> None:
    due = [row for row in await deliveries.work() if row["due"]]
    if not due:
        return
    async with leasing() as lease:
        seconds = max(1.0, until - monotonic())
        sendings = [
            _tried(send_due(row["org_id"], row["channel"], lease, seconds=seconds)) for row in due
        ]
        for sent in await asyncio.gather(*sendings):
            if sent:
                told.sent.add(sent)


async def _tried(work: Awaitable[Any]) -> Any:
    """The result; None where it could not be done now. The next drain tries again."""
    try:
        return await work
    except (IntegrationError, Misconfigured) as error:
        log.warning("Not told: %s", error)
    except Exception:  # a process edge: one organization's trouble is not another's
        log.exception("Not told")
    return None
