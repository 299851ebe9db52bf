"""What events tell: how far a message has come, and who does not want mail or cannot get it.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
Events come in any order and more than once; deliveries move forward only, words are written once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from atlvs.db import consents, deliveries
from atlvs.db.engine import Transaction
from atlvs.db.inbox import Waiting
from atlvs.records import Connection, Counts, Outcome, Word
from blocks.sendgrid import SendGrid
from blocks.sendgrid_answers import masked
from blocks.sendgrid_events import time_in

Json = dict[str, Any]
# Event → the state that a delivery has come to.
STATES = {
    "processed": "sent",
    "deferred": "sent",
    "delivered": "delivered",
    "open": "opened",
    "click": "opened",
    "bounce": "bounced",
    "dropped": "suppressed",
    "spamreport": "delivered",
    "unsubscribe": "delivered",
    "group_unsubscribe": "delivered",
}
# Why SendGrid dropped a message, where that says something of the address.
DROPPED = {
    "Bounced Address": ("unreachable", "bounce"),
    "Invalid": ("unreachable", "invalid address"),
    "Spam Reporting Address": ("refused", "spam report"),
}
SAID: dict[str, tuple[str, str]] = {
    "spamreport": ("refused", "spam report"),
    "unsubscribe": ("refused", "unsubscribe"),
    "group_unsubscribe": ("refused", "unsubscribe"),
    "group_resubscribe": ("allowed", "resubscribe"),
}


@dataclass
class Changes:
    """What a number of events come to."""

    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    words: list[Word] = field(default_factory=list[Word])
    calls: set[UUID] = field(default_factory=set[UUID])
    events: int = 0

    def update(self, other: "Changes") -> None:
        """Add what other events come to."""
        self.outcomes += other.outcomes
        self.words += other.words
        self.calls |= other.calls
        self.events += other.events


async def fetch_changes(connection: SendGrid, events: Sequence[Waiting]) -> Changes | None:
    """What the events of one lane come to; None where they tell nothing of ours. Asks nobody: an event
    is all that SendGrid says of a message."""
    changes = Changes()
    for event in events:
        payload = event.payload
        known = of_ours(payload, connection)
        if known and (outcome := outcome_from(payload, known)):
            changes.outcomes.append(outcome)
        if known and (call := uuid_in(payload.get("atlvs_call"))):
            changes.calls.add(call)
        words = words_from(payload, event.event_id, connection.scopes_of)
        changes.words += words
        changes.events += bool(known or words)
    return changes if changes.events else None


async def apply_changes(
    tx: Transaction, connection: Connection, changes: Changes
) -> dict[str, Counts]:
    """Move deliveries forward and write the words down."""
    # One that was heard of shows that all of its call went out.
    settled = await deliveries.settle_call(tx, changes.calls) if changes.calls else 0
    moved = await deliveries.advance(tx, changes.outcomes)
    told = await consents.record(tx, connection.org_id, changes.words)
    counts = {
        "deliveries": Counts(read=len(changes.outcomes), updated=moved + settled),
        "consents": Counts(read=len(changes.words), created=told),
    }
    return {name: one for name, one in counts.items() if one.read or one.changed}


def of_ours(payload: Json, connection: SendGrid) -> UUID | None:
    """The delivery that an event is about, if it is one of this organization's."""
    if payload.get("atlvs_org") not in (None, str(connection.connection.org_id)):
        return None
    return uuid_in(payload.get("atlvs_delivery"))


def outcome_from(payload: Json, delivery: UUID) -> Outcome | None:
    """What an event says of its delivery."""
    kind = payload["event"]
    state = STATES.get(kind)
    if kind == "bounce" and payload.get("type") == "blocked":
        state = "failed"  # for now: the address is written to again
    if kind == "open" and payload.get("sg_machine_open"):
        state = "delivered"  # a mail program fetched the pictures, nobody need have looked
    if state is None:
        return None
    telling = kind in ("bounce", "dropped", "deferred")
    reason = payload.get("reason") or payload.get("response") if telling else None
    message = str(payload.get("sg_message_id") or "").partition(".")[0]
    return Outcome(
        delivery,
        state,
        provider_id=message or None,
        code=str(payload.get("status") or payload.get("type") or kind)[:100] if telling else None,
        reason=masked(str(reason))[:300] if reason else None,
        at=time_in(payload.get("timestamp")),
    )


def words_from(payload: Json, event_id: str, scopes_of: Callable[[int], list[str]]) -> list[Word]:
    """What an event says about its address, whoever sent the mail."""
    email, kind = payload.get("email"), payload["event"]
    verdict = SAID.get(kind)
    if kind == "bounce" and payload.get("type") != "blocked":
        verdict = ("unreachable", "bounce")
    if kind == "dropped":
        verdict = DROPPED.get(str(payload.get("reason")))
    if verdict is None or not isinstance(email, str) or "@" not in email:
        return []
    group = payload.get("asm_group_id")
    scopes = ["all"]
    if kind.startswith("group_") and isinstance(group, int):
        scopes = scopes_of(group)
    return [
        Word(
            "email",
            email,
            *verdict,
            source="sendgrid",
            scope=scope,
            event_id=event_id if scope == "all" else f"{event_id}:{scope}",
            occurred_at=time_in(payload.get("timestamp")),
        )
        for scope in scopes
    ]


def uuid_in(value: Any) -> UUID | None:
    """An id of ours, in what somebody else sends back."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
