"""The input of the eight actions, in the platform's own field names."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from tasks.zapier.fields import (
    Body,
    Cents,
    Currency,
    Decimals,
    Email,
    Given,
    Id,
    Line,
    Locale,
    Name,
    Phone,
    Tag,
    Tags,
    Time,
    TimeZone,
    Word,
    invalid,
    missing,
)

Records = Literal[
    "contacts",
    "companies",
    "leads",
    "deals",
    "events",
    "registrations",
    "tasks",
    "invoices",
    "payments",
    "expenses",
    "budgets",
    "approvals",
    "incidents",
]
SINGULAR = {"company": "companies"} | {
    name.removesuffix("s"): name for name in get_args(Records) if name != "companies"
}


def _plural(value: Any) -> Any:
    """`contact`, as an answer's `object` has it, is `contacts`."""
    return SINGULAR.get(name := value.strip().lower(), name) if isinstance(value, str) else value


RecordType = Annotated[Records, BeforeValidator(_plural)]


class CreateContact(Given):
    """A contact: an e-mail address, a name or a phone number is needed. Known by its e-mail address."""

    email: Email | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    phone: Phone | None = Field(None, description="With its country code, or as in the region.")
    company_id: Id | None = None
    time_zone: TimeZone | None = Field(None, description="As Europe/Berlin.")
    locale: Locale | None = Field(None, description="As en or de-AT.")
    on_existing: Literal["return", "update"] = Field(
        "return", description="What happens to a contact that has the e-mail address already."
    )

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not (self.email or self.first_name or self.last_name or self.phone):
            raise missing("email", "A contact needs an e-mail address, a name or a phone number.")
        return self


class UpdateContact(Given):
    """Change a contact, found by its id or its e-mail address."""

    id: Id | None = None
    email: Email | None = Field(None, description="Finds the contact where there is no id.")
    new_email: Email | None = Field(None, description="The address that it gets.")
    first_name: Name | None = None
    last_name: Name | None = None
    phone: Phone | None = None
    company_id: Id | None = None
    time_zone: TimeZone | None = None
    locale: Locale | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if not (self.id or self.email):
            raise missing("id", "Say which contact: give its id or its email.")
        if self.id and self.email:
            text = "Give id or email: they find the contact. To change its address, give new_email."
            raise invalid("email", text)
        return self


class CreateLead(Given):
    """A lead: a name is needed, or its parts."""

    name: Line | None = None
    first_name: Name | None = Field(None, description="Makes the name, with last_name.")
    last_name: Name | None = None
    email: Email | None = None
    phone: Phone | None = None
    source: Name = "zapier"
    status: Word = "new"
    contact_id: Id | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.whole_name:
            raise missing("name", "A lead needs a name, or a first_name or last_name.")
        return self

    @property
    def whole_name(self) -> str:
        """The name, or its parts together."""
        return self.name or " ".join(filter(None, (self.first_name, self.last_name)))


class UpdateLead(Given):
    """Change a lead."""

    id: Id
    name: Line | None = None
    email: Email | None = None
    phone: Phone | None = None
    source: Name | None = None
    status: Word | None = None
    contact_id: Id | None = None


class CreateTask(Given):
    """A task, perhaps for somebody and with a time."""

    title: Line
    description: Body | None = None
    due_at: Time | None = Field(
        None, description="ISO 8601; without an offset it is in the organization's time zone."
    )
    event_id: Id | None = None
    assignee_id: Id | None = None
    assignee_email: Email | None = Field(None, description="Instead of the id.")
    status: Word = "open"

    @model_validator(mode="after")
    def _one_assignee(self) -> Self:
        if self.assignee_id and self.assignee_email:
            raise invalid("assignee_email", "Give assignee_id or assignee_email, not both.")
        return self


class CreateRegistration(Given):
    """A contact's registration for an event: one, unless the former one was cancelled."""

    event_id: Id
    contact_id: Id | None = None
    email: Email | None = Field(
        None, description="Instead of contact_id; who is not known becomes a contact."
    )
    first_name: Name | None = Field(None, description="For a contact that is made, as the next.")
    last_name: Name | None = None
    phone: Phone | None = None
    status: Word = "pending"
    payment_status: Word = "unpaid"
    amount_cents: Cents | None = Field(None, description="In the currency's minor unit.")
    amount: Decimals | None = Field(None, description="Instead of amount_cents, as 12.50.")
    currency: Currency | None = Field(None, description="The organization's own if not given.")

    @model_validator(mode="after")
    def _one_contact(self) -> Self:
        if self.contact_id and self.email:
            raise invalid("email", "Give contact_id or email, not both.")
        if not (self.contact_id or self.email):
            raise missing("email", "Say who registers: give email or contact_id.")
        if self.amount_cents is not None and self.amount is not None:
            raise invalid("amount", "Give amount_cents or amount, not both.")
        return self


class CreateNote(Given):
    """A note on a record."""

    record_type: RecordType
    record_id: Id
    body: Body


class AddTag(Given):
    """Tags on a record: what it has already, it keeps."""

    record_type: RecordType
    record_id: Id
    tag: Tag | None = None
    tags: Tags | None = Field(None, description="Several; a text is split at commas.")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.names:
            raise missing("tag", "Give a tag, or several as tags.")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, once each."""
        return tuple(dict.fromkeys(filter(None, (self.tag, *(self.tags or ())))))
