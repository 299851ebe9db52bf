"""What Twilio calls back about: whose it is, and what comes of it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from hmac import digest
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from connector_samples import ADDRESS, SAMPLES, assembled, signed_by_twilio
from published import vectors
from twilio_client import NUMBER, PHONE

from atlvs.errors import Rejected, Unauthorized
from blocks.twilio_webhooks import Form, asked_in, signed_form

pytest_plugins = ["twilio_fixtures"]
SID = f"SM{'0' * 31}1"
EVENT = SAMPLES["twilio"].event


def verified(fields: Any, url: str = ADDRESS, **headers: str) -> Any:
    body = urlencode(fields, doseq=True).encode()
    given = {**signed_by_twilio(body, url), **headers}
    return assembled("twilio").verify(body, given, url)


def test_published_signatures() -> None:
    cases = vectors("twilio")
    assert len(cases) == 9
    for case in cases:
        body = case.get("body") or urlencode([tuple(pair) for pair in case.get("params", [])])
        kind = "application/json" if "body" in case else "application/x-www-form-urlencoded"
        headers = {
            "x-twilio-signature": case["headers"]["X-Twilio-Signature"],
            "content-type": kind,
        }
        found = signed_form(body.encode(), headers, case["url"], [case["secret"]])
        assert (found is not None) is case["expect"], case["id"]


def test_second_token_verifies_while_rotating() -> None:
    connector = assembled("twilio", auth_tokens="new, token_marked")
    body = urlencode(EVENT).encode()
    assert connector.verify(body, signed_by_twilio(body, ADDRESS), ADDRESS)
    with pytest.raises(Unauthorized):
        assembled("twilio", auth_tokens="new").verify(
            body, signed_by_twilio(body, ADDRESS), ADDRESS
        )


def test_blank_and_repeated_fields_are_signed() -> None:
    blank: dict[str, Any] = {**EVENT, "Empty": "", "Twice": ["b", "a", "b"], "Ü": "ü €"}
    (event,) = verified(blank)
    assert event.type == "message.delivered"
    body = urlencode(EVENT).encode()
    with pytest.raises(Unauthorized):
        assembled("twilio").verify(body + b"&Empty=", signed_by_twilio(body, "https://x"), ADDRESS)


def test_event_is_the_same_in_every_repetition() -> None:
    delivery = str(uuid4())
    url = f"{ADDRESS}&d={delivery}"
    first = verified(EVENT, url, **{"i-twilio-idempotency-token": "a"})
    again = verified(
        EVENT | {"RawDlrDoneDate": "2705021200"}, url, **{"i-twilio-idempotency-token": "b"}
    )
    assert [one.id for one in first] == [one.id for one in again] == [f"{SID}:delivered"]
    assert (first[0].lane, first[0].payload["delivery"]) == (SID, delivery)
    assert verified(EVENT, f"{ADDRESS}&d=nonsense")[0].payload["delivery"] is None


def test_the_address_is_part_of_what_is_signed() -> None:
    body = urlencode(EVENT).encode()
    headers = signed_by_twilio(body, f"{ADDRESS}&d={uuid4()}")
    with pytest.raises(Unauthorized):
        assembled("twilio").verify(body, headers, f"{ADDRESS}&d={uuid4()}")


@pytest.mark.parametrize(
    "settings_header",
    ["key=k,algorithm=HMAC_SHA256", "algorithm=none", "algorithm=hmac_md5,key=x", "algorithm=\xff"],
)
def test_header_does_not_choose_the_algorithm(settings_header: str) -> None:
    with pytest.raises(Unauthorized):
        verified(EVENT, **{"x-twilio-webhooks-signature-settings": settings_header})
    body = urlencode(EVENT).encode()
    text = ADDRESS + "".join(name + value for name, value in sorted(EVENT.items()))
    strong = b64encode(digest(b"token_marked", text.encode(), "sha256")).decode()
    headers = {
        "x-twilio-webhooks-signature-settings": settings_header,
        "x-twilio-signature": strong,
    }
    with pytest.raises(Unauthorized):
        assembled("twilio").verify(body, headers, ADDRESS)


def test_json_is_covered_by_its_hash_or_not_at_all() -> None:
    body = b'{"MessageSid":"%s","MessageStatus":"sent","To":"%s"}' % (SID.encode(), PHONE.encode())
    connector, kind = assembled("twilio"), {"content-type": "application/json; charset=utf-8"}
    url = f"{ADDRESS}&bodySHA256={hashlib.sha256(body).hexdigest()}"
    (event,) = connector.verify(body, signed_by_twilio(b"", url) | kind, url)
    assert event.type == "message.sent"
    for other, address in ((body + b" ", url), (b"\xff", url), (b"", url), (body, ADDRESS)):
        with pytest.raises(Unauthorized):
            connector.verify(other, signed_by_twilio(b"", address) | kind, address)
    listed = b"[1]"
    url = f"{ADDRESS}&bodySHA256={hashlib.sha256(listed).hexdigest()}"
    with pytest.raises(Rejected):
        connector.verify(listed, signed_by_twilio(b"", url) | kind, url)


@pytest.mark.parametrize(
    "address",
    ["http://[::1", "https://a:port/x", "https://a:99999999/x", "nonsense", "", "https://ü/\udcff"],
)
def test_odd_addresses_are_refused_as_ours(address: str) -> None:
    with pytest.raises((Unauthorized, Rejected)):
        assembled("twilio").verify(b"a=b", {"x-twilio-signature": "ü"}, address)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"MessageSid": "SM1"}, "malformed"),
        ({"MessageSid": ""}, "malformed"),
        ({"MessageStatus": "DROP TABLE"}, "malformed"),
        ({"To": "\0"}, "malformed"),
        ({"MessageStatus": "", "SmsStatus": "received", "From": "\0"}, "malformed"),
        ({"AccountSid": "AC2"}, "account_differs"),
        ({"MessageSid": "", "CallSid": f"CA{'0' * 32}"}, "malformed"),
    ],
)
def test_signed_nonsense_is_malformed(change: dict[str, str], code: str) -> None:
    with pytest.raises(Rejected) as told:
        verified(EVENT | change)
    assert told.value.code == code


@pytest.mark.parametrize(
    ("opt_out", "body", "word"),
    [
        ("", "STOP", "stop"),
        ("", " stop. ", "stop"),
        ("", "Stop All!", "stop"),
        ("", "Arrêt", "stop"),
        ("", "unsubscribe", "stop"),
        ("", "start", "start"),
        ("", "Unstop", "start"),
        ("", " Yes\n", "start"),
        ("", "Start 8", None),
        ("", "yes!", None),
        ("", "YES PLEASE", None),
        ("", "Stop 8", "stop"),
        ("", "HELP", None),
        ("", "please stop by at eight", None),
        ("", "s" * 2000, None),
        ("", "", None),
        ("STOP", "no more", "stop"),
        ("START", "hi", "start"),
        ("HELP", "STOP", None),
    ],
)
def test_words_that_end_and_begin(opt_out: str, body: str, word: str | None) -> None:
    assert asked_in(opt_out, body) == word


def test_what_people_write_is_not_kept() -> None:
    fields = {
        "MessageSid": SID,
        "SmsStatus": "received",
        "From": PHONE,
        "To": NUMBER,
        "Body": "my secret",
    }
    (event,) = verified(fields)
    assert (event.id, event.type) == (SID, "reply.received")
    assert "secret" not in str(event)
    assert Form({"a": ["1", "2"]}).first("a") == "1"
