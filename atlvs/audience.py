"""Who is told: audiences as people write them in rules, forms and API calls, checked before use.

`{"kind": "contacts", "ids": […]}` · `{"kind": "attendees", "event_id": …, "statuses": ["confirmed"]}` ·
`{"kind": "tag", "name": "vip"}` · `{"kind": "everyone"}` · `{"kind": "slack_channel", "channel": "C…"}` ·
`{"kind": "people", "people": [{"email", "phone", "name", "data"}]}` · in rules also
`{"kind": "field", "field": "assignee_id"}`, the contact that a field of the record names, and
`{"kind": "record_attendees"}`, who is registered for the record's event.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from atlvs.errors import Rejected

Text = Annotated[str, Field(max_length=500)]
MOST_PEOPLE = 100_000  # in one list; larger audiences are tags


class _Kind(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Contacts(_Kind):
    """These contacts."""

    kind: Literal["contacts"] = "contacts"
    ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_PEOPLE)]


class Attendees(_Kind):
    """Who is registered for an event."""

    kind: Literal["attendees"] = "attendees"
    event_id: UUID
    statuses: list[Text] = Field(default_factory=lambda: ["confirmed"], min_length=1)


class Tagged(_Kind):
    """Contacts with a tag."""

    kind: Literal["tag"] = "tag"
    name: Text


class Everyone(_Kind):
    """All contacts of the organization."""

    kind: Literal["everyone"] = "everyone"


class SlackChannel(_Kind):
    """A Slack channel; "default" is the connection's own for the type."""

    kind: Literal["slack_channel"] = "slack_channel"
    channel: Text = "default"


class Person(_Kind):
    """Somebody who need not be a contact."""

    email: Text | None = None
    phone: Annotated[str, Field(max_length=50)] | None = None
    name: Text | None = None
    data: dict[str, Any] = Field(default_factory=dict)

    def recipient(self, place: int) -> str:
        """Who it is: several may share an address. `place` in the list, for who has none."""
        addresses = [(one or "").strip().lower() for one in (self.email, self.phone)]
        return f"person:{' '.join(filter(None, addresses)) or place}"


class People(_Kind):
    """A list of people."""

    kind: Literal["people"] = "people"
    people: Annotated[list[Person], Field(min_length=1, max_length=MOST_PEOPLE)]


class RecordField(_Kind):
    """The contact that a field of the record names; in rules."""

    kind: Literal["field"] = "field"
    field: Literal["contact_id", "assignee_id", "approver_id"]


class RecordAttendees(_Kind):
    """Who is registered for the event that the record is, or belongs to; in rules."""

    kind: Literal["record_attendees"] = "record_attendees"
    statuses: list[Text] = Field(default_factory=lambda: ["confirmed"], min_length=1)


Audience = (
    Contacts | Attendees | Tagged | Everyone | SlackChannel | People | RecordField | RecordAttendees
)
RULES_ONLY = (RecordField, RecordAttendees)
_adapter: TypeAdapter[Audience] = TypeAdapter(Annotated[Audience, Field(discriminator="kind")])


def parsed(audience: Any) -> Audience:
    """An audience; Rejected, naming the field, when it is none."""
    try:
        return _adapter.validate_python(audience)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(["audience", *map(str, first["loc"][1:])])
        raise Rejected(
            "notifications", f"{where}: {first['msg']}.", code="audience_invalid", field=where
        ) from None
