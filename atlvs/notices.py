"""What each type of notification is: its category, its variables, how it may be sent and resent.

The variables are names in a notification's data; a recipient's own (`recipient`) are laid on top.
Times are ISO 8601 with an offset, amounts integer minor units beside a lower-case `currency`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from atlvs import attachments
from atlvs.errors import Rejected
from atlvs.events import Category, Channel, EmailTemplate, NotificationType

# Who carries a channel: the provider's name in the registry.
PROVIDERS = {
    Channel.SLACK: "slack",
    Channel.EMAIL: "sendgrid",
    Channel.SMS: "twilio",
    Channel.CALL: "twilio",
}
ITEMS = "digest_items"  # the list that makes a message a digest: nobody may give it
RECIPIENT = ("first_name", "last_name", "name", "email", "time_zone", "preferences_url")


@dataclass(frozen=True)
class NoticeType:
    """One type of notification."""

    type: NotificationType
    category: Category
    title: str  # as a headline: "Task due soon"
    required: frozenset[str]  # without these it is not sent
    optional: frozenset[str] = frozenset()
    template: EmailTemplate | None = None
    channels: tuple[Channel, ...] = (Channel.EMAIL,)  # where nothing else is said
    transactional: bool = (
        False  # asked for or owed: no unsubscribe group, no digest, no quiet hours
    )
    critical: bool = False  # passes through preferences, quiet hours and digests
    secret: frozenset[str] = frozenset()  # variables that are kept encrypted
    resend_unknown: bool = True  # once it is as good as certain that it never left
    expires: str = ""  # the variable with the time from which on it comes too late
    digestible: bool = False  # a Slack channel's backlog of them becomes one message
    text: str = ""  # SMS, and the plain fallback: str.format_map over the variables

    @property
    def owed(self) -> bool:
        """Whether it passes through preferences, quiet hours and digests."""
        return self.critical or self.transactional

    @property
    def known(self) -> frozenset[str]:
        """All variables that it takes."""
        return self.required | self.optional | {"url", "message"}

    def expires_at(self, data: Mapping[str, Any]) -> datetime | None:
        """From when on a notification of these variables would come too late."""
        try:
            at = datetime.fromisoformat(str(data[self.expires])) if self.expires else None
        except (KeyError, ValueError):
            return None
        return at.replace(tzinfo=at.tzinfo or UTC) if at else None

    def check(self, data: Mapping[str, Any]) -> None:
        """Rejected when a required variable is missing or empty, by name."""
        lacking = sorted(name for name in self.required if data.get(name) in (None, ""))
        if self.type == NotificationType.ANNOUNCEMENT and not (
            data.get("message") or data.get("template_id")
        ):
            lacking = ["message"]
        if lacking:
            raise Rejected(
                "notifications",
                f"{self.type} needs {', '.join(lacking)} in its data.",
                code="data_missing",
                field=lacking[0],
            )


def check_given(data: Mapping[str, Any], field: str) -> None:
    """Rejected when variables have what nobody may give, or files that no mail can have."""
    if ITEMS in data:
        text = f"{field}.{ITEMS} is ours, for digests: give it another name."
        raise Rejected("notifications", text, code="invalid", field=f"{field}.{ITEMS}")
    if data.get("attachments"):
        attachments.check_all(data["attachments"], "notifications")


def _fields(names: str) -> frozenset[str]:
    return frozenset(names.split())


TYPES: dict[NotificationType, NoticeType] = {
    one.type: one
    for one in (
        NoticeType(
            NotificationType.TASK_ASSIGNED,
            Category.TASKS,
            "Task assigned",
            _fields("task_title"),
            _fields("due_at event_name assigned_by priority assignee_name"),
            EmailTemplate.TASK_ASSIGNED,
            (Channel.SLACK, Channel.EMAIL),
            text="Task for you: {task_title}. {url}",
        ),
        NoticeType(
            NotificationType.TASK_DUE_SOON,
            Category.TASKS,
            "Task due soon",
            _fields("task_title due_at"),
            _fields("event_name assignee_name"),
            None,
            (Channel.SLACK, Channel.EMAIL),
            text="Due {due_at}: {task_title}. {url}",
        ),
        NoticeType(
            NotificationType.APPROVAL_REQUIRED,
            Category.APPROVALS,
            "Approval required",
            _fields("approval_subject"),
            _fields("requested_by amount currency due_at status decided_by"),
            EmailTemplate.APPROVAL_REQUEST,
            (Channel.SLACK, Channel.EMAIL),
            text="Please approve: {approval_subject}. {url}",
        ),
        NoticeType(
            NotificationType.EVENT_REMINDER,
            Category.EVENTS,
            "Event reminder",
            _fields("event_name starts_at"),
            _fields("location ends_at time_zone registrations"),
            EmailTemplate.EVENT_REMINDER,
            (Channel.EMAIL,),
            expires="starts_at",
            text="{event_name} starts {starts_at}. {location} {url}",
        ),
        NoticeType(
            NotificationType.BUDGET_ALERT,
            Category.FINANCE,
            "Budget alert",
            _fields("budget_name amount spent currency percent"),
            _fields("event_name threshold"),
            None,
            (Channel.SLACK, Channel.EMAIL),
            text="{budget_name}: {percent} % of the budget is spent. {url}",
        ),
        NoticeType(
            NotificationType.INCIDENT_REPORTED,
            Category.INCIDENTS,
            "Incident reported",
            _fields("incident_title severity"),
            _fields("description event_name location reported_by reported_at status"),
            None,
            (Channel.SLACK, Channel.SMS),
            critical=True,
            text="Incident ({severity}): {incident_title}. {url}",
        ),
        NoticeType(
            NotificationType.REGISTRATION_RECEIVED,
            Category.REGISTRATIONS,
            "New registration",
            _fields("event_name"),
            _fields("registrant_name ticket amount currency registrations"),
            None,
            (Channel.SLACK,),
            digestible=True,
            text="New registration for {event_name}. {url}",
        ),
        NoticeType(
            NotificationType.PAYMENT_RECEIVED,
            Category.FINANCE,
            "Payment received",
            _fields("amount currency"),
            _fields("payer_name invoice_number event_name method paid_at"),
            None,
            (Channel.SLACK,),
            digestible=True,
            text="Payment received: {amount} {currency}. {url}",
        ),
        NoticeType(
            NotificationType.REGISTRATION_CONFIRMATION,
            Category.REGISTRATIONS,
            "Your registration",
            _fields("event_name"),
            _fields("starts_at location ticket amount currency"),
            EmailTemplate.REGISTRATION_CONFIRMATION,
            (Channel.EMAIL,),
            transactional=True,
            text="You are registered for {event_name}. {url}",
        ),
        NoticeType(
            NotificationType.TICKET_DELIVERY,
            Category.REGISTRATIONS,
            "Your tickets",
            _fields("event_name"),
            _fields("starts_at location ticket attachments"),
            EmailTemplate.TICKET_DELIVERY,
            (Channel.EMAIL,),
            transactional=True,
            secret=_fields("attachments url"),
            text="Your tickets for {event_name}: {url}",
        ),
        NoticeType(
            NotificationType.PASSWORD_RESET,
            Category.ACCOUNT,
            "Reset your password",
            _fields("reset_url"),
            _fields("expires_at"),
            EmailTemplate.PASSWORD_RESET,
            (Channel.EMAIL,),
            transactional=True,
            critical=True,
            secret=_fields("reset_url"),
            text="Reset your password: {reset_url}",
        ),
        NoticeType(
            NotificationType.INVOICE_SENT,
            Category.FINANCE,
            "Invoice",
            _fields("invoice_number amount currency"),
            _fields("due_on attachments"),
            EmailTemplate.INVOICE_SENT,
            (Channel.EMAIL,),
            transactional=True,
            text="Invoice {invoice_number} over {amount} {currency}. {url}",
        ),
        NoticeType(
            NotificationType.PAYMENT_RECEIPT,
            Category.FINANCE,
            "Receipt",
            _fields("amount currency"),
            _fields("invoice_number paid_at method event_name"),
            EmailTemplate.PAYMENT_RECEIPT,
            (Channel.EMAIL,),
            transactional=True,
            text="We received {amount} {currency}. Thank you. {url}",
        ),
        NoticeType(
            NotificationType.CONNECTION_TROUBLE,
            Category.ACCOUNT,
            "A connection needs you",
            _fields("connection reason"),
            _fields("mend"),
            None,
            (Channel.SLACK, Channel.EMAIL),
            transactional=True,
            text="{connection} needs you: {reason} {mend}",
        ),
        NoticeType(
            NotificationType.ANNOUNCEMENT,
            Category.NEWS,
            "News",
            frozenset(),
            _fields("message headline template_id"),
            None,
            (Channel.EMAIL,),
            resend_unknown=False,
            text="{message}",
        ),
    )
}


def notice_type(name: str) -> NoticeType:
    """A type by its name; Rejected, naming all of them, when there is none."""
    try:
        return TYPES[NotificationType(name)]
    except ValueError:
        raise Rejected(
            "notifications",
            f"There is no notification type {name!r}. There are: {', '.join(TYPES)}.",
            code="type_unknown",
            field="type",
        ) from None
