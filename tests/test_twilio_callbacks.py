"""Callbacks and replies over real sockets, through the receiver to the rows."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hmac import digest
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from sandbox_client import Sandbox
from twilio_client import NUMBER, PHONE, TwilioAccount, until
from twilio_deliveries import states, stored_delivery, words
from twilio_run import full, incremental
from web_client import serving

from atlvs.db import connections, consents
from atlvs.db.engine import database
from atlvs.errors import Rejected
from atlvs.settings import settings
from blocks.base import release
from blocks.twilio import Twilio
from tasks.inbox import drain
from tasks.twilio import SENDERS, SERVICE
from tasks.twilio.fates import word_of_reply

pytest_plugins = ["twilio_fixtures"]
SID = f"SM{'0' * 31}1"


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
    until(lambda: rows("select count(*) from integration_inbox")[0][0], lambda n: n >= number)
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
    one = await stored_delivery(rows, org, attempts=2)  # the second try is the last
    (outcome,) = await SENDERS["sms"].send(twilio, [one])
    await callbacks(rows, 3)
    assert states(rows) == [("undelivered", code, outcome.provider_id)]
    assert [row[:3] for row in words(rows)] == [("sms", PHONE, "unreachable")] * verdict
    rows("update integration_inbox set state = 'waiting', due_at = now()")
    await drained()
    assert len(words(rows)) == verdict


async def test_a_phone_out_of_reach_is_tried_once_more(
    receiving_twilio: str, twilio: Twilio, twilio_account: TwilioAccount, org: UUID, rows: Any
) -> None:
    twilio_account.act("phone", PHONE, fate="unreachable")
    one = await stored_delivery(rows, org)
    (outcome,) = await SENDERS["sms"].send(twilio, [one])
    await callbacks(rows, 3)
    assert states(rows) == [("queued", "30003", None)]
    waits = "select due_at > now() + interval '25 minutes', sent_at, earlier_ids from integration_deliveries"
    assert rows(waits) == [(True, None, [outcome.provider_id])]
    rows("update integration_inbox set state = 'waiting', due_at = now()")
    await drained()
    assert rows(waits) == [(True, None, [outcome.provider_id])]


async def test_where_another_channel_waits_it_is_tried_instead(
    receiving_twilio: str, twilio: Twilio, twilio_account: TwilioAccount, org: UUID, rows: Any
) -> None:
    twilio_account.act("phone", PHONE, fate="unreachable")
    one = await stored_delivery(rows, org)
    behind = '[{"channel": "email", "address": "ada@example.com"}]'
    rows("update integration_deliveries set fallback = %s::jsonb", behind)
    await SENDERS["sms"].send(twilio, [one])
    await callbacks(rows, 3)
    found = "select channel, state from integration_deliveries order by seq"
    assert rows(found) == [("sms", "undelivered"), ("email", "queued")]


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


async def test_an_older_refusal_does_not_outweigh_a_start(twilio: Twilio, rows: Any) -> None:
    now = datetime.now(UTC)
    status = {"kind": "message", "sid": SID, "status": "failed", "error": 21610, "to": PHONE}
    status["delivery"] = None
    reply = {"kind": "reply", "sid": f"SM{'0' * 31}2", "from": PHONE, "word": "start"}
    told = [(f"{SID}:failed", status, 10), (reply["sid"], reply, 5)]
    for event_id, payload, minutes in told:
        rows(
            "insert into integration_inbox (org_id, connection_id, provider, event_id, type, lane, payload,"
            " received_at) values (%s, %s, 'twilio', %s, 'told', %s, %s, %s)",
            *(twilio.connection.org_id, twilio.connection.id, event_id, event_id),
            *(orjson.dumps(payload).decode(), now - timedelta(minutes=minutes)),
        )
    await drained()
    assert rows("select distinct state from integration_inbox") == [("done",)]
    async with database().org(twilio.connection.org_id) as tx:
        assert await consents.refusals(tx, "sms", [PHONE]) == {}


async def test_a_refusal_found_in_the_log_is_as_old_as_its_message(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID, rows: Any, sandbox: Sandbox
) -> None:
    twilio_account.act("phone", PHONE, fate="landline")
    one = await stored_delivery(rows, org, state="unknown")
    sandbox.fault("reset_after", provider="twilio", method="POST", times=1)
    with pytest.raises(Exception, match="no answer"):
        await SENDERS["sms"].send(twilio, [one])
    until(twilio_account.messages, lambda each: each[0]["status"] == "undelivered")
    updated = parsedate_to_datetime(twilio_account.messages()[0]["date_updated"])
    [outcome] = await SENDERS["sms"].look(twilio, [one])
    assert outcome.state == "undelivered"
    assert rows("select verdict, occurred_at from integration_consents") == [
        ("unreachable", updated)
    ]


async def test_stop_binds_the_number_however_it_is_written(
    receiving_twilio: str, twilio: Twilio, twilio_account: TwilioAccount, rows: Any
) -> None:
    london = "+442079460958"
    twilio_account.control(
        "POST", "seed", numbers=[{"number": NUMBER, "sms_url": twilio.webhook_url()}]
    )
    twilio_account.act("reply", **{"from": london, "to": NUMBER, "body": "STOP"})
    await callbacks(rows, 1)
    for written in (london, "+4402079460958", "+44 (0)20 7946 0958"):
        with pytest.raises(Rejected, match="replied STOP"):
            await SERVICE["send_sms"].fn(twilio, uuid4(), written, "Doors open")


async def test_a_stop_that_never_reached_us_is_found_in_the_log(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Any, sandbox: Sandbox
) -> None:
    sandbox.clock(now="2026-05-01T10:00:00Z", frozen=True)
    for body in ("start 8", "STOP", "See you", "Start"):
        twilio_account.act("reply", **{"from": PHONE, "to": NUMBER, "body": body})
        sandbox.clock(advance=60)
    await full()
    assert sorted(words(rows)) == [
        ("sms", PHONE, "allowed", "replied START"),
        ("sms", PHONE, "refused", "replied STOP"),
    ]
    async with database().org(twilio.connection.org_id) as tx:
        assert await consents.refusals(tx, "sms", [PHONE]) == {}
    twilio_account.act("reply", **{"from": PHONE, "to": NUMBER, "body": "unsubscribe"})
    await incremental()
    await incremental()
    await full()
    assert len(words(rows)) == 3
    async with database().org(twilio.connection.org_id) as tx:
        assert PHONE in await consents.refusals(tx, "sms", [PHONE])
    stored = "select count(*) from twilio_messages where raw::text ~* 'unsubscribe|See you'"
    assert rows(stored) == [(0,)]


async def test_a_stop_found_in_the_log_is_the_one_that_was_heard(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Any
) -> None:
    made = twilio_account.act("reply", **{"from": PHONE, "to": NUMBER, "body": "STOP"})
    async with database().org(twilio.connection.org_id) as tx:
        heard = word_of_reply(PHONE, "stop", made["sid"], datetime.now(UTC))
        assert heard
        await consents.record(tx, twilio.connection.org_id, [heard])
    await full()
    assert len(words(rows)) == 1
