"""Example variables for each type of notification, for tests of how it arrives."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from atlvs.events import NotificationType as Type

# Secrets are examples as well: nobody can do anything with them.
EXAMPLES: dict[Type, dict[str, Any]] = {
    Type.TASK_ASSIGNED: {
        "task_title": "Confirm the stage crew",
        "event_name": "Example Gala",
        "assigned_by": "Grace Hopper",
        "priority": "high",
    },
    Type.TASK_DUE_SOON: {"task_title": "Confirm the stage crew", "event_name": "Example Gala"},
    Type.APPROVAL_REQUIRED: {
        "approval_subject": "Catering for 200 guests",
        "requested_by": "Grace Hopper",
        "amount": 420_000,
        "currency": "usd",
        "status": "pending",
    },
    Type.EVENT_REMINDER: {
        "event_name": "Example Gala",
        "location": "Harbour Hall",
        "registrations": 180,
    },
    Type.BUDGET_ALERT: {
        "budget_name": "Lighting",
        "amount": 1_000_000,
        "spent": 830_000,
        "currency": "usd",
        "percent": 83,
        "threshold": 80,
        "event_name": "Example Gala",
    },
    Type.CONNECTION_TROUBLE: {
        "connection": "deal.won to hooks.example.com/…",
        "reason": "only failures for days; the target said 500.",
        "mend": "This is a test. Nothing is to be mended.",
    },
    Type.INCIDENT_REPORTED: {
        "incident_title": "An exercise: blocked emergency exit",
        "severity": "low",
        "description": "This is a test. Nothing has happened.",
        "location": "Harbour Hall",
        "status": "open",
    },
    Type.REGISTRATION_RECEIVED: {
        "event_name": "Example Gala",
        "registrant_name": "Ada Lovelace",
        "ticket": "Standard",
        "amount": 4_500,
        "currency": "usd",
    },
    Type.PAYMENT_RECEIVED: {
        "amount": 4_500,
        "currency": "usd",
        "payer_name": "Ada Lovelace",
        "invoice_number": "INV-0042",
        "method": "card",
    },
    Type.REGISTRATION_CONFIRMATION: {
        "event_name": "Example Gala",
        "location": "Harbour Hall",
        "ticket": "Standard",
        "amount": 4_500,
        "currency": "usd",
    },
    Type.TICKET_DELIVERY: {
        "event_name": "Example Gala",
        "location": "Harbour Hall",
        "ticket": "Standard",
    },
    Type.PASSWORD_RESET: {"reset_url": "https://example.com/reset/an-example"},
    Type.INVOICE_SENT: {"invoice_number": "INV-0042", "amount": 90_000, "currency": "usd"},
    Type.PAYMENT_RECEIPT: {
        "amount": 90_000,
        "currency": "usd",
        "invoice_number": "INV-0042",
        "method": "card",
    },
    Type.ANNOUNCEMENT: {
        "headline": "A test",
        "message": "This is a test of how announcements arrive.",
    },
}
# Times are of the moment, so that no example comes too late: variable → when.
_IN_A_DAY: dict[str, Callable[[datetime], str]] = {
    "due_at": lambda now: (now + timedelta(days=1)).isoformat(),
    "starts_at": lambda now: (now + timedelta(days=1)).isoformat(),
    "ends_at": lambda now: (now + timedelta(days=1, hours=4)).isoformat(),
    "expires_at": lambda now: (now + timedelta(hours=1)).isoformat(),
    "paid_at": lambda now: now.isoformat(),
    "reported_at": lambda now: now.isoformat(),
    "due_on": lambda now: (now + timedelta(days=30)).date().isoformat(),
}
_TIMES = {
    Type.TASK_ASSIGNED: ("due_at",),
    Type.TASK_DUE_SOON: ("due_at",),
    Type.APPROVAL_REQUIRED: ("due_at",),
    Type.EVENT_REMINDER: ("starts_at", "ends_at"),
    Type.INCIDENT_REPORTED: ("reported_at",),
    Type.PAYMENT_RECEIVED: ("paid_at",),
    Type.REGISTRATION_CONFIRMATION: ("starts_at",),
    Type.TICKET_DELIVERY: ("starts_at",),
    Type.PASSWORD_RESET: ("expires_at",),
    Type.INVOICE_SENT: ("due_on",),
    Type.PAYMENT_RECEIPT: ("paid_at",),
}


def example(type: str, now: datetime | None = None) -> dict[str, Any]:
    """Variables with which a notification of that type can be sent."""
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    times = {name: _IN_A_DAY[name](now) for name in _TIMES.get(Type(type), ())}
    return EXAMPLES[Type(type)] | times | {"url": "https://example.com/modules/example"}
