"""What Twilio calls back about: whose it is, and what comes of it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from hmac import digest
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

import httpx
import pytest
from connector_samples import ADDRESS, SAMPLES, assembled, signed_by_twilio
from sandbox_client import Sandbox
from twilio_client import NUMBER, PHONE, TwilioAccount, until, vectors
from twilio_deliveries import states, stored_delivery, words
from web_client import serving

from atlvs.db import connections
from atlvs.errors import Rejected, Unauthorized
from atlvs.settings import settings
from blocks.base import release
from blocks.twilio import Twilio
from blocks.twilio_webhooks import Form, asked_in, signed_form
from tasks.inbox import drain
from tasks.twilio import SENDERS

pytest_plugins = ["twilio_fixtures"]
SID = f"SM{'0' * 31}1"
EVENT = SAMPLES["twilio"].event


def verified(fields: Any, url: str = ADDRESS, **headers: str) -> Any:
    body = urlencode(fields, doseq=True).encode()
    given = {**signed_by_twilio(body, url), **headers}
    return assembled("twilio").verify(body, given, url)


def test_published_signatures() -> None:
    cases = [each for each in vectors("vectors.json")["vectors"] if each["service"] == "twilio"]
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


# Over real sockets


async def drained() -> None:
    """All that is in the inbox."""
    await drain(5.0)


@pytest.fixture
async def receiving_twilio(org: UUID, twilio: Twilio, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The web process, where Twilio calls back."""
    with serving() as address:
        monkeypatch.setenv("PUBLIC_BASE_URL", address)
        settings.cache_clear()
        yield address
    await release()


async def callbacks(rows: Any, number: int) -> None:
    until(lambda: rows("select count(*) from integration_inbox")[0][0], lambda n: n >= number, 10)
    await drained()


async def test_callbacks_bring_a_delivery_to_its_end(
    receiving_twilio: str,
    twilio: Twilio,
    twilio_account: TwilioAccount,
    org: UUID,
    rows: Any,
    sandbox: Sandbox,
) -> None:
    sandbox.webhooks(duplicate=1, shuffle=True)
    one = await stored_delivery(rows, org)
    (outcome,) = await SENDERS["sms"].send(twilio, [one])
    await callbacks(rows, 3)
    assert states(rows) == [("delivered", None, outcome.provider_id)]
    assert rows("select event_id from integration_inbox order by 1") == [
        (f"{outcome.provider_id}:{status}",) for status in ("delivered", "queued", "sent")
    ]
    stored = rows("select payload::text from integration_inbox")
    assert all("Rig the lights" not in payload for (payload,) in stored)


@pytest.mark.parametrize(
    ("fate", "code", "verdict"),
    [("landline", "30006", True), ("unknown", "30005", True), ("unreachable", "30003", False)],
)
async def test_failed_delivery_says_why_and_wrong_numbers_are_remembered(
    receiving_twilio: str,
    twilio: Twilio,
    twilio_account: TwilioAccount,
    org: UUID,
    rows: Any,
    fate: str,
    code: str,
    verdict: bool,
) -> None:
    twilio_account.act("phone", PHONE, fate=fate)
    one = await stored_delivery(rows, org)
    (outcome,) = await SENDERS["sms"].send(twilio, [one])
    await callbacks(rows, 3)
    assert states(rows) == [("undelivered", code, outcome.provider_id)]
    assert [row[:3] for row in words(rows)] == [("sms", PHONE, "unreachable")] * verdict
    rows("update integration_inbox set state = 'waiting', due_at = now()")
    await drained()
    assert len(words(rows)) == verdict


async def test_lost_answer_is_settled_by_the_first_callback(
    receiving_twilio: str, twilio: Twilio, org: UUID, rows: Any, sandbox: Sandbox
) -> None:
    one = await stored_delivery(rows, org, state="unknown")
    sandbox.fault("reset_after", provider="twilio", method="POST", times=1)
    with pytest.raises(Exception, match="no answer"):
        await SENDERS["sms"].send(twilio, [one])
    await callbacks(rows, 3)
    ((state, _, sid),) = states(rows)
    assert state == "delivered"
    assert sid


@pytest.mark.parametrize(("answers", "state"), [("human", "delivered"), ("busy", "undelivered")])
async def test_call_that_nobody_heard(
    receiving_twilio: str,
    twilio: Twilio,
    twilio_account: TwilioAccount,
    org: UUID,
    rows: Any,
    answers: str,
    state: str,
) -> None:
    twilio_account.act("phone", PHONE, answers=answers)
    one = await stored_delivery(rows, org, channel="call")
    (outcome,) = await SENDERS["call"].send(twilio, [one])
    await callbacks(rows, 1)
    assert states(rows) == [(state, None, outcome.provider_id)]


async def test_stop_and_start_are_heard(
    receiving_twilio: str, twilio: Twilio, twilio_account: TwilioAccount, org: UUID, rows: Any
) -> None:
    twilio_account.control(
        "POST", "seed", numbers=[{"number": NUMBER, "sms_url": twilio.webhook_url()}]
    )
    for number, body in enumerate(["hello", "STOP", "HELP", "START"], 1):
        twilio_account.act("reply", **{"from": PHONE, "to": NUMBER, "body": body})
        await callbacks(rows, number)
    assert words(rows) == [
        ("sms", PHONE, "refused", "replied STOP"),
        ("sms", PHONE, "allowed", "replied START"),
    ]
    assert rows("select distinct payload ? 'body' from integration_inbox") == [(False,)]


async def test_answer_is_empty_twiml_and_foreign_requests_store_nothing(
    receiving_twilio: str, twilio: Twilio, twilio_account: TwilioAccount, rows: Any
) -> None:
    url = f"{twilio.webhook_url()}?d={uuid4()}&name=J%C3%BCrgen"
    fields = {
        "MessageSid": SID,
        "MessageStatus": "sent",
        "To": PHONE,
        "AccountSid": twilio.account_sid,
    }
    body = urlencode(fields).encode()
    text = url + "".join(name + value for name, value in sorted(fields.items()))
    made = b64encode(digest(twilio_account.token.encode(), text.encode(), "sha1")).decode()
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = httpx.post(url, content=body, headers=kind | {"X-Twilio-Signature": made})
    assert (answer.status_code, answer.content) == (200, b"<Response/>")
    assert answer.headers["content-type"] == "text/xml"
    for changed in (url.replace("name=", "name=x"), url.replace("%C3%BC", quote("u"))):
        answer = httpx.post(changed, content=body, headers=kind | {"X-Twilio-Signature": made})
        assert answer.status_code == 401
    assert len(rows("integration_inbox", "event_id")) == 1


async def test_callbacks_of_nobodys_messages_are_harmless(
    receiving_twilio: str, twilio: Twilio, twilio_account: TwilioAccount, rows: Any, org: UUID
) -> None:
    other = await connections.find("twilio", "default")
    assert other
    twilio_account.sent(StatusCallback=twilio.webhook_url())
    twilio_account.sent(StatusCallback=f"{twilio.webhook_url()}?d={uuid4()}")
    await callbacks(rows, 6)
    assert rows("select distinct state from integration_inbox") == [("done",)]
    assert states(rows) == []
