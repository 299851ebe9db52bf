# pyright: reportOptionalSubscript=false, reportOptionalOperand=false, reportArgumentType=false
"""The simulated Twilio as the official library sees it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sandbox_client import Sandbox
from twilio_client import NUMBER, PHONE, TwilioAccount, params_of, until
from webhook_listener import Listener

pytest.importorskip("twilio", reason="the official library is not installed")

from twilio.base.exceptions import TwilioRestException  # noqa: E402
from twilio.http.http_client import TwilioHttpClient  # noqa: E402
from twilio.request_validator import RequestValidator  # noqa: E402
from twilio.rest import Client  # noqa: E402
from twilio.twiml.voice_response import VoiceResponse  # noqa: E402


@pytest.fixture
def account(sandbox: Sandbox) -> TwilioAccount:
    return TwilioAccount(sandbox)


@pytest.fixture
def client(account: TwilioAccount) -> Client:
    client = Client(account.sid, account.token, http_client=TwilioHttpClient(timeout=10))
    client.api.base_url = client.messaging.base_url = account.sandbox.base("twilio")
    return client


def test_library_sends_follows_and_lists(
    account: TwilioAccount, client: Client, listener: Listener
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    made = client.messages.create(
        to=PHONE, from_=NUMBER, body="Curtain up", status_callback=listener.url + "?m=1"
    )
    assert (made.status, made.num_segments, made.price) == ("queued", "1", None)
    until(lambda: client.messages(made.sid).fetch().status, lambda each: each == "delivered")
    (found,) = client.messages.list(to=PHONE, date_sent_after=before, limit=5)
    assert (found.sid, found.body, found.date_sent >= before) == (made.sid, "Curtain up", True)
    validator = RequestValidator(account.token)
    for body, headers in listener.wait(3):
        signed = headers["x-twilio-signature"]
        assert validator.validate(listener.url + "?m=1", params_of(body), signed)
        assert not validator.validate(listener.url + "?m=2", params_of(body), signed)


def test_library_pages_through_thousands(account: TwilioAccount, client: Client) -> None:
    account.control("POST", "seed", messages=2500)
    sids = [each.sid for each in client.messages.stream(page_size=1000)]
    assert len(set(sids)) == len(sids) == 2500
    assert len(client.messages.list(limit=7)) == 7


def test_library_checks_account_numbers_and_services(
    account: TwilioAccount, client: Client
) -> None:
    assert client.api.v2010.accounts(account.sid).fetch().status == "active"
    assert client.incoming_phone_numbers.list(phone_number=NUMBER)[0].capabilities["sms"]
    service = client.messaging.v1.services(account.service).fetch()
    assert service.friendly_name == "alerts"
    assert len(service.phone_numbers.list()) == 2
    assert [each.sid for each in client.messaging.v1.services.list()] == [service.sid]


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"to": "12"}, 400, 21211),
        ({"body": "x" * 1601}, 400, 21617),
        ({"from_": "+14155559999"}, 400, 21659),
    ],
)
def test_library_knows_the_refusals(
    client: Client, wanted: dict[str, Any], status: int, code: int
) -> None:
    with pytest.raises(TwilioRestException) as caught:
        client.messages.create(**({"to": PHONE, "from_": NUMBER, "body": "x"} | wanted))
    assert (caught.value.status, caught.value.code) == (status, code)
    assert caught.value.msg.startswith("Unable to create record: ")


def test_library_calls(account: TwilioAccount, client: Client) -> None:
    voice = VoiceResponse()
    voice.say("Fire & smoke in hall <4>")
    made = client.calls.create(to=PHONE, from_=NUMBER, twiml=str(voice))
    until(lambda: client.calls(made.sid).fetch().status, lambda each: each == "completed")
    assert account.control("GET", "heard")[0]["heard"] == ["Fire & smoke in hall <4>"]


def test_library_schedules_and_cancels(account: TwilioAccount, client: Client) -> None:
    made = client.messages.create(
        to=PHONE,
        messaging_service_sid=account.service,
        body="later",
        schedule_type="fixed",
        send_at=datetime.now(UTC) + timedelta(hours=1),
    )
    assert made.status == "scheduled"
    assert client.messages(made.sid).update(status="canceled").status == "canceled"
