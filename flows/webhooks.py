"""Draining the inbox of webhooks, and replaying what is in it."""

import asyncio
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Literal

from prefect import flow

from atlvs.db import inbox
from atlvs.db.inbox import Selection
from flows.report import Report, reported
from tasks.inbox import Drained, drain

# The warm drainer starts the work itself, so that it neither waits for Prefect nor ends with it;
# the flow run then shows it.
work: ContextVar[asyncio.Task[Drained] | None] = ContextVar("work", default=None)


@flow(name="webhooks-drain", persist_result=False)
async def drain_webhooks(seconds: float = 20.0) -> dict[str, Any]:
    """Handle the webhooks that wait in the inbox. The safety net behind the warm drainer.

    Args:
        seconds: How long to go on while there is something to do.
    """
    async with reported("Webhooks", "webhooks-drain") as report:
        under_way = work.get()
        tell(report, await (asyncio.shield(under_way) if under_way else drain(seconds)))
        return report.summary


@flow(name="webhooks-replay", persist_result=False)
async def replay(
    event_ids: list[str] | None = None,
    type: str | None = None,
    state: Literal["dead", "done", "ignored"] | None = "dead",
    received_since: datetime | None = None,
    received_until: datetime | None = None,
) -> dict[str, Any]:
    """Handle webhooks again: dead letters after their cause is mended, or a range of time.

    Args:
        event_ids: The provider's ids of the events (evt_…); empty for all that match the rest.
        type: Only events of this type, as payment_intent.succeeded.
        state: Only events in this state; empty for all.
        received_since: Only events that came at or after this time.
        received_until: Only events that came before this time.
    """
    async with reported("Webhooks replayed", "webhooks-replay") as report:
        chosen = Selection(
            ids=tuple(event_ids or ()),
            type=type,
            state=None if event_ids else state,
            since=received_since,
            until=received_until,
        )
        report.facts["replayed"] = await inbox.replay(chosen)
        tell(report, await drain(60.0))
        return report.summary


def tell(report: Report, drained: Drained) -> None:
    """What a drain did, in a report."""
    report.facts |= {
        "handled": drained.handled,
        "ignored": drained.ignored,
        "postponed": drained.postponed,
        "failed": drained.failed,
    }
    report.calls += drained.calls
    report.refused += drained.refused
    report.waited += drained.waited
    for stream, counts in drained.streams.items():
        report.count(stream, counts)
    report.notes += [f"{number} failed with {why}" for why, number in drained.reasons.items()]
