"""The sandbox's webhooks: signed, retried, doubled, shuffled and lost."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
import stripe
from sandbox_client import Sandbox
from stripe_fixtures import Caller, events_in
from webhook_listener import Listener

DAY = 86_400


def test_deliveries_come_twice_and_out_of_order(
    sandbox: Sandbox, call: Caller, endpoint: dict[str, Any], listener: Listener
) -> None:
    sandbox.webhooks(paused=True)
    for _ in range(6):
        call.payment()
    assert not listener.received
    assert sandbox.webhooks()["waiting"] == 18
    attempts = sandbox.flush(duplicate=1, shuffle=True, types=["charge.succeeded"])
    assert [each["status"] for each in attempts] == [200] * 12
    ids = [event["id"] for event in events_in(listener.received)]
    assert set(Counter(ids).values()) == {2}
    made = [e["id"] for e in reversed(sandbox.dump("event")) if e["type"] == "charge.succeeded"]
    assert list(dict.fromkeys(ids)) != made
    assert sandbox.webhooks()["waiting"] == 12


def test_deliveries_are_dropped_and_found_by_the_events_api(
    sandbox: Sandbox, call: Caller, endpoint: dict[str, Any], listener: Listener
) -> None:
    sandbox.webhooks(drop_types=["charge.succeeded"])
    call.payment()
    listener.wait(2)
    time.sleep(0.1)
    lost = call("GET", "/v1/events", {"delivery_success": "false"}).json()["data"]
    assert [each["type"] for each in lost] == ["charge.succeeded"]
    assert len(call("GET", "/v1/events", {"delivery_success": "true"}).json()["data"]) == 2


def test_failed_deliveries_are_tried_again(
    sandbox: Sandbox, call: Caller, endpoint: dict[str, Any], listener: Listener
) -> None:
    sandbox.webhooks(backoff=0.05)
    listener.answer_with(500, 302)
    call.customer()
    listener.wait(3)
    attempts = sandbox.wait_for_webhooks(3)
    assert [(each["attempt"], each["status"]) for each in attempts] == [
        (1, 500),
        (2, 302),
        (3, 200),
    ]
    assert len({event["id"] for event in events_in(listener.received)}) == 1


def test_rotated_secrets_sign_twice(
    sandbox: Sandbox, call: Caller, endpoint: dict[str, Any], listener: Listener
) -> None:
    new = sandbox.rotate_secret(endpoint["id"])
    call.customer()
    ((body, headers),) = listener.wait(1)
    signed = headers["stripe-signature"]
    assert signed.count("v1=") == 2
    for secret in (endpoint["secret"], new):
        assert stripe.WebhookSignature.verify_header(body.decode(), signed, secret, 300)
    sandbox.rotate_secret(endpoint["id"], keep_old=False)
    call.customer()
    body, headers = listener.wait(2)[1]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body.decode(), headers["stripe-signature"], new, 300)


def test_nothing_is_sent_off_the_machine(sandbox: Sandbox, call: Caller) -> None:
    given = {"url": "https://example.com/hook", "enabled_events[]": "customer.created"}
    call("POST", "/v1/webhook_endpoints", given)
    call.customer()
    assert sandbox.wait_for_webhooks(1)[0]["outcome"] == "outside"


def test_any_event_can_be_emitted_by_hand(
    sandbox: Sandbox, call: Caller, endpoint: dict[str, Any], listener: Listener
) -> None:
    made = call.customer()
    sandbox.emit("invoice.upcoming", made["id"])
    assert events_in(listener.wait(2))[1]["data"]["object"]["id"] == made["id"]
