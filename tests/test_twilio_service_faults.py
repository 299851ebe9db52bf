"""The service interface of Twilio while answers get lost: one message, one call."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sandbox_client import Sandbox
from twilio_client import PHONE, TwilioAccount, until

from atlvs.errors import OutcomeUnknown, Unavailable
from blocks.twilio import Twilio
from blocks.wire import patience
from tasks.twilio import service

pytest_plugins = ["twilio_fixtures"]


async def sent(connection: Twilio, request: UUID | None = None) -> Any:
    return await service.send_sms.fn(connection, request or uuid4(), PHONE, "Doors open")


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("500_before", {}),
        ("500_after", {}),
        ("429", {"headers": {"Retry-After": "0"}}),
        ("429", {}),
        ("reset", {}),
        ("reset_after", {}),
        ("truncate", {}),
        ("status", {"status": 502, "body": "<html>Bad gateway</html>"}),
        ("status", {"status": 200, "body": "<html>Welcome to the hotel</html>"}),
        ("status", {"status": 503}),
    ],
)
async def test_each_fault_ends_with_one_message_and_one_call(
    twilio: Twilio, twilio_account: TwilioAccount, sandbox: Sandbox, kind: str, rule: Any
) -> None:
    for path in ("Messages", "Calls"):
        sandbox.fault(kind, provider="twilio", method="POST", path=path, times=1, **rule)
    await sent(twilio)
    await service.make_call.fn(twilio, uuid4(), PHONE, message="Fire in hall 4")
    assert [rule["hits"] for rule in sandbox.control("GET", "faults")] == [1, 1]
    assert until(twilio_account.counts, lambda each: each == {PHONE: 1})
    assert len(twilio_account("GET", "/Calls.json").json()["calls"]) == 1


async def test_not_found_yet_is_unknown_until_it_is_certain(
    twilio: Twilio, twilio_account: TwilioAccount, sandbox: Sandbox
) -> None:
    patience.set(0.0)
    sandbox.fault("reset", provider="twilio", method="POST", times=1)
    request = uuid4()
    with pytest.raises(OutcomeUnknown):
        await sent(twilio, request)
    with pytest.raises(OutcomeUnknown, match="Ask again with the same key") as told:
        await sent(twilio, request)
    assert told.value.retry_after
    await asyncio.sleep(0.6)
    assert await sent(twilio, request)
    assert until(twilio_account.counts, lambda each: each == {PHONE: 1})


async def test_lost_message_is_not_taken_for_an_earlier_one_of_the_same_text(
    twilio: Twilio, twilio_account: TwilioAccount, sandbox: Sandbox
) -> None:
    first = await sent(twilio)
    sandbox.fault("reset", provider="twilio", method="POST", times=1)
    second = await sent(twilio)
    assert first["sid"] != second["sid"]
    assert until(twilio_account.counts, lambda each: each == {PHONE: 2})


async def test_slow_answer_is_waited_for(
    twilio: Twilio, twilio_account: TwilioAccount, sandbox: Sandbox
) -> None:
    sandbox.fault("slow", provider="twilio", method="POST", times=1, seconds=1.5)
    await sent(twilio)
    assert until(twilio_account.counts, lambda each: each == {PHONE: 1})


async def test_outage_is_told_as_one(twilio: Twilio) -> None:
    patience.set(0.0)
    twilio.api_base = "http://127.0.0.1:9"
    with pytest.raises(Unavailable):
        await sent(twilio)
    with pytest.raises(Unavailable):
        await service.get_message.fn(twilio, f"SM{'0' * 32}")
