"""Rules: which domain event tells whom, on which channels. Shipped defaults, and an organization's own.

A stored rule of a shipped one's name stands instead of it. A rule's audience is made concrete by the
record that the event is about (`resolved`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from atlvs import audience as audiences
from atlvs.audience import RecordAttendees, RecordField
from atlvs.errors import Rejected
from atlvs.events import Channel
from atlvs.events import DomainEvent as On
from atlvs.events import NotificationType as Type
from atlvs.notices import notice_type


@dataclass(frozen=True)
class Rule:
    """One rule. `mode` "first": the first channel that works, the others as its fallback."""

    name: str
    event: str
    type: str
    audience: dict[str, Any]
    channels: tuple[str, ...]
    mode: str = "all"
    condition: dict[str, Any] = field(default_factory=dict[str, Any])
    enabled: bool = True

    def check(self) -> None:
        """Rejected, with field and reason, when the rule could not work."""
        if not 0 < len(self.name) <= 100:
            raise _wrong("name", "has 1 to 100 characters.")
        if self.event not in set(On):
            raise _wrong("event", f"is none that happens. There are: {', '.join(On)}.")
        notice_type(self.type)
        found = audiences.parsed(self.audience)
        if not self.channels or not set(self.channels) <= set(Channel):
            raise _wrong("channels", f"are one or more of {', '.join(Channel)}.")
        if isinstance(found, audiences.SlackChannel) and set(self.channels) != {Channel.SLACK}:
            raise _wrong("channels", "of a Slack channel's rule are: slack.")
        if self.mode not in ("all", "first"):
            raise _wrong("mode", "is all or first.")

    def applies(self, record: Mapping[str, Any]) -> bool:
        """Whether the record has the values that the rule asks for: one, or one of several."""
        for name, wanted in self.condition.items():
            allowed = cast("list[Any]", wanted) if isinstance(wanted, list) else [wanted]
            if record.get(name) not in allowed:
                return False
        return self.enabled


@dataclass(frozen=True)
class Subject:
    """What a notification is about: the record, who stands in it, and its variables."""

    record_type: str
    record_id: UUID
    people: dict[str, UUID]  # field → contact
    event_id: UUID | None
    data: dict[str, Any]
    headline: str


def resolved(audience: Mapping[str, Any], subject: Subject) -> dict[str, Any] | None:
    """A rule's audience for one record; None when nobody stands there."""
    match audiences.parsed(dict(audience)):
        case RecordField(field=name):
            found = subject.people.get(name)
            return {"kind": "contacts", "ids": [str(found)]} if found else None
        case RecordAttendees(statuses=statuses):
            if subject.event_id is None:
                return None
            return {
                "kind": "attendees",
                "event_id": str(subject.event_id),
                "statuses": list(statuses),
            }
        case _:
            return dict(audience)


def _shipped() -> Iterator[Rule]:
    slack, email, sms = str(Channel.SLACK), str(Channel.EMAIL), str(Channel.SMS)
    channel = {"kind": "slack_channel", "channel": "default"}
    assignee = {"kind": "field", "field": "assignee_id"}
    approver = {"kind": "field", "field": "approver_id"}
    contact = {"kind": "field", "field": "contact_id"}
    attendees = {"kind": "record_attendees"}
    first = (slack, email), "first"
    yield Rule("task-assigned", On.TASK_ASSIGNED, Type.TASK_ASSIGNED, assignee, *first)
    yield Rule("task-due-soon", On.TASK_DUE_SOON, Type.TASK_DUE_SOON, assignee, *first)
    yield Rule(
        "approval-requested", On.APPROVAL_REQUESTED, Type.APPROVAL_REQUIRED, approver, *first
    )
    yield Rule("approval-decided", On.APPROVAL_DECIDED, Type.APPROVAL_REQUIRED, approver, (slack,))
    yield Rule(
        "event-starting", On.EVENT_STARTING, Type.EVENT_REMINDER, attendees, (email, sms), "first"
    )
    for name, event, type in (
        ("budget-crossed", On.BUDGET_CROSSED, Type.BUDGET_ALERT),
        ("incident-reported", On.INCIDENT_REPORTED, Type.INCIDENT_REPORTED),
        ("incident-updated", On.INCIDENT_UPDATED, Type.INCIDENT_REPORTED),
        ("registration-received", On.REGISTRATION_CREATED, Type.REGISTRATION_RECEIVED),
        ("payment-received", On.PAYMENT_RECEIVED, Type.PAYMENT_RECEIVED),
    ):
        yield Rule(name, event, type, channel, (slack,))
    for name, event, type in (
        ("registration-confirmed", On.REGISTRATION_CONFIRMED, Type.REGISTRATION_CONFIRMATION),
        ("payment-receipt", On.PAYMENT_RECEIVED, Type.PAYMENT_RECEIPT),
    ):
        yield Rule(name, event, type, contact, (email,))


DEFAULTS: dict[str, Rule] = {rule.name: rule for rule in _shipped()}


def effective(stored: Mapping[str, Rule]) -> list[Rule]:
    """The rules in force: the organization's own, and the shipped ones that it left alone."""
    return list({**DEFAULTS, **stored}.values())


def _wrong(field: str, text: str) -> Rejected:
    return Rejected("rules", f"{field} {text}", code="invalid", field=field)
