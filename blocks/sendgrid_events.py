"""SendGrid's event webhook: whether a batch is signed, and the events in it.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

import binascii
import hashlib
import re
from base64 import b64decode
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from atlvs.errors import Rejected
from atlvs.records import ProviderEvent

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
# Refused deliveries are sent again for a day. A replay is harmless: events are stored once by their id.
OLDEST, FARTHEST = 25 * 3600, 300
FOREVER = 253_402_300_800  # the year 10000, where datetime ends
# What an event is kept with: no IP address, no user agent, no link that somebody clicked.
KEPT = {
    *("event", "email", "timestamp", "sg_message_id", "reason", "response", "status", "type"),
    *("asm_group_id", "attempt", "bounce_classification", "sg_machine_open"),
    *("atlvs_delivery", "atlvs_call", "atlvs_org", "atlvs_request"),
}


@lru_cache(maxsize=64)
def public_key(text: str) -> ec.EllipticCurvePublicKey | None:
    """A verification key as SendGrid shows it: base64 of its DER form; None when it is none."""
    try:
        loaded = load_der_public_key(b64decode(text, validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return loaded if isinstance(loaded, ec.EllipticCurvePublicKey) else None


def is_signed(body: bytes, signature: str, at: str, keys: list[str]) -> bool:
    """Whether any key signed exactly these bytes, at a time that may be."""
    if not re.fullmatch(r"[0-9]{1,12}", at) or not -FARTHEST <= time() - int(at) <= OLDEST:
        return False
    try:
        given = b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return any(_fits(key, given, at.encode() + body) for key in map(public_key, keys) if key)


def _fits(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def events_from(body: bytes) -> list[ProviderEvent]:
    """The events of a batch; Rejected when it is none."""
    try:
        listed = orjson.loads(body)
        if isinstance(listed, list):
            return [event_from(one) for one in listed]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        pass
    raise Rejected("sendgrid", "the body is not a batch of events.", code="malformed")


def event_from(event: dict[str, Any]) -> ProviderEvent:
    """One event as a hint, in the lane of its message. SendGrid tells many of them twice."""
    kind = event["event"]
    if not isinstance(kind, str) or not kind:
        raise TypeError("an event has a name")
    payload = {name: value for name, value in event.items() if name in KEPT and is_plain(value)} | {
        "event": kind
    }
    known = event.get("sg_event_id")
    email = payload.get("email")
    lane = payload.get("atlvs_delivery") or payload.get("atlvs_request") or email or "account"
    return ProviderEvent(
        id=known[:200] if isinstance(known, str) and known else digest(event),
        type=kind[:100],
        lane=str(lane).lower()[:320],
        payload=payload,
        occurred_at=time_in(event.get("timestamp")),
    )


def time_in(value: Any) -> datetime | None:
    """A time as SendGrid tells it: seconds since 1970."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < FOREVER:
        return None
    return datetime.fromtimestamp(value, UTC)


def is_plain(value: Any) -> bool:
    """Whether a field of an event is what such fields are: a text or a number."""
    return isinstance(value, str | int | float)


def digest(event: dict[str, Any]) -> str:
    """An id for an event that has none: the same for the same event."""
    return hashlib.sha256(orjson.dumps(event, option=orjson.OPT_SORT_KEYS)).hexdigest()
