"""The forms that make a message and a call. Pure.

https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
https://www.twilio.com/docs/voice/api/call-resource#create-a-call-resource
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from twilio.twiml.voice_response import VoiceResponse

from atlvs.errors import Rejected
from atlvs.notices import notice_type
from atlvs.records import Delivery
from blocks.twilio import Twilio
from tasks.twilio.texts import cut

Fields = list[tuple[str, str]]
LONGEST_TWIML = 4000
RINGS = 40  # seconds; a mailbox answers later in most networks
LASTS = 36_000  # seconds that Twilio keeps trying by itself
CRITICAL_LASTS = 4 * 3600
SHORTEST = 300
# A message is of no use after these moments.
ENDS = ("expires_at", "starts_at")


def message_fields(
    connection: Twilio,
    number: str,
    text: str,
    *,
    d: UUID | None = None,
    media: Sequence[str] = (),
    lasts: int = LASTS,
) -> Fields:
    """An SMS, or an MMS with media. `d`: our delivery, told again in callbacks."""
    if connection.messaging_service_sid:
        sender = ("MessagingServiceSid", connection.messaging_service_sid)
    else:
        sender = ("From", own_number(connection))
    fields = [("To", number), sender, ("Body", text), *(("MediaUrl", url) for url in media)]
    if lasts < LASTS:
        fields.append(("ValidityPeriod", str(lasts)))
    return fields + callback(connection, d)


def call_fields(
    connection: Twilio,
    number: str,
    words: str = "",
    *,
    d: UUID | None = None,
    url: str | None = None,
    twiml: str | None = None,
) -> Fields:
    """A call that says words twice, or does what a TwiML document or its address says."""
    what = ("Url", url) if url else ("Twiml", twiml or said_twice(words))
    if len(what[1]) > LONGEST_TWIML:
        raise Rejected(
            "twilio",
            f"TwiML has at most {LONGEST_TWIML} characters.",
            code="too_long",
            field="twiml",
        )
    fields = [("To", number), ("From", own_number(connection)), what, ("Timeout", str(RINGS))]
    return fields + callback(connection, d)


def own_number(connection: Twilio) -> str:
    """The number to send and to call from."""
    if not connection.phone_number:
        raise Rejected(
            "twilio",
            "there is no number to send from: set phone_number (TWILIO_PHONE_NUMBER).",
            code="not_configured",
        )
    return connection.phone_number


def said_twice(words: str) -> str:
    """TwiML that says it, waits, and says it again; as much of it as TwiML may hold."""
    response = VoiceResponse()
    response.say(words)
    response.pause(length=1)
    response.say(words)
    twiml = str(response)
    return twiml if len(twiml) <= LONGEST_TWIML else said_twice(cut(words, len(words) * 4 // 5))


def callback(connection: Twilio, d: UUID | None = None) -> Fields:
    """Where Twilio tells what became of it, if it can reach us."""
    if not connection.can_be_called_back():
        return []
    query = f"?d={d}" if d else ""
    return [("StatusCallback", f"{connection.webhook_url()}{query}")]


def validity(delivery: Delivery, now: datetime | None) -> int:
    """Seconds for which a message is of use."""
    usual = CRITICAL_LASTS if notice_type(delivery.type).critical else LASTS
    ends = [at for name in ENDS if (at := moment_in(delivery.data.get(name)))]
    if now is None or not ends:
        return usual
    left = int((min(ends) - now).total_seconds())
    return min(usual, max(SHORTEST, left))


def moment_in(value: object) -> datetime | None:
    """An ISO 8601 time with an offset; None for all else."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at and at.tzinfo else None
