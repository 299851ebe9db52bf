"""What a subscription is told by hand: a sample, what failed, what happened some time ago."""

from datetime import datetime
from typing import Any
from uuid import UUID

from prefect import flow

from atlvs.db import hook_log, hook_standing
from atlvs.db.engine import database
from flows.notify.report import NotifyReport, told
from flows.triggers.subscriptions import Subscription, describe
from tasks.triggers import sampling


@flow(name="triggers-replay", persist_result=False)
async def replay(
    subscription: Subscription,
    since: datetime,
    until: datetime | None = None,
    dry_run: bool = True,
    even_many: bool = False,
) -> dict[str, Any]:
    """Post what happened in a range of time to a subscription: also what happened before it was there,
    and once more what was posted already. Events keep their ids, but a Zap runs again all the same.

    Args:
        subscription: Its id, as triggers-list shows it.
        since: From when on things happened.
        until: Until when, this moment not included; empty for now.
        dry_run: Show how many would be posted; post nothing.
        even_many: Also when that is more than 10,000.
    """
    async with told("Replay", "triggers-replay") as report:
        org_id = await hook_standing.organization_of(subscription)
        until = until or await database().now()
        await _foresee(report, org_id, subscription, since, until)
        if dry_run:
            report.notes.append("A dry run: nothing was posted.")
        else:
            done = await hook_log.replay(org_id, subscription, since, until, even_many=even_many)
            report.facts |= {"posted for the first time": done.new, "posted again": done.again}
            report.notes.append("They are posted in the background, at the target's pace.")
        return report.summary


@flow(name="triggers-resend", persist_result=False)
async def resend_failed(
    subscription: Subscription, since: datetime | None = None, until: datetime | None = None
) -> dict[str, Any]:
    """Post again what failed for good, once its cause is mended; nothing that was delivered.

    Args:
        subscription: Its id, as triggers-list shows it.
        since: Only what happened from then on.
        until: Only what happened before.
    """
    async with told("Sent again", "triggers-resend") as report:
        org_id = await hook_standing.organization_of(subscription)
        report.facts["sent again"] = await hook_log.resend_range(org_id, subscription, since, until)
        await describe(report, org_id, subscription)
        return report.summary


@flow(name="triggers-sample", persist_result=False)
async def send_sample(subscription: Subscription) -> dict[str, Any]:
    """Send one sample to a subscription now, and see what its target answers. A Zap runs with it: its
    id begins with "sample-", its contents are the newest event's. Each run sends one.

    Args:
        subscription: Its id, as triggers-list shows it.
    """
    async with told("Sample", "triggers-sample") as report:
        org_id = await hook_standing.organization_of(subscription)
        sent = await sampling.send_sample(org_id, subscription)
        report.calls += 1
        report.facts |= {"id": sent.id, "event": sent.event, "target": sent.target}
        report.facts |= {"outcome": sent.outcome, "status": sent.status}
        report.facts["milliseconds"] = round(sent.took_ms)
        report.notes += [] if sent.well else [f"The target did not take it: {sent.error}"]
        report.table("What the target said", [{"answer": sent.response}] if sent.response else [])
        await describe(report, org_id, subscription)
        return report.summary


async def _foresee(
    report: NotifyReport, org_id: UUID, subscription: UUID, since: datetime, until: datetime
) -> None:
    rows = await hook_log.foreseen(org_id, subscription, since, until)
    report.facts |= {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "events": sum(row["number"] for row in rows),
        "to be posted": sum(row["number"] for row in rows if row["posted"]),
    }
    report.table("Events", rows)
