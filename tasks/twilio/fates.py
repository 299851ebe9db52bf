"""What Twilio's states and errors mean for a delivery, and for the number that it went to. Pure.

https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks
"""

from datetime import datetime
from uuid import UUID

from atlvs.records import Outcome, Word
from blocks.twilio_errors import meaning_of

# Messages and calls; a state that we do not know yet moves nothing.
STATES = {
    "accepted": "sent",
    "scheduled": "sent",
    "queued": "sent",
    "sending": "sent",
    "sent": "sent",
    "delivered": "delivered",
    "partially_delivered": "delivered",
    "read": "opened",
    "undelivered": "undelivered",
    "failed": "failed",
    "canceled": "cancelled",
    "initiated": "sent",
    "ringing": "sent",
    "in-progress": "sent",
    "completed": "delivered",
    "busy": "undelivered",
    "no-answer": "undelivered",
}
FINAL = frozenset(
    name for name, state in STATES.items() if state != "sent"
)  # and `sent`, where a carrier gives no receipts
# What an error says of the number. Whoever is unreachable or refuses is not tried again.
VERDICTS: dict[int, tuple[str, str]] = {
    21610: ("refused", "replied STOP"),
    21211: ("unreachable", "invalid number"),
    21217: ("unreachable", "invalid number"),  # of calls
    21614: ("unreachable", "no mobile number"),
    30005: ("unreachable", "unknown number"),
    30006: ("unreachable", "landline or unreachable carrier"),
}
AGAIN: dict[int, float] = {21611: 300.0, 30001: 300.0}  # a full queue: seconds until it may work
MOST_TRIES = 50
ONCE_AGAIN: dict[int, float] = {30003: 1800.0, 30008: 1800.0}  # off or lost: tried once more


def outcome_of(
    delivery: UUID,
    sid: str,
    status: str,
    error: int | None,
    at: datetime | None = None,
    segments: int | None = None,
) -> Outcome | None:
    """What a state says of a delivery; None when it says nothing that we know."""
    state = STATES.get(status)
    if state is None:
        return None
    if error is not None and VERDICTS.get(error, ("", ""))[0] == "refused":
        state = "suppressed"
    code = str(error) if error is not None else None
    reason = meaning_of(error, 0).text if error is not None else unanswered(status)
    return Outcome(delivery, state, sid, code=code, reason=reason, at=at, segments=segments)


def unanswered(status: str) -> str | None:
    """Why nobody heard a call."""
    return {"busy": "the line was busy.", "no-answer": "nobody answered."}.get(status)


def refused_outcome(delivery: UUID, code: str | None, text: str) -> Outcome:
    """A message that Twilio did not take."""
    error = int(code) if code and code.isdecimal() else 0
    verdict = VERDICTS.get(error, ("", ""))[0]
    state = "suppressed" if verdict == "refused" else "failed"
    return Outcome(delivery, state, code=code, reason=text)


def later(error: int | None, attempts: int) -> float | None:
    """Seconds until a message that failed may be sent again; None when it must not be."""
    if error is None:
        return None
    if attempts >= MOST_TRIES:
        return None
    return AGAIN.get(error) or (ONCE_AGAIN.get(error) if attempts <= 1 else None)


def word_of(
    channel: str, number: str, sid: str, error: int | None, at: datetime | None = None
) -> Word | None:
    """What an error says of the number it happened to."""
    if error not in VERDICTS or not number:
        return None
    verdict, reason = VERDICTS[error]
    event = f"{sid}:{error}"
    return Word(channel, number, verdict, reason, "twilio", event_id=event, occurred_at=at)


def word_of_reply(number: str, asked: str | None, sid: str, at: datetime) -> Word | None:
    """What somebody asked for in a message to us."""
    if asked is None or not number:
        return None
    verdict = "refused" if asked == "stop" else "allowed"
    reason = f"replied {asked.upper()}"
    return Word("sms", number, verdict, reason, "twilio", event_id=sid, occurred_at=at)
