"""What people decide about a notification that is there: approve, pause, resume, cancel, send again."""

from typing import Annotated, Any
from uuid import UUID

from prefect import flow
from pydantic import Field

from atlvs.db import overview, resending
from atlvs.db.engine import database
from flows.notify.fanout import said, send
from flows.notify.report import describe, told
from tasks.notify import deciding
from tasks.notify.deciding import Decision

By = Annotated[str, Field(min_length=1, max_length=200)]


@flow(name="notify-decide", persist_result=False)
async def decide(notification: UUID, decision: Decision, by: By) -> dict[str, Any]:
    """Approve a notification that is held, pause or resume one that is being sent, or cancel it.

    Args:
        notification: Its id.
        decision: approve lets a held one go; cancel keeps back all that has not been sent yet.
        by: Who decides this: a name.
    """
    async with told(f"Decision: {decision}", "notify-decide") as report:
        org_id = await overview.organization_of(notification)
        _, changed = await deciding.decide(org_id, notification, decision, by)
        report.facts |= {"decision": decision, "by": by}
        report.notes += [] if changed else ["Nothing changed: it was so already."]
        report.notes += said(await describe(report, org_id, notification))
        return report.summary


@flow(name="notify-resend", persist_result=False)
async def resend_failed(
    notification: UUID, by: By = "the flow", unknown_too: bool = False
) -> dict[str, Any]:
    """Send again what has failed, once its cause is mended. Not to addresses that cannot be reached.

    Args:
        notification: Its id.
        by: Who wants this: a name.
        unknown_too: Also what may have arrived: somebody may then get it twice.
    """
    async with told("Sent again", "notify-resend") as report:
        org_id = await overview.organization_of(notification)
        async with database().org(org_id) as tx:
            again = await resending.resend(tx, notification, by, unknown_too=unknown_too)
        report.facts["sent again"] = again.queued
        report.facts |= {f"not sent again: {why}": number for why, number in again.left.items()}
        one = await describe(report, org_id, notification)
        if again.queued and one.state == "sending":
            await send(report, one)
        report.notes += said(await describe(report, org_id, notification))
        return report.summary
