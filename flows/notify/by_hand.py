"""What analysts send: reminders, news to many, and tests of how something arrives."""

import re
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from atlvs.db import subjects
from atlvs.db.engine import database
from atlvs.db.notifications import Asked
from atlvs.db.subjects import subject_from
from atlvs.errors import Rejected
from atlvs.notices import notice_type
from atlvs.rules import Subject
from flows.notify.examples import example
from flows.notify.fanout import fan_out
from flows.notify.forms import ChannelName, Organization, Type, Who, organization, plain
from flows.notify.report import told

SLACK_ID = re.compile(r"[CDGUW][A-Z0-9]{2,}|default")
Key = Annotated[str, Field(max_length=300)]
Message = Annotated[str, Field(min_length=1, max_length=20_000)]


@flow(name="notify-event-reminder", persist_result=False)
async def send_event_reminder(
    event: UUID,
    channels: list[ChannelName] | None = None,
    hours_before: Annotated[float, Field(gt=0, le=24 * 90)] = 24.0,
    dry_run: bool = True,
    organization_id: Organization = None,
) -> dict[str, Any]:
    """Remind everybody with a confirmed registration of an event. The same reminder is sent once,
    however often this is run, unless the event is moved.

    Args:
        event: Id of the event.
        channels: Where; empty for e-mail.
        hours_before: Which reminder this is: the one so many hours before the event. Not sent earlier.
        dry_run: Show who would get it, and why not; send nothing.
        organization_id: Id of the organization; empty for ATLVS_ORG's, or the only one.
    """
    async with told("Event reminder", "notify-event-reminder") as report:
        org_id = await organization(organization_id)
        subject = await _event(org_id, event)
        await _check_time(subject, timedelta(hours=hours_before), dry_run)
        report.facts["event"] = subject.headline
        asked = _reminder(subject, hours_before, channels or ["email"], dry_run)
        await fan_out(report, org_id, asked, changed_too=True)
        return report.summary


@flow(name="notify-bulk-email", persist_result=False)
async def send_bulk_email(
    subject: Annotated[str, Field(min_length=1, max_length=500)],
    message: Message | None = None,
    template_id: Annotated[str, Field(max_length=200)] | None = None,
    tag: Annotated[str, Field(max_length=500)] | None = None,
    everyone: bool = False,
    audience: Who | None = None,
    data: dict[str, Any] = {},  # noqa: B006
    key: Key | None = None,
    dry_run: bool = True,
    organization_id: Organization = None,
) -> dict[str, Any]:
    """Write an e-mail to many: to contacts with a tag, to everyone, or to an audience.

    Who unsubscribed gets nothing. Many recipients need somebody's approval (notify-decide).

    Args:
        subject: Subject line.
        message: The text, unless a template of SendGrid's has it.
        template_id: Id of a SendGrid template, starts with d-.
        tag: To the contacts with this tag.
        everyone: To all contacts.
        audience: To somebody else.
        data: Variables for the template.
        key: Makes it an e-mail of its own, as "news-2"; empty for one made of the form.
        dry_run: Show who would get it, at which cost, and why not; send nothing.
        organization_id: Id of the organization; empty for ATLVS_ORG's, or the only one.
    """
    said = {"message": message, "template_id": template_id}
    asked = _announcement(
        "email",
        to_whom(tag, everyone, audience),
        data | {name: value for name, value in said.items() if value},
        key,
        dry_run,
        subject,
    )
    async with told("E-mail to many", "notify-bulk-email") as report:
        await fan_out(report, await organization(organization_id), asked)
        return report.summary


@flow(name="notify-bulk-sms", persist_result=False)
async def send_bulk_sms(
    message: Annotated[str, Field(min_length=1, max_length=1_600)],
    tag: Annotated[str, Field(max_length=500)] | None = None,
    everyone: bool = False,
    audience: Who | None = None,
    key: Key | None = None,
    dry_run: bool = True,
    organization_id: Organization = None,
) -> dict[str, Any]:
    """Write an SMS to many: to contacts with a tag, to everyone, or to an audience.

    Who texted STOP gets nothing; nobody gets it at night. Much money needs somebody's approval.

    Args:
        message: The text; 160 plain characters are one segment, which is what is paid for.
        tag: To the contacts with this tag.
        everyone: To all contacts.
        audience: To somebody else.
        key: Makes it an SMS of its own, as "doors-2"; empty for one made of the form.
        dry_run: Show who would get it, at which cost, and why not; send nothing.
        organization_id: Id of the organization; empty for ATLVS_ORG's, or the only one.
    """
    whom = to_whom(tag, everyone, audience)
    asked = _announcement("sms", whom, {"message": message}, key, dry_run)
    async with told("SMS to many", "notify-bulk-sms") as report:
        await fan_out(report, await organization(organization_id), asked)
        return report.summary


