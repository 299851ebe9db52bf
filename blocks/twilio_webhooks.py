"""What Twilio posts to us: whose it is, and which event stands in it.

https://www.twilio.com/docs/usage/webhooks/webhooks-security · A form is signed with all of its fields,
the blank and the repeated ones too; a JSON body only through its hash in the address.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import orjson
from twilio.request_validator import HMAC_SHA1, RequestValidator, get_signature_algorithm

from atlvs.errors import Rejected, Unauthorized
from atlvs.records import ProviderEvent

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"
MOST_FIELDS = 300
MESSAGE_SID, CALL_SID = re.compile(r"[SM]M[0-9a-fA-F]{32}"), re.compile(r"CA[0-9a-fA-F]{32}")
STATUS = re.compile(r"[a-z][a-z_-]{0,39}")
NUMBER = re.compile(r"[ -~]{0,60}")
# https://www.twilio.com/docs/messaging/guides/opt-out-keywords, and French Canada's word
STOP = frozenset(
    ["STOP", "STOPALL", "UNSUBSCRIBE", "END", "QUIT", "REVOKE", "OPTOUT", "CANCEL", "ARRET"]
)
START = frozenset(["START", "UNSTOP", "YES"])


class Form(dict[str, list[str]]):
    """A form's fields, each with all of its values: what the SDK takes for a multidict."""

    def getall(self, name: str) -> list[str]:
        """All values of a field."""
        return self[name]

    def first(self, name: str) -> str:
        """The first value; "" when there is none."""
        return self.get(name, [""])[0]


def signed_form(
    body: bytes, headers: Mapping[str, str], url: str, tokens: Sequence[str]
) -> Form | None:
    """The fields of a request that one of these tokens signed; None for any other."""
    # Requests signed with a shared key name it, and its algorithm, here. We have none: such a
    # header may neither weaken the check nor choose another one.
    if get_signature_algorithm(headers.get(SETTINGS)) != HMAC_SHA1:
        return None
    signature = headers.get(SIGNATURE) or ""
    try:
        text = body.decode()
        if headers.get("content-type", "").strip().lower().startswith("application/json"):
            if "bodySHA256" not in parse_qs(urlsplit(url).query):
                return None  # nothing covers this body
            return form_in(text) if _signed(url, text, signature, tokens) else None
        form = Form(
            parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
        )
        return form if _signed(url, form, signature, tokens) else None
    except (ValueError, TypeError, IndexError):  # of text, address, signature: not Twilio's
        return None


def _signed(url: str, params: Form | str, signature: str, tokens: Sequence[str]) -> bool:
    return any(RequestValidator(token).validate(url, params, signature) for token in tokens)


def form_in(text: str) -> Form:
    """The text fields of a JSON object; no fields in anything else."""
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Form()
    pairs = told.items() if isinstance(told, dict) else ()
    return Form({name: [value] for name, value in pairs if isinstance(value, str)})


def events_in(form: Form | None, url: str, account_sid: str) -> list[ProviderEvent]:
    """The event of a request; Unauthorized without a signed form, Rejected when it holds none."""
    if form is None:
        raise Unauthorized(
            "twilio", "the webhook's signature is not of this account.", code="signature"
        )
    if form.first("AccountSid") not in ("", account_sid):
        raise Rejected("twilio", "the webhook is of another account.", code="account_differs")
    message, call = form.first("MessageSid"), form.first("CallSid")
    if MESSAGE_SID.fullmatch(message):
        return [_of_message(form, message, url)]
    if CALL_SID.fullmatch(call):
        return [_of_call(form, call, url)]
    raise malformed()


def malformed() -> Rejected:
    """It is signed, and tells nothing that we know."""
    return Rejected("twilio", "the body is of no message and no call.", code="malformed")


def _of_message(form: Form, sid: str, url: str) -> ProviderEvent:
    status = form.first("MessageStatus")
    if not status and form.first("SmsStatus") in ("", "received"):
        return _reply(form, sid)
    return _status(form, "message", sid, status or form.first("SmsStatus"), url)


def _of_call(form: Form, sid: str, url: str) -> ProviderEvent:
    if form.first("Direction") == "inbound":
        return ProviderEvent(f"{sid}:inbound", "call.inbound", sid, {"sid": sid}, None)
    return _status(form, "call", sid, form.first("CallStatus"), url)


def _status(form: Form, kind: str, sid: str, status: str, url: str) -> ProviderEvent:
    """How a message or call stands. Its id is made of what the signature covers, and the same in all
    repetitions: the idempotency token stands in a header that anybody could change."""
    if not STATUS.fullmatch(status) or not NUMBER.fullmatch(form.first("To")):
        raise malformed()
    code = form.first("ErrorCode")
    payload = {
        "sid": sid,
        "kind": kind,
        "status": status,
        "error": int(code) if code.isdecimal() and len(code) < 8 else None,
        "to": form.first("To"),
        "delivery": delivery_in(url),
    }
    return ProviderEvent(
        f"{sid}:{status}", f"{kind}.{status}", sid, payload, moment(form.first("Timestamp"))
    )


def _reply(form: Form, sid: str) -> ProviderEvent:
    """What somebody sent us. Its text is not kept, only what it asks for."""
    if not NUMBER.fullmatch(form.first("From")):
        raise malformed()
    word = asked_in(form.first("OptOutType"), form.first("Body"))
    payload = {"sid": sid, "kind": "reply", "from": form.first("From"), "word": word}
    return ProviderEvent(sid, f"reply.{word or 'received'}", sid, payload, None)


def asked_in(opt_out_type: str, body: str) -> str | None:
    """`stop` or `start`, as Twilio understood it, else as the words that are the whole text say.

    A keyword counts for Twilio when it stands alone. For STOP we are more generous; a START that
    Twilio does not take would open here what stays shut there.
    """
    if opt_out_type:
        word = opt_out_type.upper()
        return {"STOP": "stop", "START": "start"}.get(word)
    if body.strip().upper() in START:
        return "start"
    plain = unicodedata.normalize("NFKD", body[:40]).upper()
    word = "".join(letter for letter in plain if "A" <= letter <= "Z")
    return "stop" if word in STOP and len(body) <= 40 else None


def delivery_in(url: str) -> str | None:
    """Our delivery, which we put into the address that Twilio calls back."""
    given = parse_qs(urlsplit(url).query).get("d", [""])[0]
    try:
        return str(UUID(given)) if given else None
    except ValueError:
        return None


def moment(text: Any) -> datetime | None:
    """A time as Twilio writes it: `Wed, 18 Aug 2027 20:01:14 +0000`."""
    try:
        at = parsedate_to_datetime(text) if text else None
        return at.astimezone(UTC) if at and at.tzinfo else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
