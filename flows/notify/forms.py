"""What people choose from in the forms of the notification flows."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from atlvs.audience import Attendees, Contacts, Everyone, People, SlackChannel, Tagged
from atlvs.db import overview
from atlvs.db.organizations import the_organization
from atlvs.errors import Rejected
from atlvs.notices import notice_type

# The values of atlvs.events, as choices.
Type = Literal[
    "task_assigned",
    "task_due_soon",
    "approval_required",
    "event_reminder",
    "budget_alert",
    "incident_reported",
    "registration_received",
    "payment_received",
    "registration_confirmation",
    "ticket_delivery",
    "password_reset",
    "invoice_sent",
    "payment_receipt",
    "announcement",
    "connection_trouble",
]
ChannelName = Literal["slack", "email", "sms", "call"]
Mode = Literal["all", "first"]
Organization = Annotated[
    UUID | None,
    Field(
        title="Organization",
        description="Id of the organization; empty for ATLVS_ORG's, or the only one.",
    ),
]


def _kind(name: str) -> Any:
    """The form fills it in, and yet it has to be there: an empty audience must not mean everyone."""
    return Field(json_schema_extra={"default": name})


class TheseContacts(Contacts):
    """Contacts, by their ids."""

    model_config = ConfigDict(title="These contacts")
    kind: Literal["contacts"] = _kind("contacts")


class AttendeesOf(Attendees):
    """Who is registered for an event."""

    model_config = ConfigDict(title="Attendees of an event")
    kind: Literal["attendees"] = _kind("attendees")


class WithTag(Tagged):
    """Contacts with a tag."""

    model_config = ConfigDict(title="Contacts with a tag")
    kind: Literal["tag"] = _kind("tag")


class AllContacts(Everyone):
    """All contacts of the organization."""

    model_config = ConfigDict(title="Everyone")
    kind: Literal["everyone"] = _kind("everyone")


class InSlack(SlackChannel):
    """A Slack channel, by its id; "default" is the connection's own for the type."""

    model_config = ConfigDict(title="A Slack channel")
    kind: Literal["slack_channel"] = _kind("slack_channel")


class ThesePeople(People):
    """People who need not be contacts."""

    model_config = ConfigDict(title="A list of people")
    kind: Literal["people"] = _kind("people")


Who = TheseContacts | AttendeesOf | WithTag | AllContacts | InSlack | ThesePeople


async def organization(given: UUID | None) -> UUID:
    """The organization that a form names, or the usual one."""
    if given is None:
        return await the_organization()
    if given not in await overview.organizations():
        raise Rejected("notifications", f"there is no organization {given}.", field="organization")
    return given


def plain(audience: BaseModel) -> dict[str, Any]:
    """An audience as it is kept."""
    return audience.model_dump(mode="json", exclude_none=True)


def check_no_secret(type: str, data: dict[str, Any]) -> None:
    """Prefect keeps the parameters of a run in the clear."""
    found = sorted(notice_type(type).secret & data.keys())
    if found:
        raise Rejected(
            "notifications",
            f"{found[0]} of {type} is a secret, which a form would keep: raise it through the API "
            "(POST /api/notifications).",
            code="secret_in_form",
            field=f"data.{found[0]}",
        )
