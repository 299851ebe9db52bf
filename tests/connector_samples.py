"""What tests need to know of each provider. A new provider adds its sample here."""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

import orjson
from sandbox_client import Sandbox
from twilio_client import NUMBER, TwilioAccount

from atlvs.records import Connection
from blocks import CONNECTORS
from blocks.base import DEFAULT, Connector


@dataclass(frozen=True)
class Sample:
    """What tests need to know of a provider: fields that configure it, and how it signs."""

    fields: dict[str, Any]
    base: str  # the field with the address of its API
    event: dict[str, Any]
    signed: Callable[[bytes, str], dict[str, str]]  # the headers for a body and an address
    unsigned: dict[str, str]
    encoded: Callable[[Any], bytes] = orjson.dumps  # an event as the body of a webhook
    account: Callable[[Sandbox], dict[str, Any]] = (
        lambda _: {}
    )  # fields of an account in the sandbox


def signed_by_stripe(body: bytes, url: str) -> dict[str, str]:
    at = int(time())
    digest = hmac.new(b"whsec_marked", b"%d." % at + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={at},v1={digest}"}


def signed_by_twilio(body: bytes, url: str) -> dict[str, str]:
    fields = set(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    signed = url + "".join(name + value for name, value in sorted(fields))
    made = hmac.digest(b"token_marked", signed.encode("utf-8", "replace"), "sha1")
    return {"x-twilio-signature": b64encode(made).decode()}


def account_of_twilio(sandbox: Sandbox) -> dict[str, Any]:
    account = TwilioAccount(sandbox)
    return {"account_sid": account.sid, "auth_tokens": account.token, "phone_number": NUMBER}


ADDRESS = "https://atlvs.test/api/webhooks/any/default?a=%20b"  # where webhooks come to
SAMPLES: dict[str, Sample] = {
    "stripe": Sample(
        fields={
            "secret_key": "sk_test_marked",
            "publishable_key": "pk_test_shown",
            "webhook_secrets": "whsec_marked,whsec_marked_older",
        },
        base="api_base",
        event={
            "id": "evt_1",
            "object": "event",
            "type": "customer.created",
            "created": 1_790_000_000,
            "livemode": False,
            "data": {"object": {"id": "cus_1", "object": "customer"}},
        },
        signed=signed_by_stripe,
        unsigned={"stripe-signature": f"t={int(time())},v1={'0' * 64}"},
        account=lambda sandbox: {"secret_key": sandbox.key},
    ),
    "twilio": Sample(
        fields={
            "account_sid": f"AC{'0' * 31}1",
            "auth_tokens": "token_marked,token_marked_older",
            "phone_number": "+14155550100",
        },
        base="api_base",
        event={
            "MessageSid": f"SM{'0' * 31}1",
            "MessageStatus": "delivered",
            "To": "+14155550123",
            "AccountSid": f"AC{'0' * 31}1",
        },
        signed=signed_by_twilio,
        unsigned={"x-twilio-signature": b64encode(b"0" * 20).decode()},
        encoded=lambda event: urlencode(event).encode(),
        account=account_of_twilio,
    ),
}


def assembled(slug: str, name: str = DEFAULT, **fields: str) -> Connector:
    """A connector of no database."""
    connection = Connection(
        *(uuid4(), uuid4(), slug, name, None, None, True),
        created_at=datetime.now(UTC),
    )
    return CONNECTORS[slug].assembled(connection, SAMPLES[slug].fields | fields)
