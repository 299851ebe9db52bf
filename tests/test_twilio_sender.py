"""The fan-out's SMS and calls against the simulated Twilio: sent once, and known what became of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from twilio_client import NUMBER, PHONE, TwilioAccount, until
from twilio_deliveries import aged, delivery, fields_of, stored_delivery, words

from atlvs.db import connections, deliveries
from atlvs.db.engine import database
from atlvs.errors import OutcomeUnknown, Rejected, Unauthorized, Unavailable
from atlvs.records import Outcome
from blocks.twilio import Twilio
from tasks.twilio import SENDERS

pytest_plugins = ["twilio_fixtures"]
SMS, CALL = SENDERS["sms"], SENDERS["call"]
TEXT = "Task for you: Rig the lights. https://atlvs.test/t/1"


async def advance(org: UUID, outcomes: list[Outcome]) -> None:
    async with database().org(org) as tx:
        await deliveries.advance(tx, outcomes)


async def test_sms_arrives_as_the_types_text(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID
) -> None:
    one = delivery(org)
    SMS.check(twilio, one)
    await SMS.turn(twilio, [one])
    (outcome,) = await SMS.send(twilio, [one])
    assert (outcome.delivery, outcome.state) == (one.id, "sent")
    (got,) = until(twilio_account.received, bool)
    assert (got["body"], got["to"], got["from"], got["sid"]) == (
        *(TEXT, PHONE, NUMBER),
        outcome.provider_id,
    )


async def test_twilio_is_told_where_to_call_back(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID, sandbox: Sandbox
) -> None:
    one = delivery(
        org, "event_reminder", data={"event_name": "Gala", "starts_at": "2020-01-01T10:00:00Z"}
    )
    await SMS.send(twilio, [one])
    (asked,) = sandbox.requests(provider="twilio", account=twilio_account.sid)
    assert asked["params"]["StatusCallback"] == f"{twilio.webhook_url()}?d={one.id}"
    assert asked["params"]["ValidityPeriod"] == "300"


async def test_service_is_preferred_to_the_number(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID
) -> None:
    twilio.messaging_service_sid = twilio_account.service
    (outcome,) = await SMS.send(twilio, [delivery(org)])
    made = twilio_account.final(str(outcome.provider_id))
    assert made["messaging_service_sid"] == twilio_account.service


async def test_call_says_it_twice_without_the_link(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID
) -> None:
    one = delivery(org, channel="call")
    await CALL.turn(twilio, [one])
    (outcome,) = await CALL.send(twilio, [one])
    assert outcome.state == "sent"
    twilio_account.over(str(outcome.provider_id))
    (heard,) = twilio_account.control("GET", "heard")
    assert heard["heard"] == ["Task for you: Rig the lights."] * 2


@pytest.mark.parametrize(
    ("refuse", "state", "verdict"),
    [
        (21610, "suppressed", "refused"),
        (21211, "failed", "unreachable"),
        (21614, "failed", "unreachable"),
        (21612, "failed", None),
        (21408, "failed", None),
        (21606, "failed", None),
        (21608, "failed", None),
    ],
)
async def test_refusals_are_outcomes_and_words(
    twilio: Twilio,
    twilio_account: TwilioAccount,
    org: UUID,
    rows: Any,
    refuse: int,
    state: str,
    verdict: str | None,
) -> None:
    twilio_account.act("phone", PHONE, refuse=refuse)
    (outcome,) = await SMS.send(twilio, [delivery(org)])
    assert (outcome.state, outcome.code) == (state, str(refuse))
    assert outcome.reason
    assert PHONE[3:] not in outcome.reason
    assert [row[2] for row in words(rows)] == [verdict] * (verdict is not None)
    await SMS.send(twilio, [delivery(org)])
    assert twilio_account.counts() == {}


async def test_full_queue_and_too_many_at_once_are_for_later(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID, sandbox: Sandbox
) -> None:
    twilio_account.act("phone", PHONE, refuse=21611)
    with pytest.raises(Unavailable) as told:
        await SMS.send(twilio, [delivery(org)])
    assert (told.value.code, told.value.retry_after) == ("21611", 60)
    sandbox.fault("429", provider="twilio", times=1, headers={"Retry-After": "7"})
    with pytest.raises(Unavailable) as told:
        await SMS.send(twilio, [delivery(org)])
    assert (told.value.code, told.value.retry_after) == ("20429", 7)


async def test_wrong_token_is_for_a_person(
    twilio: Twilio, org: UUID, twilio_account: TwilioAccount
) -> None:
    twilio_account.act("promote_token")
    with pytest.raises(Unauthorized, match="do not fit") as told:
        await SMS.send(twilio, [delivery(org)])
    assert twilio_account.token not in str(told.value)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("500_after", {}),
        ("reset_after", {}),
        ("truncate", {}),
        ("status", {"status": 200, "body": "<html>Welcome to the hotel</html>"}),
        ("status", {"status": 502, "body": "<html>Bad gateway</html>"}),
        ("500_before", {}),
    ],
)
async def test_lost_answer_is_looked_up(
    twilio: Twilio,
    twilio_account: TwilioAccount,
    org: UUID,
    sandbox: Sandbox,
    rows: Any,
    kind: str,
    rule: Any,
) -> None:
    one = await stored_delivery(rows, org)
    sandbox.fault(kind, provider="twilio", method="POST", times=1, **rule)
    with pytest.raises(OutcomeUnknown):
        await SMS.send(twilio, [one])
    made = len(twilio_account.messages())
    assert made == (kind in ("500_after", "reset_after", "truncate"))
    (outcome,) = await SMS.look(twilio, [one])
    assert outcome.state in (("sent", "delivered") if made else ("unknown",))
    (outcome,) = await SMS.look(twilio, [aged(one)])
    assert outcome.state in (("sent", "delivered") if made else ("queued",))


async def test_503_of_twilios_own_is_certain(twilio: Twilio, org: UUID, sandbox: Sandbox) -> None:
    sandbox.fault("status", provider="twilio", status=503, times=1)
    with pytest.raises(Unavailable):
        await SMS.send(twilio, [delivery(org)])


async def test_what_waits_unsent_is_found(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID, sandbox: Sandbox, rows: Any
) -> None:
    """It has no date_sent, so that no list filtered by that date would show it."""
    one = await stored_delivery(rows, org)
    twilio_account.act("lose", how="stuck")
    sandbox.fault("reset_after", provider="twilio", method="POST", times=1)
    with pytest.raises(OutcomeUnknown):
        await SMS.send(twilio, [one])
    (outcome,) = await SMS.look(twilio, [one])
    assert outcome.state == "sent"


async def test_two_alike_are_told_apart(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID, sandbox: Sandbox, rows: Any
) -> None:
    first, second, third = [await stored_delivery(rows, org) for _ in range(3)]
    await advance(org, await SMS.send(twilio, [first]))
    sandbox.fault("reset_after", provider="twilio", method="POST", times=1)
    for one in (second, third):
        with pytest.raises(OutcomeUnknown):
            await SMS.send(twilio, [one])
        sandbox.fault("reset", provider="twilio", method="POST", times=1)
    sandbox.clear_faults()
    outcomes = await SMS.look(twilio, [aged(second), aged(third)])
    assert sorted(outcome.state for outcome in outcomes) in (
        ["delivered", "queued"],
        ["queued", "sent"],
    )
    assert len({each["sid"] for each in twilio_account.messages()}) == 2


async def test_found_but_failed_is_sent_again_where_that_helps(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID, sandbox: Sandbox, rows: Any
) -> None:
    for fate, state, attempts in (
        ("unreachable", "queued", 1),
        ("unreachable", "undelivered", 2),
        ("landline", "undelivered", 1),
    ):
        twilio_account.act("phone", PHONE, fate=fate)
        one = await stored_delivery(
            rows, org, data={"task_title": f"{fate} {attempts}"}, attempts=attempts
        )
        sandbox.fault("reset_after", provider="twilio", method="POST", times=1)
        with pytest.raises(OutcomeUnknown):
            await SMS.send(twilio, [one])
        until(lambda: twilio_account.messages()[0]["status"], lambda each: each == "undelivered")
        (outcome,) = await SMS.look(twilio, [one])
        assert (outcome.state, bool(outcome.retry_after)) == (state, state == "queued")
    assert [row[2:] for row in words(rows)] == [("unreachable", "landline or unreachable carrier")]


async def test_lost_call_is_found(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID, sandbox: Sandbox, rows: Any
) -> None:
    one = await stored_delivery(rows, org, channel="call")
    sandbox.fault("reset_after", provider="twilio", method="POST", times=1)
    with pytest.raises(OutcomeUnknown):
        await CALL.send(twilio, [one])
    (outcome,) = await CALL.look(twilio, [one])
    assert outcome.state in ("sent", "delivered")
    assert str(outcome.provider_id).startswith("CA")
    await advance(org, [outcome])
    (nothing,) = await CALL.look(twilio, [await stored_delivery(rows, org, channel="call")])
    assert nothing.state == "unknown", "that call belongs to the other delivery"


async def test_texts_wiped_at_twilio_leave_it_open(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID, rows: Any
) -> None:
    one = await stored_delivery(rows, org)
    twilio_account.final(twilio_account.sent(ContentRetention="discard", Body="secret")["sid"])
    (outcome,) = await SMS.look(twilio, [aged(one, 2)])
    assert outcome.state == "unknown"


async def test_trial_accounts_preface_does_not_hide_a_message(
    org: UUID, sandbox: Sandbox, rows: Any, twilio: Twilio
) -> None:
    trial = TwilioAccount(sandbox, type="Trial", verified=[PHONE])
    await connections.save(org, "twilio", "trial", fields_of(trial))
    async with Twilio.opened("trial") as connection:
        one = await stored_delivery(rows, org)
        (sent,) = await SMS.send(connection, [one])
        (outcome,) = await SMS.look(connection, [one])
    assert outcome.provider_id == sent.provider_id


async def test_lists_are_read_no_further_than_needed(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID, rows: Any, sandbox: Sandbox
) -> None:
    twilio_account.control("POST", "seed", messages=3_000, days=3)
    one = await stored_delivery(rows, org, address="+14155550007")
    sandbox.clear_requests()
    await SMS.look(twilio, [one])
    assert len(sandbox.requests(provider="twilio", account=twilio_account.sid)) == 1


async def test_estimate_is_segments_times_the_countrys_price(twilio: Twilio) -> None:
    short = SMS.estimate(twilio, delivery())
    assert short
    assert (short.segments, short.cost_micros, short.currency) == (1, 8_300, "usd")
    long = SMS.estimate(twilio, delivery(data={"task_title": "Ж" * 100}, address="+4915112345678"))
    assert long
    assert (long.segments, long.cost_micros) == (2, 220_000)
    called = CALL.estimate(twilio, delivery())
    assert called
    assert (called.segments, called.cost_micros) == (0, 16_600)


async def test_nothing_to_send_from_is_told_before(twilio: Twilio) -> None:
    twilio.phone_number = None
    for sender in (SMS, CALL):
        with pytest.raises(Rejected, match="TWILIO_PHONE_NUMBER"):
            sender.check(twilio, delivery())


async def test_pace_is_kept(twilio: Twilio, org: UUID) -> None:
    twilio.messages_per_second = None
    assert twilio.limits()["messages"] == 1
    twilio.messaging_service_sid = "MG1"
    assert twilio.limits()["messages"] == 10
