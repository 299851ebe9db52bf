"""Signatures of what Slack sends: v0, over the time and the raw body.

https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import hashlib
import hmac
import time


def signature(secret: str, at: str, body: bytes) -> str:
    signed = b"v0:" + at.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def signed_headers(secret: str, body: bytes) -> dict[str, str]:
    """The time is always the real one: receivers compare it with their own clock."""
    at = str(int(time.time()))
    return {
        "x-slack-request-timestamp": at,
        "x-slack-signature": signature(secret, at, body),
        "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
    }
