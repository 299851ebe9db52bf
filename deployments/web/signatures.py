"""Signed requests: `X-Atlvs-Timestamp`, and `X-Atlvs-Signature: v1,<base64 HMAC-SHA256>`.

The message is `<timestamp>.<METHOD>.<path with ?query as sent>.` and the raw body; the key is the
secret's own bytes. Several signatures may stand there, divided by spaces.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from time import time

from deployments.web.asgi import Scope
from deployments.web.failures import Failure

TOLERANCE = 300  # seconds that the clocks may be apart
MOST = 10  # signatures of one request
TIMESTAMP, SIGNATURE = "x-atlvs-timestamp", "x-atlvs-signature"


def signature(secret: str, timestamp: str, method: str, target: bytes, body: bytes) -> str:
    """One signature. `target` is the path with its query as it stands in the request line."""
    message = f"{timestamp}.{method}.".encode() + target + b"." + body
    return f"v1,{b64encode(hmac.digest(secret.encode(), message, hashlib.sha256)).decode()}"


def check(secret: str, scope: Scope, headers: Mapping[str, str], body: bytes) -> str:
    """The signature that fits; a Failure unless the request is signed with the secret, and now."""
    timestamp, given = headers.get(TIMESTAMP), headers.get(SIGNATURE)
    if not timestamp or not given:
        text = "This key signs its requests: send X-Atlvs-Timestamp and X-Atlvs-Signature."
        raise refused("signature_missing", text)
    wanted = signature(secret, timestamp, scope["method"], target_of(scope), body)
    # all are compared, so that the time taken tells nothing
    fits = [hmac.compare_digest(one.encode(), wanted.encode()) for one in given.split()[:MOST]]
    if not any(fits) or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        text = "The signature is not that of this request: its secret, time, method, path or body differ."
        raise refused("signature_invalid", text)
    if abs(time() - int(timestamp)) > TOLERANCE:
        text = f"X-Atlvs-Timestamp is more than {TOLERANCE} seconds away from our clock."
        raise refused("signature_expired", text)
    return wanted


def target_of(scope: Scope) -> bytes:
    """Path and query as they were sent."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


def refused(code: str, message: str) -> Failure:
    """The request is not let in."""
    return Failure(401, code, message)
