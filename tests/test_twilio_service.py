"""The service interface of Twilio: one effect, whatever goes wrong on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sandbox_client import Sandbox
from twilio_client import NUMBER, PHONE, TwilioAccount, until
from twilio_deliveries import words

from atlvs.db.engine import database
from atlvs.errors import Rejected
from blocks.twilio import Twilio
from tasks.notify.draining import drain_notifications
from tasks.twilio import service

pytest_plugins = ["twilio_fixtures"]
NO_BODY = "select count(*) from twilio_messages where raw::text like '%%Doors%%'"


async def sent(connection: Twilio, request: UUID | None = None, **given: Any) -> Any:
    wanted = {"to": PHONE, "message": "Doors open"} | given
    return await service.send_sms.fn(connection, request or uuid4(), **wanted)


async def test_sms_is_sent_once_for_a_request(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Any
) -> None:
    request = uuid4()
    first, again = await sent(twilio, request), await sent(twilio, request)
    assert first == again
    assert first["id"] == first["sid"]
    assert until(twilio_account.counts, lambda each: each == {PHONE: 1})
    await sent(twilio)
    assert until(twilio_account.counts, lambda each: each == {PHONE: 2})
    with pytest.raises(Rejected) as told:
        await sent(twilio, request, message="Something else")
    assert told.value.code == "idempotency_mismatch"
    assert (
        rows("select kind, to_number, status from twilio_messages")
        == [("message", PHONE, "queued")] * 2
    )
    assert rows(NO_BODY) == [(0,)]


@pytest.mark.parametrize("number", ["(415) 555-0123", "4155550123", " +1 415 555 0123 ", PHONE])
async def test_numbers_are_taken_as_people_write_them(
    twilio: Twilio, twilio_account: TwilioAccount, number: str
) -> None:
    assert (await sent(twilio, to=number))["to"] == PHONE


async def test_organizations_country_and_the_callers(twilio: Twilio, org: UUID, rows: Any) -> None:
    rows("insert into integration_notification_settings (org_id, region) values (%s, 'GB')", org)
    assert (await sent(twilio, to="020 7946 0958"))["to"] == "+442079460958"
    assert (await sent(twilio, to="030 12345678", region="de"))["to"] == "+493012345678"
    for wrong in ("abc", "12", "+1 415 555 0123 ext 4"):
        with pytest.raises(Rejected) as told:
            await sent(twilio, to=wrong)
        assert (told.value.code, told.value.field) == ("number_invalid", "to")
        assert wrong not in str(told.value)


async def test_media_makes_an_mms(twilio: Twilio, twilio_account: TwilioAccount) -> None:
    made = await sent(twilio, media_url=["https://example.com/a.png", "https://example.com/b.png"])
    assert (made["sid"][:2], made["num_media"]) == ("MM", "2")


async def test_who_refused_gets_nothing(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Any, org: UUID
) -> None:
    twilio_account.act("reply", **{"from": PHONE, "to": NUMBER, "body": "STOP"})
    before = len(twilio_account.messages())
    for _ in range(2):  # told by Twilio, then known here
        with pytest.raises(Rejected) as told:
            await sent(twilio)
        assert told.value.code == "suppressed"
        assert PHONE[2:] not in str(told.value)
    assert words(rows) == [("sms", PHONE, "refused", "replied STOP")]
    assert len(twilio_account.messages()) == before


async def test_wrong_number_is_remembered(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Any
) -> None:
    twilio_account.act("phone", PHONE, refuse=21614)
    with pytest.raises(Rejected) as told:
        await sent(twilio)
    assert (told.value.code, told.value.field) == ("21614", "to")
    twilio_account.act("phone", PHONE)
    with pytest.raises(Rejected) as told:
        await sent(twilio)
    assert told.value.code == "suppressed"
    assert words(rows) == [("sms", PHONE, "unreachable", "no mobile number")]
    assert twilio_account.counts() == {}


async def test_call_says_or_asks_what_to_do(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Any
) -> None:
    said = await service.make_call.fn(twilio, uuid4(), PHONE, message="Fire <in>\n hall 4 & 5")
    given = await service.make_call.fn(
        twilio, uuid4(), PHONE, twiml="<Response><Say>Evacuate</Say></Response>"
    )
    for made in (said, given):
        twilio_account.over(made["sid"])
    heard = {each["sid"]: each["heard"] for each in twilio_account.control("GET", "heard")}
    assert heard == {said["sid"]: ["Fire <in> hall 4 & 5"] * 2, given["sid"]: ["Evacuate"]}
    asked = await service.make_call.fn(twilio, uuid4(), PHONE, "https://example.com/twiml")
    assert twilio_account.over(asked["sid"])
    for wrong in ({}, {"message": "a", "twiml": "<Response/>"}):
        with pytest.raises(Rejected, match="give one of"):
            await service.make_call.fn(twilio, uuid4(), PHONE, **wrong)
    assert rows("select kind from twilio_messages") == [("call",)] * 3


async def test_scheduled_message_is_cancelled_once(
    twilio: Twilio, twilio_account: TwilioAccount, sandbox: Sandbox
) -> None:
    at = (await database().now() + timedelta(hours=1)).isoformat()
    made = twilio_account.sent(
        MessagingServiceSid=twilio_account.service, ScheduleType="fixed", SendAt=at
    )
    request = uuid4()
    sandbox.fault("reset_after", provider="twilio", method="POST", times=1)
    for _ in range(2):
        gone = await service.cancel_message.fn(twilio, request, made["sid"])
        assert gone["status"] == "canceled"
    with pytest.raises(Rejected, match="no longer be cancelled"):
        await service.cancel_message.fn(twilio, uuid4(), made["sid"])


async def test_messages_are_shown_and_listed(twilio: Twilio, twilio_account: TwilioAccount) -> None:
    made = await sent(twilio)
    other = await sent(twilio, to="+14155550199")
    assert (await service.get_message.fn(twilio, made["sid"]))["body"] == "Doors open"
    listed = await service.list_messages.fn(twilio)
    assert [each["id"] for each in listed["messages"]] == [other["sid"], made["sid"]]
    listed = await service.list_messages.fn(twilio, to="(415) 555-0123", limit=5)
    assert [each["id"] for each in listed["messages"]] == [made["sid"]]
    tomorrow = await database().now() + timedelta(days=1)
    assert (await service.list_messages.fn(twilio, since=tomorrow))["messages"] == []
    with pytest.raises(Rejected) as told:
        await service.get_message.fn(twilio, f"SM{'0' * 32}")
    assert told.value.code == "20404"
    call = await service.make_call.fn(twilio, uuid4(), PHONE, message="Hi")
    assert (await service.get_call.fn(twilio, call["sid"]))["to"] == PHONE


async def test_bulk_raises_one_notification(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Any, org: UUID
) -> None:
    request = uuid4()
    given = [PHONE, "(415) 555-0123", "+14155550199"]
    for _ in range(2):
        raised = await service.send_bulk_sms.fn(twilio, request, given, "Doors open")
        assert set(raised) >= {"id", "state"}
    ((kind, channels, audience, data),) = rows(
        "select type, channels, audience, data from integration_notifications"
    )
    assert (kind, channels, data) == ("announcement", ["sms"], {"message": "Doors open"})
    assert [one["phone"] for one in audience["people"]] == [PHONE, "+14155550199"]
    assert twilio_account.messages() == []
    with pytest.raises(Rejected) as told:
        await service.send_bulk_sms.fn(twilio, uuid4(), [PHONE, "nobody"], "Doors open")
    assert told.value.field == "recipients.1"


async def test_bulk_reaches_everybody_once(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Any, org: UUID
) -> None:
    rows(
        "insert into integration_notification_settings (org_id, quiet_begins, quiet_ends)"
        " values (%s, '0:00', '0:00')",
        org,
    )
    twilio_account.act("phone", PHONE, refuse=21610)
    everybody = [f"+1416555{number:04}" for number in range(100, 130)]
    request = uuid4()
    for _ in range(2):
        await service.send_bulk_sms.fn(twilio, request, [*everybody, PHONE], "Doors open at seven")
        await drain_notifications()
    counts = until(twilio_account.counts, lambda each: len(each) >= 30)
    assert counts == dict.fromkeys(everybody, 1)
    found = rows(
        "select state, code, count(*) from integration_deliveries group by 1, 2 order by 1"
    )
    assert found == [("sent", None, 30), ("suppressed", "21610", 1)]
    assert words(rows) == [("sms", PHONE, "refused", "replied STOP")]


async def test_nothing_of_a_message_is_in_the_audit(twilio: Twilio, rows: Any) -> None:
    await sent(twilio)
    await twilio.wire.flush()
    ((operation, method, status, their_id),) = rows(
        "select operation, method, status, provider_request_id from integration_calls"
    )
    assert (operation, method, status) == ("send_sms", "POST", 201)
    assert their_id.startswith("RQ")
    told = str(rows("select row_to_json(c)::text from integration_calls as c"))
    assert "Doors" not in told
    assert PHONE[2:] not in told
