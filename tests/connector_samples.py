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
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sandbox_client import Sandbox
from sendgrid_client import Post
from twilio_client import NUMBER, TwilioAccount

from atlvs.records import Connection
from blocks import CONNECTORS
from blocks.base import DEFAULT, Connector


@dataclass(frozen=True)
class Sample:
    """What tests need to know of a provider: fields that configure it, and how it signs.

    Without `base` we call nothing of it, with no secret; an empty `event` is of one that sends none.
    """

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


def signed_by_slack(body: bytes, url: str) -> dict[str, str]:
    at = str(int(time()))
    made = hmac.digest(b"marked", b"v0:%b:%b" % (at.encode(), body), "sha256").hex()
    return {"x-slack-request-timestamp": at, "x-slack-signature": f"v0={made}"}


def signed_by_twilio(body: bytes, url: str) -> dict[str, str]:
    fields = set(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    signed = url + "".join(name + value for name, value in sorted(fields))
    made = hmac.digest(b"token_marked", signed.encode("utf-8", "replace"), "sha1")
    return {"x-twilio-signature": b64encode(made).decode()}


def account_of_twilio(sandbox: Sandbox) -> dict[str, Any]:
    account = TwilioAccount(sandbox)
    return {"account_sid": account.sid, "auth_tokens": account.token, "phone_number": NUMBER}


def private_key_of_sendgrid(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(number, ec.SECP256R1())


def key_of_sendgrid(number: int) -> str:
    public = private_key_of_sendgrid(number).public_key()
    return b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def signed_by_sendgrid(body: bytes, url: str, age: int = 0) -> dict[str, str]:
    at = str(int(time()) - age)
    made = private_key_of_sendgrid(2).sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "x-twilio-email-event-webhook-signature": b64encode(made).decode(),
        "x-twilio-email-event-webhook-timestamp": at,
    }


ADDRESS = "https://atlvs.test/api/webhooks/any/default?a=%20b"  # where webhooks come to
SAMPLES: dict[str, Sample] = {
    "sendgrid": Sample(
        fields={
            "api_key": "SG.marked",
            "from_email": "noreply@example.com",
            "from_name": "ATLVS Platform",
            "webhook_public_key": f"{key_of_sendgrid(1)},{key_of_sendgrid(2)}",
        },
        base="api_base",
        event={
            "email": "ada@example.com",
            "event": "delivered",
            "sg_event_id": "ZGVsaXZlcmVkLTA",
            "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.recvd-1.0",
            "timestamp": 1_790_000_000,
            "atlvs_delivery": "00000000-0000-4000-8000-000000000001",
        },
        signed=signed_by_sendgrid,
        unsigned={
            "x-twilio-email-event-webhook-signature": "MAYCAQECAQE=",
            "x-twilio-email-event-webhook-timestamp": str(int(time())),
        },
        encoded=lambda event: orjson.dumps([event]) + b"\r\n",
        account=lambda sandbox: {"api_key": Post(sandbox.url).key},
    ),
    "slack": Sample(
        fields={
            "bot_token": "xoxb-marked",
            "signing_secrets": "marked,marked_older",
            "app_id": "A0000000001",
            "client_id": "1.2",
            "client_secret": "client_marked",
        },
        base="api_base",
        event={
            "type": "event_callback",
            "team_id": "T0000000001",
            "api_app_id": "A0000000001",
            "event_id": "Ev0000000001",
            "event_time": 1_790_000_000,
            "event": {"type": "user_change", "user": {"id": "U0000000001", "deleted": True}},
        },
        signed=signed_by_slack,
        unsigned={
            "x-slack-request-timestamp": str(int(time())),
            "x-slack-signature": f"v0={'0' * 64}",
        },
        account=lambda _: {"bot_token": f"xoxb-sandbox-{uuid4().hex}"},
    ),
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
    "zapier": Sample(
        fields={"app_url": "https://zapier.com/developer/public-invite/1/shown/"},
        base="",
        event={},
        signed=lambda body, url: {"x-zapier-signature": "0" * 64},
        unsigned={"x-zapier-signature": "0" * 64},
    ),
}
CALLED = sorted(slug for slug, sample in SAMPLES.items() if sample.base)  # with a secret
RECEIVING = sorted(slug for slug, sample in SAMPLES.items() if sample.event)  # webhooks


def assembled(slug: str, name: str = DEFAULT, **fields: str) -> Connector:
    """A connector of no database."""
    connection = Connection(
        *(uuid4(), uuid4(), slug, name, None, None, True),
        created_at=datetime.now(UTC),
    )
    return CONNECTORS[slug].assembled(connection, SAMPLES[slug].fields | fields)
