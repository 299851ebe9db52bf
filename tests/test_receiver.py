"""Webhooks over real sockets: what is stored and what is refused."""

import logging
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import sleep
from typing import Any, ClassVar
from uuid import UUID

import httpx
import orjson
import pytest
from web_client import PATH, connect_receiver, event_body, ids, post, serving, signed

from blocks import CONNECTORS
from blocks.stripe import Stripe

pytest_plugins = ["web_fixtures"]


def test_signed_event_is_in_the_inbox_before_the_answer(
    receiver: str, rows: Any, org: UUID
) -> None:
    body = event_body("evt_1")
    assert post(receiver, body).status_code == 200
    stored = rows(
        "select org_id, provider, event_id, type, lane, state, payload from integration_inbox"
    )
    assert stored == [
        (
            org,
            "stripe",
            "evt_1",
            "payment_intent.succeeded",
            "pi_evt_1",
            "waiting",
            orjson.loads(body),
        )
    ]


@pytest.mark.parametrize(
    "headers",
    [
        signed(event_body("evt_1"), "whsec_wrong"),
        signed(event_body("evt_other")),
        signed(event_body("evt_1"), age=302),
        signed(event_body("evt_1"), age=-310),
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "nonsense"},
        {"Stripe-Signature": "t=,v1="},
        {"Stripe-Signature": "t=1,v1"},
        {"Stripe-Signature": signed(event_body("evt_1"))["Stripe-Signature"].replace("v1", "v0")},
        {"Stripe-Signature": f"t={'9' * 5000},v1=00"},
    ],
)
def test_what_is_not_signed_by_the_endpoint_stores_nothing(
    receiver: str, rows: Any, headers: dict[str, str]
) -> None:
    answer = post(receiver, event_body("evt_1"), {"User-Agent": "x", **headers})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "signature"
    assert ids(rows) == []


def test_signature_with_other_letters_is_refused(receiver: str, rows: Any) -> None:
    body = event_body("evt_1")
    made = signed(body)["Stripe-Signature"].replace("v1=", "v1=\xff")
    headers = [(b"stripe-signature", made.encode("latin-1"))]
    assert httpx.post(receiver + PATH, content=body, headers=headers).status_code == 401
    assert ids(rows) == []


def test_nearly_old_and_second_secret_are_taken(receiver: str, rows: Any) -> None:
    old, rotated = event_body("evt_1"), event_body("evt_2")
    assert post(receiver, old, signed(old, age=290)).status_code == 200
    assert post(receiver, rotated, signed(rotated, "whsec_b")).status_code == 200
    assert ids(rows) == ["evt_1", "evt_2"]


def test_one_of_several_signatures_suffices(receiver: str, rows: Any) -> None:
    body = event_body("evt_1")
    made = signed(body)["Stripe-Signature"].replace(",v1=", f",v1={'0' * 64},v1=")
    assert post(receiver, body, {"Stripe-Signature": made}).status_code == 200
    assert ids(rows) == ["evt_1"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b"null",
        b'{"object":"event","id":"evt_1"}',
        event_body("evt_1", data=None),
        event_body("evt_1", data={"object": []}),
        event_body("evt_1", created="yesterday"),
        event_body("evt_1", created=10**15),
        event_body("evt_1", type=None),
        event_body("", type="x"),
        event_body("evt_1").replace(b'"evt_1"', b"7"),
        event_body("evt_1", object="v2.core.event"),
        b'{"client_secret":' + b"[" * 1000 + b"]" * 1000 + b"}",
    ],
)
def test_malformed_body_signed_rightly_is_refused(receiver: str, rows: Any, body: bytes) -> None:
    answer = post(receiver, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "malformed"
    assert ids(rows) == []


def test_body_that_is_not_text_is_refused(receiver: str, rows: Any) -> None:
    body = b"\xff\xfe"
    assert post(receiver, body, signed(b"x")).status_code == 401
    assert ids(rows) == []


def test_ten_megabytes_are_refused(receiver: str, rows: Any) -> None:
    huge = b"x" * 10_000_000
    assert post(receiver, huge, signed(b"x")).status_code == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    with suppress(httpx.TransportError):  # hung up on while still sending
        assert httpx.post(receiver + PATH, content=chunks(), timeout=20).status_code == 413
    assert post(receiver, event_body("evt_1")).status_code == 200
    assert ids(rows) == ["evt_1"]


def test_declared_ten_megabytes_are_refused_before_they_are_sent(receiver: str) -> None:
    host, port = receiver.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as wire:
        wire.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n".encode()
        )
        assert wire.recv(12) == b"HTTP/1.1 413"


