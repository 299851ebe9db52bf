"""What the clock brings, and the drain of notifications."""

import asyncio
from collections import Counter
from contextvars import ContextVar
from datetime import timedelta
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from atlvs.db import overview
from flows.report import Report, reported
from tasks.notify.draining import Told, drain_notifications
from tasks.notify.routing import raise_due

# The warm drainer starts the work itself, so that it neither waits for Prefect nor ends with it;
# the flow run then shows it.
work: ContextVar[asyncio.Task[Told] | None] = ContextVar("notify-work", default=None)

Percent = Annotated[int, Field(ge=1, le=1000)]


@flow(name="notify-drain", persist_result=False)
async def drain_told(seconds: float = 20.0) -> dict[str, Any]:
    """Tell people what waits to be told. The safety net behind the warm drainer.

    Args:
        seconds: How long to go on while there is something to do.
    """
    async with reported("Notifications", "notify-drain") as report:
        under_way = work.get()
        if under_way:
            tell(report, await asyncio.shield(under_way))
        else:
            tell(report, await drain_notifications(seconds))
        return report.summary


@flow(name="notify-due", persist_result=False)
async def notify_due(
    tasks_within_hours: Annotated[float, Field(gt=0, le=24 * 90)] = 24.0,
    events_within_hours: Annotated[float, Field(gt=0, le=24 * 90)] = 24.0,
    budget_thresholds: Annotated[list[Percent], Field(min_length=1)] = [80, 100],  # noqa: B006
    seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0,
) -> dict[str, Any]:
    """Tell people of tasks that fall due, events that begin soon and budgets that are used up.

    Nobody is told twice of the same: a task again only when its due time moves, an event when it is
    moved, a budget when it crosses the next threshold.

    Args:
        tasks_within_hours: Tasks that fall due within so many hours.
        events_within_hours: Published events that begin within so many hours.
        budget_thresholds: Tell when so many per cent of a budget are spent.
        seconds: How long to send what was found; the rest is sent in the background.
    """
    async with reported("Due notifications", "notify-due") as report:
        raised: Counter[str] = Counter()
        for org_id in await overview.organizations():
            raised += await raise_due(
                org_id,
                timedelta(hours=tasks_within_hours),
                timedelta(hours=events_within_hours),
                sorted(set(budget_thresholds)),
            )
        report.facts |= {f"found: {name}": number for name, number in sorted(raised.items())}
        report.facts["found"] = sum(raised.values())
        tell(report, await drain_notifications(seconds))
        return report.summary


def tell(report: Report, told: Told) -> None:
    """What a drain did, in a report."""
    report.facts |= {"raised": sum(told.raised.values()), "planned": told.planned}
    report.facts |= {"held for a person": told.held} if told.held else {}
    report.facts |= dict(sorted(told.sent.states.items()))
    report.facts |= {
        f"turned out {state}": number for state, number in sorted(told.settled.items())
    }
    report.facts |= {
        f"taken back as {state}": number for state, number in sorted(told.recovered.items())
    }
    report.calls += told.sent.calls
    report.refused += told.sent.refused
    report.waited += told.sent.waited
    report.notes += sorted(told.sent.troubles)
