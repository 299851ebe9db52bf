"""Which variables of a notification a Slack message shows, in which order and how written."""

from dataclasses import dataclass

from atlvs.events import NotificationType as Type


@dataclass(frozen=True)
class Shown:
    """A variable in a message: its label, and how it is written."""

    label: str
    name: str
    kind: str = "text"  # text, moment, money, percent


@dataclass(frozen=True)
class Layout:
    """How a type of notification looks: what it is about, what is told of it, what can be done."""

    about: str = ""  # the variable that the message is about
    shown: tuple[Shown, ...] = ()
    button: str = "Open"
    bodies: tuple[str, ...] = ("message",)
    link: str = "url"


EVENT = Shown("Event", "event_name")
DUE = Shown("Due", "due_at", "moment")
AMOUNT = Shown("Amount", "amount", "money")
PLACE = Shown("Location", "location")
STARTS = Shown("Starts", "starts_at", "moment")
TICKET = Shown("Ticket", "ticket")
PAID = Shown("Paid", "paid_at", "moment")
INVOICE = Shown("Invoice", "invoice_number")
METHOD = Shown("Method", "method")

LAYOUTS: dict[str, Layout] = {
    Type.TASK_ASSIGNED: Layout(
        about="task_title",
        shown=(
            *(DUE, EVENT, Shown("Assigned by", "assigned_by"), Shown("For", "assignee_name")),
            Shown("Priority", "priority"),
        ),
        button="Open task",
    ),
    Type.TASK_DUE_SOON: Layout(
        about="task_title",
        shown=(DUE, EVENT, Shown("Assignee", "assignee_name")),
        button="Open task",
    ),
    Type.APPROVAL_REQUIRED: Layout(
        about="approval_subject",
        shown=(
            *(Shown("Status", "status"), Shown("Decided by", "decided_by")),
            *(Shown("Requested by", "requested_by"), AMOUNT, Shown("Deadline", "due_at", "moment")),
        ),
        button="Review",
    ),
    Type.EVENT_REMINDER: Layout(
        about="event_name",
        shown=(
            *(STARTS, Shown("Ends", "ends_at", "moment"), PLACE),
            Shown("Registrations", "registrations"),
        ),
        button="Open event",
    ),
    Type.BUDGET_ALERT: Layout(
        about="budget_name",
        shown=(
            *(Shown("Used", "percent", "percent"), Shown("Spent", "spent", "money")),
            *(Shown("Budget", "amount", "money"), Shown("Threshold", "threshold", "percent")),
            EVENT,
        ),
        button="Open budget",
    ),
    Type.CONNECTION_TROUBLE: Layout(
        about="connection", shown=(Shown("Why", "reason"), Shown("What to do", "mend"))
    ),
    Type.INCIDENT_REPORTED: Layout(
        about="incident_title",
        shown=(
            *(Shown("Severity", "severity"), Shown("Status", "status"), EVENT, PLACE),
            *(Shown("Reported by", "reported_by"), Shown("Reported", "reported_at", "moment")),
        ),
        button="Open incident",
        bodies=("description", "message"),
    ),
    Type.REGISTRATION_RECEIVED: Layout(
        about="event_name",
        shown=(
            *(Shown("Registrant", "registrant_name"), TICKET, AMOUNT),
            Shown("Registrations", "registrations"),
        ),
        button="Open registration",
    ),
    Type.PAYMENT_RECEIVED: Layout(
        about="amount",
        shown=(Shown("From", "payer_name"), INVOICE, EVENT, METHOD, PAID),
        button="Open payment",
    ),
    Type.REGISTRATION_CONFIRMATION: Layout(
        about="event_name", shown=(STARTS, PLACE, TICKET, AMOUNT), button="View registration"
    ),
    Type.TICKET_DELIVERY: Layout(
        about="event_name", shown=(STARTS, PLACE, TICKET), button="Open tickets"
    ),
    Type.PASSWORD_RESET: Layout(
        shown=(Shown("Valid until", "expires_at", "moment"),),
        button="Reset password",
        link="reset_url",
    ),
    Type.INVOICE_SENT: Layout(
        about="invoice_number",
        shown=(AMOUNT, Shown("Due", "due_on", "moment")),
        button="Open invoice",
    ),
    Type.PAYMENT_RECEIPT: Layout(
        about="amount", shown=(INVOICE, EVENT, METHOD, PAID), button="Open receipt"
    ),
    Type.ANNOUNCEMENT: Layout(button="Read more"),
}
