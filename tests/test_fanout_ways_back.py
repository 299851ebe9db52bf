"""What happens after a message went wrong: its fallback, its next try."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from fanout_fixtures import Ledger
from fanout_steps import advance, begun, cancelled, state_of

from atlvs.db import audiences, consents, deliveries, ending, notifications, resending
from atlvs.db.audiences import Planned
from atlvs.db.engine import database
from atlvs.db.marks import Marks
from atlvs.errors import Rejected
from atlvs.records import Outcome, Word
from blocks.base import resources

SMS = [{"channel": "sms", "address": "+14155552671"}]
PHONE = "+14155552671"
FALLBACK = orjson.dumps(SMS).decode()


@pytest.fixture(autouse=True)
async def _open() -> AsyncIterator[None]:
    async with resources():
        yield


def with_fallback(ledger: Ledger, notification: UUID, **columns: Any) -> UUID:
    return ledger.delivery(notification, **columns | {"fallback": FALLBACK})


async def test_a_failure_after_the_end_reopens_it_for_the_fallback(ledger: Ledger):
    live = ledger.notification()
    one = with_fallback(ledger, live, state="sent")
    assert await ending.finish_ended(ledger.org) == 1
    await advance(ledger.org, Outcome(one, "bounced"))
    assert state_of(ledger, live) == "sending"
    [found] = await deliveries.claim(ledger.org, "sms", uuid4(), 9)
    assert found.address == PHONE
    assert ledger.rows("select finished_at from integration_notifications") == [(None,)]


async def test_what_is_found_never_to_have_left_reopens_its_notification(ledger: Ledger):
    live = ledger.notification()
    one = ledger.delivery(live, state="unknown", looks=4)
    assert await ending.finish_ended(ledger.org) == 1
    await advance(ledger.org, Outcome(one, "queued"))
    assert [found.id for found in await deliveries.claim(ledger.org, "email", uuid4(), 9)] == [one]


async def test_an_end_at_the_same_time_does_not_swallow_the_fallback(ledger: Ledger):
    for _ in range(3):
        live = ledger.notification()
        one = with_fallback(ledger, live, state="sent", address=f"{uuid4()}@example.com")
        async with database().org(ledger.org) as tx:
            await deliveries.advance(tx, [Outcome(one, "bounced")])
            finishing = asyncio.create_task(ending.finish_ended(ledger.org))
            await asyncio.sleep(0.2)
        await finishing
        assert state_of(ledger, live) == "sending"


async def test_an_end_a_moment_before_does_not_either(ledger: Ledger):
    live = ledger.notification()
    one = with_fallback(ledger, live, state="sent")
    async with database().org(ledger.org) as tx:
        assert await notifications.move(tx, live, "done", among=["sending"])
        failing = asyncio.create_task(advance(ledger.org, Outcome(one, "bounced")))
        await asyncio.sleep(0.3)  # it waits for the notification
        assert not failing.done()
    await failing
    assert state_of(ledger, live) == "sending"


async def test_a_cancelled_one_is_not_reopened(ledger: Ledger):
    live = ledger.notification()
    one = with_fallback(ledger, live, state="sent")
    await cancelled(ledger, live)
    await advance(ledger.org, Outcome(one, "bounced"))
    assert state_of(ledger, live) == "cancelled"
    assert ledger.states() == {one: "bounced"}


async def test_secrets_stay_while_a_fallback_may_come_but_not_for_ever(ledger: Ledger):
    live = ledger.notification("password_reset", sealed=b"x")
    one = with_fallback(ledger, live, state="sent")
    kept = "select state, sealed is not null from integration_notifications"
    await ending.finish_ended(ledger.org)
    assert ledger.rows(kept) == [("done", True)]
    assert await ending.with_spent_secrets() == []
    ledger.rows("update integration_deliveries set state = 'delivered' where id = %s", one)
    assert await ending.with_spent_secrets() == [ledger.org]
    await ending.finish_ended(ledger.org)
    assert ledger.rows(kept) == [("done", False)]


@pytest.mark.parametrize(
    "over", ["finished_at = now() - interval '8 days'", "expires_at = now() - interval '1 minute'"]
)
async def test_secrets_are_wiped_when_the_time_is_over(ledger: Ledger, over: str):
    live = ledger.notification("password_reset", sealed=b"x")
    with_fallback(ledger, live, state="sent")
    await ending.finish_ended(ledger.org)
    ledger.rows(f"update integration_notifications set {over}")
    assert await ending.with_spent_secrets() == [ledger.org]
    await ending.finish_ended(ledger.org)
    assert ledger.rows("select state, sealed from integration_notifications") == [("done", None)]


async def test_a_stale_look_takes_nothing_on_its_way_back(ledger: Ledger):
    call = uuid4()
    one = ledger.delivery(ledger.notification(), state="unknown", call_id=call)
    never_left = Outcome(one, "queued")
    await advance(ledger.org, never_left, calls={one: call})
    _, calls = await begun(ledger)
    await advance(ledger.org, never_left, calls={one: call})
    await advance(ledger.org, never_left)
    assert ledger.states() == {one: "sending"}
    await advance(ledger.org, Outcome(one, "unknown"))  # this try's answer is lost as well
    await advance(ledger.org, never_left, calls={one: call})
    assert ledger.states() == {one: "unknown"}
    await advance(ledger.org, never_left, calls=dict(calls))
    assert ledger.states() == {one: "queued"}


async def test_a_sender_takes_back_only_what_it_began_itself(ledger: Ledger):
    one = ledger.delivery(ledger.notification())
    lease = uuid4()
    await deliveries.claim(ledger.org, "email", lease, 9)
    marks = Marks(ledger.org, ledger.connection, lease)
    assert await marks.write({one: uuid4()}, []) == {one: "sending"}
    await marks.write({}, [Outcome(one, "queued")])
    assert ledger.of(one, "state", "lease") == ("queued", None)
    await marks.write({}, [Outcome(one, "queued", retry_after=9)])  # nothing of its own any more
    _, _ = await begun(ledger)
    await marks.write({}, [Outcome(one, "queued")])
    assert ledger.states() == {one: "sending"}


@pytest.mark.parametrize("road", ["begin", "marks"])
async def test_a_stop_at_the_last_moment_starts_the_fallback(ledger: Ledger, road: str):
    live = ledger.notification()
    behind = [{"channel": "email", "address": "ada@example.com"}]
    one = ledger.delivery(
        live, PHONE, channel="sms", fallback=orjson.dumps(behind).decode(), attempts=2
    )
    lease = uuid4()
    await deliveries.claim(ledger.org, "sms", lease, 9)
    async with database().org(ledger.org) as tx:
        await consents.record(tx, ledger.org, [Word("sms", PHONE, "refused", "stop", "twilio")])
    if road == "begin":
        async with database().org(ledger.org) as tx:
            told = await deliveries.begin(tx, lease, ledger.connection, {one: uuid4()})
    else:
        marks = Marks(ledger.org, ledger.connection, lease)
        told = await marks.write({one: uuid4()}, [])
    assert told == {one: "suppressed"}
    assert ledger.of(one, "state", "reason", "lease") == ("suppressed", "refused: stop", None)
    [found] = await deliveries.claim(ledger.org, "email", uuid4(), 9)
    assert found.address == "ada@example.com"


async def resent(ledger: Ledger, *told: str) -> UUID:
    """A delivery whose message SM1 failed, and that is sent again."""
    live = ledger.notification()
    one = ledger.delivery(live, PHONE, channel="sms", state="undelivered", provider_id="SM1")
    async with database().org(ledger.org) as tx:
        again = await resending.resend(tx, live, "Ada")
    assert again.queued == 1
    await advance(ledger.org, *[Outcome(one, state, provider_id="SM1") for state in told])
    return one


@pytest.mark.parametrize("state", ["sent", "undelivered", "failed"])
async def test_late_news_of_the_old_message_does_not_swallow_the_new(ledger: Ledger, state: str):
    one = await resent(ledger, state)
    assert ledger.of(one, "state", "provider_id") == ("queued", None)
    await begun(ledger, "sms")
    old, new = Outcome(one, state, provider_id="SM1"), Outcome(one, "sent", provider_id="SM2")
    await advance(ledger.org, old, new, old)  # as several callbacks that came together
    assert ledger.of(one, "state", "provider_id") == ("sent", "SM2")
    await advance(ledger.org, Outcome(one, "delivered", provider_id="SM1"))
    assert ledger.of(one, "state", "provider_id") == ("sent", "SM2")


async def test_an_old_message_that_arrived_after_all_stops_the_new(ledger: Ledger):
    one = await resent(ledger)
    lease = uuid4()
    await deliveries.claim(ledger.org, "sms", lease, 9)
    await advance(ledger.org, Outcome(one, "delivered", provider_id="SM1"))
    async with database().org(ledger.org) as tx:
        assert await deliveries.begin(tx, lease, ledger.connection, {one: uuid4()}) == {}
    assert ledger.of(one, "state", "provider_id") == ("delivered", "SM1")


async def test_a_try_after_a_look_forgets_the_message_of_the_first(ledger: Ledger):
    one = ledger.delivery(ledger.notification(), PHONE, channel="sms", state="unknown")
    await advance(ledger.org, Outcome(one, "queued", provider_id="SM1", code="30003"))
    await advance(ledger.org, Outcome(one, "undelivered", provider_id="SM1"))
    assert ledger.of(one, "state", "provider_id", "code") == ("queued", None, "30003")


async def test_planning_stops_when_it_is_cancelled(ledger: Ledger):
    live = ledger.notification(state="raised", position=None)
    row = Planned("person:a", None, "email", "a@example.com", {}, "queued")
    async with database().org(ledger.org) as tx:
        await audiences.write(tx, live, [row], "1")
        assert await notifications.move(tx, live, "cancelled", among=["raised"])
        with pytest.raises(Rejected, match="cancelled"):
            await audiences.write(tx, live, [replace(row, recipient="person:b")], "2")
    assert list(ledger.states().values()) == ["cancelled"]


@pytest.mark.parametrize("state", ["raised", "held", "paused", "cancelled", "done"])
async def test_only_what_may_be_sent_is_due(ledger: Ledger, state: str):
    ledger.delivery(ledger.notification(state=state))
    assert not any(row["due"] for row in await deliveries.work())
    async with database().org(ledger.org) as tx:
        assert await notifications.under_way(tx) == (state == "raised")
    ledger.rows("update integration_notifications set state = 'sending'")
    [row] = await deliveries.work()
    assert (row["org_id"], row["channel"], row["due"]) == (ledger.org, "email", True)
