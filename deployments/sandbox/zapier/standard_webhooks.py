"""Whether a webhook is signed as Standard Webhooks say.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping

TOLERANCE = 300
PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """With this secret, within five minutes of now; one fitting signature of several is enough."""
    identifier = headers.get("webhook-id", "")
    at = headers.get("webhook-timestamp", "")
    if not identifier or not at.isascii() or not at.isdecimal() or abs(now - int(at)) > TOLERANCE:
        return False
    signed = f"{identifier}.{at}.".encode("latin-1") + body
    expected = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(expected, each) for each in _symmetric(given))


def _symmetric(signatures: Iterable[str]) -> Iterable[bytes]:
    """Those of version 1; others are of kinds that this secret does not make."""
    for each in signatures:
        version, _, encoded = each.partition(",")
        if version == "v1":
            try:
                yield base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                continue
