"""Subscriptions as analysts look at them, and decide about them."""

from typing import Annotated, Any
from uuid import UUID

from prefect import flow
from pydantic import Field

from atlvs.db import hook_standing
from flows.notify.forms import Organization, organization
from flows.notify.report import NotifyReport, told
from tasks.triggers import deciding
from tasks.triggers.deciding import BY_A_PERSON, Decision

Subscription = Annotated[
    UUID, Field(title="Subscription", description="Its id, as triggers-list shows it.")
]
Reason = Annotated[str, Field(min_length=1, max_length=300)]


@flow(name="triggers-list", persist_result=False)
async def list_subscriptions(
    ended: bool = False, organization_id: Organization = None
) -> dict[str, Any]:
    """Show who is told of what: Zaps and other subscriptions, how their targets do, what waits.

    Args:
        ended: Also those that have ended.
        organization_id: Id of the organization; empty for ATLVS_ORG's, or the only one.
    """
    async with told("Subscriptions", "triggers-list") as report:
        rows = await hook_standing.standing(await organization(organization_id), ended=ended)
        report.facts["subscriptions"] = len(rows)
        report.facts |= {
            state: sum(row["state"] == state for row in rows)
            for state in sorted({row["state"] for row in rows})
        }
        report.table("Subscriptions", map(shown, rows))
        return report.summary


@flow(name="triggers-enable", persist_result=False)
async def enable(subscription: Subscription) -> dict[str, Any]:
    """Post to a subscription again: one that was disabled or paused, or whose target rests.

    Args:
        subscription: Its id, as triggers-list shows it.
    """
    return await _decided(subscription, "enable")


@flow(name="triggers-disable", persist_result=False)
async def disable(subscription: Subscription, reason: Reason = BY_A_PERSON) -> dict[str, Any]:
    """Stop posting to a subscription. What waits for it is not sent, and what happens from now on is
    not kept for it: pausing keeps it.

    Args:
        subscription: Its id, as triggers-list shows it.
        reason: Why; shown with the subscription.
    """
    return await _decided(subscription, "disable", reason)


@flow(name="triggers-pause", persist_result=False)
async def pause(subscription: Subscription) -> dict[str, Any]:
    """Stop posting to a subscription for now. What happens is kept for it, until it is enabled.

    Args:
        subscription: Its id, as triggers-list shows it.
    """
    return await _decided(subscription, "pause")


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A subscription as a row of a table."""
    success = row["last_success_at"]
    return {
        "id": row["id"],
        "event": row["event"],
        "target": row["target"],
        "state": row["state"],
        "reason": row["reason"],
        "last success": f"{success:%F %T}" if success else "never",
        "failing since": f"{row['failing_since']:%F %T}" if row["failing_since"] else "",
        "waiting": row["waiting"] + row["sending"],
        "failed": row["dead"],
    }


async def describe(report: NotifyReport, org_id: UUID, subscription: UUID) -> None:
    """How a subscription stands."""
    rows = await hook_standing.standing(org_id, hook=subscription)
    report.table("Subscription", map(shown, rows))


async def _decided(
    subscription: UUID, decision: Decision, reason: str = BY_A_PERSON
) -> dict[str, Any]:
    async with told(f"Subscription: {decision}", f"triggers-{decision}") as report:
        org_id = await hook_standing.organization_of(subscription)
        hook, changed = await deciding.decide(org_id, subscription, decision, reason)
        report.facts |= {"subscription": str(subscription), "state": hook.state}
        report.notes += [] if changed else ["Nothing changed: it was so already."]
        await describe(report, org_id, subscription)
        return report.summary
