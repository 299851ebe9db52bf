"""One call of the API, or of the outside world, and the events it causes."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from deployments.sandbox.deliveries import Delivery, Sign
from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.fields import previous
from deployments.sandbox.stripe.tables import Object, encoded


@dataclass(slots=True)
class Call:
    account: Account
    params: Object = field(default_factory=dict)
    path: dict[str, str] = field(default_factory=dict)
    request_id: str | None = None
    idempotency_key: str | None = None

    def create(self, thing: Object, event: str | None = None) -> Object:
        self.account.put(thing)
        if event:
            self.emit(event, thing)
        return thing

    def update(self, before: Object, after: Object, *events: str) -> Object:
        """Save, and emit; an `*.updated` event needs a change and says what it was."""
        self.account.put(after)
        changed = previous(before, after)
        for event in events:
            if not event.endswith(".updated"):
                self.emit(event, after)
            elif changed:
                self.emit(event, after, changed)
        return after

    def emit(self, kind: str, thing: Object, changed: Object | None = None) -> Object:
        """Store the event, and send it to every endpoint that wants it."""
        account = self.account
        endpoints = list(_wanting(account, kind))
        event = account.blank(
            "event",
            api_version=account.api_version,
            data={"object": thing},
            pending_webhooks=len(endpoints),
            request={"id": self.request_id, "idempotency_key": self.idempotency_key},
            type=kind,
        )
        if changed is not None:
            event["data"]["previous_attributes"] = changed
        if account.muted:
            return event
        account.put(event)
        for endpoint in endpoints:
            _send(account, endpoint, event)
        return event


def _wanting(account: Account, kind: str) -> Iterator[Object]:
    for endpoint in account.tables["webhook_endpoint"].all():
        wanted = endpoint["enabled_events"]
        if endpoint["status"] == "enabled" and ("*" in wanted or kind in wanted):
            yield endpoint


def _send(account: Account, endpoint: Object, event: Object) -> None:
    shown = event | {"api_version": endpoint["api_version"] or account.api_version}
    account.world.dispatcher.enqueue(
        Delivery(
            provider="stripe",
            url=endpoint["url"],
            kind=event["type"],
            key=event["id"],
            # Indented like the real ones: whoever verifies re-serialised JSON finds out.
            body=encoded(shown, orjson.OPT_INDENT_2),
            sign=_signer(account, endpoint["id"]),
            account=account.name,
            delivered=lambda: _delivered(account, event["id"]),
        )
    )


def _signer(account: Account, endpoint: str) -> Sign:
    def sign(body: bytes) -> dict[str, str]:
        return {
            "stripe-signature": signature(account.hidden[endpoint]["secrets"], body),
            "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }

    return sign


def signature(secrets: list[str], body: bytes, at: int | None = None) -> str:
    """`t=…,v1=…`, with one v1 for each secret that is valid.

    The time is always the real one: receivers compare it with their own clock.
    https://docs.stripe.com/webhooks#verify-manually
    """
    at = at or int(time.time())
    payload = f"{at}.".encode() + body
    made = [hmac.new(s.encode(), payload, hashlib.sha256).hexdigest() for s in secrets]
    return ",".join([f"t={at}", *(f"v1={each}" for each in made)])


def _delivered(account: Account, identifier: str) -> None:
    event: Any = account.find("event", identifier)
    if event is not None and event["pending_webhooks"]:
        account.put(event | {"pending_webhooks": event["pending_webhooks"] - 1})
