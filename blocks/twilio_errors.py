"""Twilio's answers: what its error codes mean, and what to do about them.

https://www.twilio.com/docs/api/errors
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from atlvs.errors import IntegrationError, OutcomeUnknown, Rejected, Unauthorized, Unavailable
from blocks.wire import Answer, retry_after

Json = dict[str, Any]
MENDS: dict[type[IntegrationError], str] = {
    Unauthorized: "Set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN (or the API key) as the console has them.",
    Unavailable: "Try again later; https://status.twilio.com tells more.",
}


@dataclass(frozen=True)
class Meaning:
    """What an error says, and the parameter that it is about."""

    text: str
    field: str | None = None


# Nothing happened, and the same may work after so many seconds (None: soon).
CALM: dict[int, float | None] = {20429: None, 20503: None, 21611: 60.0}

MEANINGS: dict[int, Meaning] = {
    20003: Meaning("the account SID and its token or API key do not fit together."),
    20008: Meaning("test credentials may only pretend to send."),
    20403: Meaning("the account is not active. See the Twilio console."),
    20404: Meaning("there is no such thing in this account."),
    20429: Meaning("too many requests at once."),
    20503: Meaning("the service is away."),
    21205: Meaning("the address of the TwiML is not valid.", "twiml_url"),
    21210: Meaning("calls may not come from this number: set phone_number to one of the account."),
    21211: Meaning("the number is not valid.", "to"),
    21212: Meaning("the sender is not valid: set phone_number or messaging_service_sid."),
    21214: Meaning("the number cannot be reached.", "to"),
    21215: Meaning("calls to this country are not allowed: allow them in the console.", "to"),
    21216: Meaning("calls to this number are blocked.", "to"),
    21217: Meaning("the number is not valid.", "to"),
    21219: Meaning("a trial account calls verified numbers only: verify it, or upgrade.", "to"),
    21408: Meaning("SMS to this country are not allowed: allow them in the console.", "to"),
    21602: Meaning("the text is empty.", "message"),
    21606: Meaning("the sender cannot send SMS: set phone_number to one of the account that can."),
    21608: Meaning("a trial account sends to verified numbers only: verify it, or upgrade.", "to"),
    21609: Meaning("the address for callbacks is not valid: see PUBLIC_BASE_URL."),
    21610: Meaning("the person replied STOP.", "to"),
    21611: Meaning("the sender's queue is full."),
    21612: Meaning("this sender does not reach this number.", "to"),
    21614: Meaning("the number is no mobile number.", "to"),
    21617: Meaning("the text has more than 1600 characters.", "message"),
    21620: Meaning("the address of the media is not valid.", "media_url"),
    21659: Meaning("the sender is no number of Twilio's: set phone_number."),
    21660: Meaning("the sender belongs to another account: set phone_number."),
    21703: Meaning("the messaging service has no sender for this number: add one in the console."),
    21704: Meaning("the messaging service has no senders: add some in the console."),
    21705: Meaning("there is no such messaging service: set messaging_service_sid."),
    21701: Meaning("there is no such messaging service: set messaging_service_sid."),
    21712: Meaning("the number belongs to another messaging service."),
    30001: Meaning("the sender's queue was full."),
    30002: Meaning("the account was suspended. See the Twilio console."),
    30003: Meaning("the phone is off or out of reach."),
    30004: Meaning("the phone or its carrier blocks the message."),
    30005: Meaning("nobody has this number."),
    30006: Meaning("it is a landline, or a carrier that cannot be reached."),
    30007: Meaning("a carrier filtered the message as unwanted."),
    30008: Meaning("the carrier gave no reason."),
    30032: Meaning("the toll-free number is not verified: verify it in the console."),
    30034: Meaning("the number has no A2P 10DLC campaign: register it in the console."),
    30036: Meaning("it could not be sent in time."),
    30410: Meaning("it can no longer be cancelled."),
}


def meaning_of(code: int | None, status: int) -> Meaning:
    """What an error says; for one that we do not know, where to read it up."""
    if code in MEANINGS:
        return MEANINGS[code]
    if code is None:
        return Meaning(f"answered {status}.")
    return Meaning(f"refused with error {code}: https://www.twilio.com/docs/api/errors/{code}")


def parsed(answer: Answer, *, reading: bool) -> Json:
    """An answer's JSON object; an error answer, or one that cannot be read, raised as ours."""
    try:
        told = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        told = None
    if answer.status >= 400:
        raise refusal(answer.status, told, answer.headers, reading=reading)
    if isinstance(told, dict) and answer.status < 300:
        return told
    kind = Unavailable if reading else OutcomeUnknown
    raise kind("twilio", "the answer was cut off or is not JSON.", code="no_answer")


def refusal(
    status: int, told: Any, headers: Mapping[str, str], *, reading: bool
) -> IntegrationError:
    """An error answer, by what to do next. The text is ours: Twilio's repeats numbers."""
    envelope: Mapping[str, Any] = told if isinstance(told, dict) else {}
    code = envelope.get("code") if isinstance(envelope.get("code"), int) else None
    meaning = meaning_of(code, status)
    facts: dict[str, Any] = {
        "code": str(code) if code else None,
        "field": meaning.field,
        "request_id": headers.get("Twilio-Request-Id"),
        "retry_after": retry_after(headers),
    }
    if status in (401, 403):
        return Unauthorized("twilio", meaning.text, **facts)
    if code in CALM or status == 429:
        facts["retry_after"] = facts["retry_after"] or CALM.get(code or 0)
        return Unavailable("twilio", meaning.text, **facts)
    if status >= 500 and not reading:
        # The message may be on its way: who asked looks before it is sent again.
        facts["code"] = "no_answer"
        return OutcomeUnknown("twilio", meaning.text, **facts)
    kind = Unavailable if status >= 500 else Rejected
    return kind("twilio", meaning.text, **facts)


def mend_for(error: IntegrationError) -> str:
    """What a person does about it."""
    if error.code in ("account_taken", "account_differs"):
        return "Use another connection name."
    return MENDS.get(type(error), "See the message.")
