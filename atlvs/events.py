"""The business's own words: what happens (domain events), and what people are told of it."""

from enum import StrEnum


class DomainEvent(StrEnum):
    """Names as the outside sees them. The first sixteen are the platform's triggers for Zaps."""

    REGISTRATION_CREATED = "registration.created"
    REGISTRATION_CONFIRMED = "registration.confirmed"
    REGISTRATION_CANCELLED = "registration.cancelled"
    CONTACT_CREATED = "contact.created"
    CONTACT_UPDATED = "contact.updated"
    LEAD_CREATED = "lead.created"
    LEAD_STATUS_CHANGED = "lead.status_changed"
    DEAL_CREATED = "deal.created"
    DEAL_WON = "deal.won"
    DEAL_LOST = "deal.lost"
    TASK_CREATED = "task.created"
    TASK_COMPLETED = "task.completed"
    INVOICE_CREATED = "invoice.created"
    INVOICE_PAID = "invoice.paid"
    EVENT_CREATED = "event.created"
    EVENT_PUBLISHED = "event.published"

    PAYMENT_CREATED = "payment.created"
    PAYMENT_RECEIVED = "payment.received"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_REFUNDED = "payment.refunded"
    INVOICE_PAYMENT_FAILED = "invoice.payment_failed"
    SUBSCRIPTION_CREATED = "subscription.created"
    SUBSCRIPTION_UPDATED = "subscription.updated"
    SUBSCRIPTION_DELETED = "subscription.deleted"
    CHECKOUT_COMPLETED = "checkout.completed"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_CLOSED = "dispute.closed"
    TASK_ASSIGNED = "task.assigned"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_DECIDED = "approval.decided"
    INCIDENT_REPORTED = "incident.reported"
    INCIDENT_UPDATED = "incident.updated"

    # found by the clock, not by a change
    TASK_DUE_SOON = "task.due_soon"
    EVENT_STARTING = "event.starting"
    BUDGET_CROSSED = "budget.crossed"


class NotificationType(StrEnum):
    """What people are told. The first eight are the seed's Slack notifications."""

    TASK_ASSIGNED = "task_assigned"
    TASK_DUE_SOON = "task_due_soon"
    APPROVAL_REQUIRED = "approval_required"
    EVENT_REMINDER = "event_reminder"
    BUDGET_ALERT = "budget_alert"
    INCIDENT_REPORTED = "incident_reported"
    REGISTRATION_RECEIVED = "registration_received"
    PAYMENT_RECEIVED = "payment_received"

    REGISTRATION_CONFIRMATION = "registration_confirmation"
    TICKET_DELIVERY = "ticket_delivery"
    PASSWORD_RESET = "password_reset"  # noqa: S105  # a name
    INVOICE_SENT = "invoice_sent"
    PAYMENT_RECEIPT = "payment_receipt"
    ANNOUNCEMENT = "announcement"
    CONNECTION_TROUBLE = "connection_trouble"


class EmailTemplate(StrEnum):
    """Keys of the e-mail templates whose SendGrid ids an organization may set."""

    REGISTRATION_CONFIRMATION = "registration_confirmation"
    TICKET_DELIVERY = "ticket_delivery"
    PASSWORD_RESET = "password_reset"  # noqa: S105  # a name
    INVOICE_SENT = "invoice_sent"
    PAYMENT_RECEIPT = "payment_receipt"
    EVENT_REMINDER = "event_reminder"
    TASK_ASSIGNED = "task_assigned"
    APPROVAL_REQUEST = "approval_request"


class Channel(StrEnum):
    """Ways to reach somebody."""

    SLACK = "slack"
    EMAIL = "email"
    SMS = "sms"
    CALL = "call"


class Category(StrEnum):
    """What a person can want or not want."""

    TASKS = "tasks"
    APPROVALS = "approvals"
    EVENTS = "events"
    FINANCE = "finance"
    INCIDENTS = "incidents"
    REGISTRATIONS = "registrations"
    ACCOUNT = "account"
    NEWS = "news"
