"""The business's own words for what happens: domain events, written to the outbox."""

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
