"""SendGrid in tests: an account of the sandbox, over plain HTTP, every answer judged."""

from __future__ import annotations

import secrets
import time
from base64 import b64decode
from typing import Any

import orjson
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from sandbox_client import Sandbox
from sendgrid_description import check_answer, check_request
from webhook_listener import Listener

Json = dict[str, Any]
SENDER = "noreply@example.com"
WELCOME = {
    "name": "Welcome",
    "versions": [{"subject": "Hi {{name}}", "html_content": "<p>{{#if vip}}VIP{{/if}} {{seat}}"}],
}


def new_key(account: str | None = None) -> str:
    return f"SG.{account or secrets.token_urlsafe(16)}.{secrets.token_urlsafe(32)}"


class Post(Sandbox):
    """The sandbox with one SendGrid account, which may send as `SENDER`."""

    def __init__(self, url: str) -> None:
        super().__init__(url, new_key())
        self.sow(senders=[SENDER])

    @property
    def account(self) -> str:
        return self.key.split(".")[1]

    def sow(self, **wanted: Any) -> Json:
        return self.control("POST", "sendgrid/seed", {"key": self.key, **wanted})

    def ask(self, what: str, **given: Any) -> Any:
        return self.control("GET", f"sendgrid/{what}", key=self.key, **given)

    def tell(self, what: str, **given: Any) -> Any:
        return self.control("POST", f"sendgrid/{what}", {"key": self.key, **given})

    def act(self, action: str, identifier: str = "", **given: Any) -> Json:
        return self.tell("act", action=action, id=identifier, **given)

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Json | None = None,
        key: str | None = None,
        **headers: str,
    ) -> requests.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent.setdefault("Authorization", f"Bearer {key or self.key}")
        answer = self.session.request(
            method, f"{self.base('sendgrid')}/v3/{path}", json=body, params=query, headers=sent
        )
        if answer.status_code < 400:
            check_request(method, f"/v3/{path}", query or {}, body)
        check_answer(method, f"/v3/{path}", answer.status_code, answer.content)
        return answer

    def send(self, *to: str, **fields: Any) -> requests.Response:
        """One personalization for each address."""
        return self("POST", "mail/send", mail_to(*to, **fields))

    def hook(self, url: str, **fields: Any) -> Json:
        """A signed webhook for every event; its id and public key."""
        return self.sow(webhooks=[{"url": url, **fields}])["webhooks"][0]


def mail_to(*to: str, **fields: Any) -> Json:
    body: Json = {
        "from": {"email": SENDER},
        "personalizations": [{"to": [{"email": each}]} for each in to],
        "subject": "Doors at eight",
        "content": [{"type": "text/plain", "value": "See you."}],
    } | fields
    return {name: value for name, value in body.items() if value is not None}


def errors_of(answer: requests.Response) -> list[tuple[int, str | None, str]]:
    return [
        (answer.status_code, each.get("field"), each["message"]) for each in answer.json()["errors"]
    ]


def events_in(received: list[tuple[bytes, dict[str, str]]]) -> list[Json]:
    return [event for body, _ in received for event in orjson.loads(body)]


def wait_for_events(listener: Listener, count: int, seconds: float = 60) -> list[Json]:
    until = time.monotonic() + seconds
    while len(events := events_in(listener.received)) < count:
        assert time.monotonic() < until, f"{len(events)} of {count} events came"
        time.sleep(0.01)
    return events


def verify(public_key: str, body: bytes, headers: dict[str, str]) -> None:
    """Raises InvalidSignature."""
    key = load_der_public_key(b64decode(public_key))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    at = headers["x-twilio-email-event-webhook-timestamp"].encode()
    signature = b64decode(headers["x-twilio-email-event-webhook-signature"])
    key.verify(signature, at + body, ec.ECDSA(hashes.SHA256()))
