"""What became of a notification: states, times, reasons, and a chart."""

from typing import Any
from uuid import UUID

from prefect import flow
from prefect.artifacts import acreate_image_artifact

from atlvs.db import notifications, overview
from atlvs.db.deliveries import FAILURES
from atlvs.db.engine import database
from flows.notify.fanout import said
from flows.notify.report import NotifyReport, describe, masked_text, told

MOST_UNKNOWN = 100


@flow(name="notify-report", persist_result=False)
async def fanout_report(notification: UUID) -> dict[str, Any]:
    """What became of a notification: who got it on which channel, how quickly, and why some did not.

    Args:
        notification: Its id.
    """
    async with told("Fan-out", "notify-report") as report:
        org_id = await overview.organization_of(notification)
        one = await describe(report, org_id, notification)
        report.title = f"Fan-out: {one.type}"
        report.notes += said(one)
        report.facts |= {"raised": f"{one.created_at:%F %T} UTC", "by": one.origin}
        await _look_closer(report, org_id, notification)
        return report.summary


async def _look_closer(report: NotifyReport, org_id: UUID, id: UUID) -> None:
    # matplotlib takes a second to import, which the drainer need not spend
    from flows.notify.chart import as_url, states_chart

    async with database().org(org_id) as tx:
        times = await overview.times(tx, id)
        counts = await notifications.counts(tx, id)
        unknown = await overview.in_state(tx, id, "unknown", MOST_UNKNOWN)
    report.table("Times", [_timed(row) for row in times])
    report.table("Why some failed", [_failure(row) for row in counts if row["state"] in FAILURES])
    report.table("Of unknown outcome", [{"delivery": one} for one in unknown])
    chart = states_chart(
        [(row["channel"], row["state"], row["number"]) for row in counts], report.title
    )
    await acreate_image_artifact(as_url(chart), key="notify-report-chart", description=str(id))


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    median = row["median_seconds_to_delivered"]
    return {
        "channel": row["channel"],
        "sent": f"{row['sent']:,}",
        "first sent": f"{row['first_sent']:%F %T}" if row["first_sent"] else "",
        "last sent": f"{row['last_sent']:%F %T}" if row["last_sent"] else "",
        "delivered": f"{row['delivered']:,}",
        "half of them within": "" if median is None else f"{max(median, 0.0):.1f} s",
    }


def _failure(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "channel": row["channel"],
        "state": row["state"],
        "reason": masked_text(row["reason"]) or "no reason was told",
        "number": f"{row['number']:,}",
    }