@flow(name="notify-test", persist_result=False)
async def send_test(
    type: Type,
    to: Annotated[str, Field(min_length=2, max_length=320)],
    channel: ChannelName = "email",
    organization_id: Organization = None,
) -> dict[str, Any]:
    """Send yourself an example of a notification, to see how it arrives. Each run sends one.

    Args:
        type: Which kind.
        to: Your e-mail address, your number as +14155550123, or a Slack id (C… or U…).
        channel: Where.
        organization_id: Id of the organization; empty for ATLVS_ORG's, or the only one.
    """
    asked = Asked(
        type=type,
        key=f"test:{flow_run.id}",
        audience=one_recipient(channel, to.strip()),
        origin="flow",
        data=example(type),
        subject=f"[Test] {notice_type(type).title}",
        channels=(channel,),
    )
    async with told("Test", "notify-test") as report:
        await fan_out(report, await organization(organization_id), asked, changed_too=True)
        return report.summary


def to_whom(tag: str | None, everyone: bool, audience: Who | None) -> dict[str, Any]:
    """The one audience that a form names."""
    given = [
        *([{"kind": "tag", "name": tag}] if tag else []),
        *([{"kind": "everyone"}] if everyone else []),
        *([plain(audience)] if audience else []),
    ]
    if len(given) != 1:
        raise Rejected(
            "notifications",
            "say to whom, in one way: tag, everyone or audience.",
            code="audience_invalid",
            field="audience",
        )
    return given[0]


def one_recipient(channel: str, to: str) -> dict[str, Any]:
    """The audience of one address."""
    if channel == "slack" and SLACK_ID.fullmatch(to):
        return {"kind": "slack_channel", "channel": to}
    name = "email" if channel in ("email", "slack") else "phone"
    return {"kind": "people", "people": [{name: to}]}


def _announcement(
    channel: str,
    audience: dict[str, Any],
    data: dict[str, Any],
    key: str | None,
    dry_run: bool,
    subject: str | None = None,
) -> Asked:
    return Asked(
        type="announcement",
        key=key or "",
        audience=audience,
        origin="flow",
        data=data,
        subject=subject,
        channels=(channel,),
        dry_run=dry_run,
    )


async def _event(org_id: UUID, event: UUID) -> Subject:
    async with database().org(org_id) as tx:
        row = await subjects.one(tx, "events", event)
        if row is None or row["starts_at"] is None:
            why = "has no start" if row else "is not there"
            raise Rejected(
                "notifications", f"event {event} {why}.", code="not_found", field="event"
            )
        if row["status"] in ("cancelled", "canceled"):
            raise Rejected("notifications", f"event {event} is cancelled.", field="event")
        return subject_from("events", row, await subjects.around(tx, [row]))


async def _check_time(subject: Subject, before: timedelta, dry_run: bool) -> None:
    """Neither after the event nor before its hour; a dry run may look ahead."""
    now, starts_at = await database().now(), subject.data["starts_at"]
    if starts_at <= now:
        raise Rejected("notifications", f"it began on {starts_at:%F %H:%M} UTC.", code="too_late")
    if now < starts_at - before and not dry_run:
        raise Rejected(
            "notifications",
            f"this reminder goes out from {starts_at - before:%F %H:%M} UTC on: schedule the run for "
            "then, or choose more hours_before.",
            code="too_early",
            field="hours_before",
        )


def _reminder(subject: Subject, hours: float, channels: list[ChannelName], dry_run: bool) -> Asked:
    notice = notice_type("event_reminder")
    known = {name: value for name, value in subject.data.items() if name in notice.known}
    starts_at = subjects.iso(subject.data["starts_at"])
    return Asked(
        type=notice.type,
        key=f"event-reminder:{subject.record_id}:{hours:g}:{starts_at}",
        audience={"kind": "attendees", "event_id": str(subject.record_id)},
        origin="flow",
        data={name: subjects.iso(value) for name, value in known.items()},
        subject=f"{notice.title}: {subject.headline}",
        channels=tuple(channels),
        record_type=subject.record_type,
        record_id=subject.record_id,
        dry_run=dry_run,
    )
