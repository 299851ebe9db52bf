"""One fan-out from its request to its report; and the form for any of them."""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID, uuid4

from prefect import flow, get_run_logger
from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact
from prefect.runtime import flow_run
from pydantic import Field

from atlvs.db.notifications import Asked, Notification
from atlvs.db.overview import Standing
from atlvs.errors import Rejected
from flows.notify.forms import (
    ChannelName,
    Mode,
    Organization,
    Type,
    Who,
    check_no_secret,
    organization,
    plain,
)
from flows.notify.report import NotifyReport, describe, told
from tasks.notify.steps import TASKS
from tasks.notify.telling import Shown, read_standing, send_until_told

DRY = "A dry run: nothing was sent. The same form with dry_run switched off sends it."


@flow(name="notify", persist_result=False)
async def notify(
    type: Type,
    audience: Who,
    data: dict[str, Any] = {},  # noqa: B006
    subject: str | None = None,
    channels: list[ChannelName] | None = None,
    mode: Mode = "all",
    key: Annotated[str, Field(max_length=300)] | None = None,
    dry_run: bool = True,
    organization_id: Organization = None,
) -> dict[str, Any]:
    """Tell people something. Try it first: with dry_run on, it only shows who would get what.

    The same form sent again sends nothing again, unless it is given a key of its own.

    Args:
        type: What kind of notification it is: decides text, template and who may opt out.
        audience: Who is told.
        data: The variables of the text, as {"event_name": "Gala", "starts_at": "2026-11-28T19:00+00:00"}.
        subject: Subject line; empty for the type's own.
        channels: Where; empty for the type's own.
        mode: all uses every channel, first the first that works, with the others behind it.
        key: Makes it a notification of its own, as "gala-reminder-2"; empty for one made of the form.
        dry_run: Show who would get what, on which channel, at which cost, and why not; send nothing.
        organization_id: Id of the organization; empty for ATLVS_ORG's, or the only one.
    """
    check_no_secret(type, data)
    asked = Asked(
        type=type,
        key=key or "",
        audience=plain(audience),
        origin="flow",
        data=data,
        subject=subject,
        channels=tuple(channels or ()),
        mode=mode,
        dry_run=dry_run,
    )
    async with told("Notification", "notify") as report:
        await fan_out(report, await organization(organization_id), asked)
        return report.summary


async def fan_out(
    report: NotifyReport, org_id: UUID, asked: Asked, changed_too: bool = False
) -> Notification:
    """Plan it, and send it unless it is a dry run or waits for a person; the report says what came of it.

    `changed_too`: what was raised under its key stands, even if it would read differently now.
    """
    id, _, created = await TASKS.write(org_id, keyed(asked), changed_too)
    notification = await TASKS.plan(org_id, id)
    if not created and not asked.dry_run:
        report.notes.append(_known(notification))
    if notification.state == "sending":
        await send(report, notification)
    notification = await describe(report, org_id, id)
    report.notes += said(notification)
    if notification.state == "refused":
        raise Rejected("notifications", notification.reason or "it was refused.", code="refused")
    return notification


def keyed(asked: Asked) -> Asked:
    """With its key: the form's own, or one made of what it says. A dry run has the run's."""
    if asked.dry_run:
        return replace(asked, key=f"dry-run:{flow_run.id or uuid4()}")
    return replace(asked, key=asked.key or f"form:{asked.fingerprint()}")


async def send(report: NotifyReport, notification: Notification) -> None:
    """Send what is due of a notification, with a bar that moves."""
    get_run_logger().info(
        "Sending notification %s. Cancelling this run does not stop it; that does: "
        "atlvs deliveries cancel %s",
        notification.id,
        notification.id,
    )
    report.sending = notification.id
    async with _bar(notification.id) as shown:
        sent = await send_until_told(notification.org_id, notification.id, TASKS, shown)
    report.sending = None
    report.calls += sent.calls
    report.refused += sent.refused
    report.waited += sent.waited
    report.notes += sorted(sent.troubles)
    report.notes += _left(await read_standing(notification.org_id, notification.id))


def said(one: Notification) -> list[str]:
    """What a person has to know or do."""
    match one.state:
        case "done" if one.dry_run:
            return [DRY, f"All of it: atlvs deliveries list --notification {one.id}"]
        case "held":
            return [f"Held: {one.reason} Or run notify-decide with {one.id} and approve."]
        case "paused":
            return [f"Paused by {one.decided_by}. Go on: atlvs deliveries resume {one.id}"]
        case "cancelled":
            return [f"Cancelled by {one.decided_by}: what was not sent by then is not sent."]
        case _:
            return [f"All of it: atlvs deliveries list --notification {one.id}"]


def _known(one: Notification) -> str:
    when = f"{one.created_at:%F %H:%M} UTC"
    again = "To send it once more, give it a key of its own."
    if one.state == "done":
        return f"This was sent already on {one.finished_at or one.created_at:%F %H:%M} UTC. {again}"
    return f"This was asked for already on {when}, and is {one.state}. {again}"


def _left(now: Standing) -> list[str]:
    """What this run leaves to the background."""
    notes: list[str] = []
    if now.later and now.next_at:
        notes.append(
            f"{now.later:,} go out later, from {now.next_at:%F %H:%M} UTC on "
            "(quiet hours, digests or a provider that is away)."
        )
    if now.doubtful:
        notes.append(f"{now.doubtful:,} are of unknown outcome; their provider is asked again.")
    if now.state == "sending" and (now.due or now.under_way):
        notes.append(f"{now.due + now.under_way:,} are sent in the background.")
    return notes


@asynccontextmanager
async def _bar(id: UUID) -> AsyncGenerator[Shown]:
    """A progress artifact; written when a per cent has passed, as an artifact costs a tenth of a second."""
    made = await acreate_progress_artifact(0.0, key="notify-progress", description=str(id))
    last = 0.0

    async def shown(now: Standing) -> None:
        nonlocal last
        done = float(math.floor(100 * now.ended / max(now.whole, 1)))
        if done > last:
            last = done
            await aupdate_progress_artifact(made, done)  # pyright: ignore

    yield shown