@pytest.mark.parametrize(
    "path",
    [
        "/api/webhooks/stripe/other",
        "/api/webhooks/nobody",
        "/api/webhooks/stripe/a/b",
        "/api/webhooks/stripe/%00",
        "/api/webhooks/stripe/..",
        "/api/webhooks/",
    ],
)
def test_unknown_connection_is_not_found(receiver: str, rows: Any, path: str) -> None:
    answer = post(receiver, event_body("evt_1"), path=path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert ids(rows) == []


def test_other_methods_are_not_allowed(receiver: str) -> None:
    answer = httpx.get(receiver + PATH)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_named_connection_has_its_own_secrets(receiver: str, rows: Any, org: UUID) -> None:
    connect_receiver(org, "second", webhook_secrets="whsec_second")
    body = event_body("evt_1")
    path = f"{PATH}/second"
    assert post(receiver, body, path=path).status_code == 401
    assert post(receiver, body, signed(body, "whsec_second"), path).status_code == 200
    name = "select name from integration_connections c join integration_inbox i on connection_id = c.id"
    assert rows(name) == [("second",)]


def test_connection_made_later_is_found(receiver: str, rows: Any, org: UUID) -> None:
    body, path = event_body("evt_1"), f"{PATH}/late"
    assert post(receiver, body, path=path).status_code == 404
    connect_receiver(org, "late")
    sleep(2.1)
    assert post(receiver, body, path=path).status_code == 200


def test_live_and_test_never_mix(receiver: str, rows: Any, org: UUID) -> None:
    connect_receiver(org, "live", secret_key="sk_live_x")
    live = event_body("evt_live", livemode=True)
    refused = post(receiver, live)
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "mode_differs"
    assert post(receiver, event_body("evt_test"), path=f"{PATH}/live").status_code == 400
    assert ids(rows) == []
    assert post(receiver, live, path=f"{PATH}/live").status_code == 200


def test_the_same_event_many_times_is_one_row(receiver: str, rows: Any) -> None:
    body = event_body("evt_1")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(receiver, body).status_code, range(40)))
    assert answers == [200] * 40
    assert ids(rows) == ["evt_1"]


def test_unknown_type_is_kept(receiver: str, rows: Any) -> None:
    body = event_body("evt_1", type="mystery.happened", data={"object": {}})
    assert post(receiver, body).status_code == 200
    assert rows("integration_inbox", "type", "lane") == [("mystery.happened", "evt_1")]


@pytest.mark.parametrize("spelling", [b"client_secret", b"client\\u005fsecret"])
def test_client_secrets_are_not_kept(receiver: str, rows: Any, spelling: bytes) -> None:
    intent = {"id": "pi_1", "x": [{"client_secret": "pi_1_secret_y"}], "amount": 5}
    body = event_body("evt_1", data={"object": intent}).replace(b"client_secret", spelling)
    assert post(receiver, body).status_code == 200
    ((payload,),) = rows("integration_inbox", "payload")
    assert payload["data"]["object"] == {"id": "pi_1", "x": [{}], "amount": 5}


class Greeting(Stripe):
    """A provider that tries the address first."""

    _block_type_name = "Greeting"
    _block_type_slug = "greeting"
    slug: ClassVar[str] = "stripe"

    def handshake(
        self, method: str, headers: Mapping[str, str], query: str, body: bytes
    ) -> tuple[int, bytes, str] | None:
        token = query.removeprefix("validationToken=")
        return (200, token.encode(), "text/plain") if token != query else None


def test_handshake_is_answered_and_stores_nothing(
    receiving: UUID, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONNECTORS, "stripe", Greeting)
    with serving() as receiver:
        for answer in (
            httpx.post(f"{receiver}{PATH}?validationToken=abc"),
            httpx.get(f"{receiver}{PATH}?validationToken=abc"),
        ):
            assert (answer.status_code, answer.text) == (200, "abc")
        assert post(receiver, event_body("evt_1")).status_code == 200
    assert ids(rows) == ["evt_1"]


def test_metrics_count_webhooks(receiver: str) -> None:
    post(receiver, event_body("evt_1"))
    post(receiver, event_body("evt_2"), signed(b"x"))
    text = httpx.get(f"{receiver}/metrics").text
    assert 'atlvs_webhooks_total{provider="stripe",result="received"}' in text
    assert 'atlvs_webhooks_total{provider="stripe",result="unauthorized"}' in text
    assert 'atlvs_inbox_events{state="waiting"} 1.0' in text


def test_no_secret_and_no_request_is_logged(
    receiver: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "deployments"):
        post(receiver, event_body("evt_1"))
        post(receiver, event_body("evt_1"), signed(b"x"))
    assert [record for record in caplog.records if record.name.startswith("deployments")] == []
