"""The drain of domain events to Zaps and other hooks."""

import asyncio
from contextvars import ContextVar
from typing import Any

from prefect import flow

from flows.report import Report, reported
from tasks.triggers.draining import Told, drain_triggers

# The warm drainer starts the work itself, so that it neither waits for Prefect nor ends with it;
# the flow run then shows it.
work: ContextVar[asyncio.Task[Told] | None] = ContextVar("triggers-work", default=None)


@flow(name="triggers-drain", persist_result=False)
async def drain_hooks(seconds: float = 20.0) -> dict[str, Any]:
    """Post domain events to those who subscribed. The safety net behind the warm drainer.

    Args:
        seconds: How long to go on while there is something to do.
    """
    async with reported("Triggers", "triggers-drain") as report:
        under_way = work.get()
        tell(report, await (asyncio.shield(under_way) if under_way else drain_triggers(seconds)))
        return report.summary


def tell(report: Report, told: Told) -> None:
    """What a drain did, in a report."""
    report.facts |= {"subscriptions posted to": told.subscriptions}
    report.facts |= dict(sorted(told.posts.items()))
    report.facts |= {f"raised: {name}": number for name, number in sorted(told.raised.items())}
    report.facts |= {"answers lost by an ended sender": told.recovered} if told.recovered else {}
    report.facts |= {"Zaps paused": told.farewells} if told.farewells else {}
    report.calls += sum(told.posts.values())
    report.refused += told.posts["limited"]
