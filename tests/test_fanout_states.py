"""A delivery moves forward only, is sent by one sender at a time, and never twice."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import orjson
import pytest
from fanout_fixtures import Ledger
from hypothesis import HealthCheck
from hypothesis import given as given_
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from atlvs.db import consents, deliveries, ending, notifications
from atlvs.db.engine import database
from atlvs.db.notifications import Asked
from atlvs.errors import Rejected
from atlvs.records import Outcome, Word
from blocks.base import resources

RANKS = {"queued": 1, "sending": 2, "unknown": 3, "sent": 4, "delivered": 6, "opened": 7}
RANKS |= dict.fromkeys(("bounced", "undelivered", "failed", "suppressed"), 5)


@pytest.fixture(autouse=True)
async def _open() -> AsyncIterator[None]:
    async with resources():
        yield


async def advance(org: UUID, *outcomes: Outcome) -> int:
    async with database().org(org) as tx:
        return await deliveries.advance(tx, outcomes)


async def begin(ledger: Ledger, lease: UUID, *ids: UUID) -> dict[UUID, str]:
    async with database().org(ledger.org) as tx:
        return await deliveries.begin(tx, lease, ledger.connection, dict.fromkeys(ids, uuid4()))


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given_(
    told=st.lists(
        st.sampled_from(sorted(set(RANKS) - {"queued", "sending"})), min_size=1, max_size=6
    )
)
async def test_the_furthest_state_stays_whatever_the_order(ledger: Ledger, told: list[str]):
    one = ledger.delivery(ledger.notification(), state="sending")
    for number, state in enumerate(told):
        await advance(ledger.org, Outcome(one, state, provider_id=f"SM{number}"))
    state, provider_id = ledger.of(one, "state", "provider_id")
    assert RANKS[state] == max(RANKS[name] for name in told)
    assert provider_id


async def test_several_outcomes_at_once_and_foreign_ids(ledger: Ledger):
    one = ledger.delivery(ledger.notification(), state="sent")
    told = [
        Outcome(one, "delivered"),
        Outcome(one, "opened"),
        Outcome(one, "sent"),
        Outcome(uuid4(), "sent"),
    ]
    assert await advance(ledger.org, *told) == 1
    assert ledger.of(one, "state", "delivered_at is null", "opened_at is null") == (
        "opened",
        False,
        False,
    )


async def test_another_organization_cannot_move_it(ledger: Ledger):
    one = ledger.delivery(ledger.notification(), state="sent")
    [(other,)] = ledger.rows("insert into organizations (name) values ('Other') returning id")
    assert await advance(other, Outcome(one, "delivered")) == 0
    assert ledger.of(one, "state") == ("sent",)


async def test_confirmed_failure_starts_the_fallback_once(ledger: Ledger):
    behind = [{"channel": "sms", "address": "+14155552671"}, {"channel": "slack", "address": "U1"}]
    one = ledger.delivery(ledger.notification(), state="sent", fallback="[]")
    ledger.rows(
        "update integration_deliveries set fallback = %s::jsonb", orjson.dumps(behind).decode()
    )
    await advance(ledger.org, Outcome(one, "unknown"))
    assert ledger.count("integration_deliveries") == 1
    for _ in range(3):
        await advance(ledger.org, Outcome(one, "bounced"), Outcome(one, "failed"))
    found = ledger.rows(
        "select channel, address, state, fallback from integration_deliveries where id <> %s", one
    )
    assert found == [("sms", "+14155552671", "queued", behind[1:])]


async def test_no_fallback_after_success(ledger: Ledger):
    one = ledger.delivery(ledger.notification(), state="sent")
    ledger.rows(
        'update integration_deliveries set fallback = \'[{"channel": "sms", "address": "+1"}]\''
    )
    await advance(ledger.org, Outcome(one, "delivered"))
    await advance(ledger.org, Outcome(one, "bounced"))
    assert ledger.states() == {one: "delivered"}


async def test_only_what_is_leased_and_wanted_is_begun(ledger: Ledger):
    paused = ledger.notification(state="paused")
    live, lease = ledger.notification(), uuid4()
    mine = ledger.delivery(live, "mine@example.com", lease=lease)
    others = ledger.delivery(live, "others@example.com", lease=uuid4())
    waits = ledger.delivery(paused, "waits@example.com", lease=lease)
    gone = ledger.delivery(live, "gone@example.com", lease=lease, state="cancelled")
    assert await begin(ledger, lease, mine, others, waits, gone) == {mine: "sending"}
    assert await begin(ledger, lease, mine) == {}


async def test_a_stop_after_planning_is_heard(ledger: Ledger):
    lease, live = uuid4(), ledger.notification()
    one = ledger.delivery(live, "+14155552671", channel="sms", lease=lease)
    async with database().org(ledger.org) as tx:
        word = Word("sms", "+14155552671", "refused", "stop", "twilio", event_id="SM1")
        assert await consents.record(tx, ledger.org, [word, word]) == 1
    assert await begin(ledger, lease, one) == {one: "suppressed"}
    assert ledger.of(one, "state", "reason", "lease") == ("suppressed", "refused: stop", None)


async def test_the_newest_word_counts_not_the_last_written(ledger: Ledger):
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    async with database().org(ledger.org) as tx:
        for verdict, at in (("allowed", late), ("refused", early)):
            told = Word("email", "A@Example.com", verdict, "x", "page", occurred_at=at)
            await consents.record(tx, ledger.org, [told])
        assert await consents.refusals(tx, "email", ["a@example.com"]) == {}
        news = Word("email", "a@example.com", "refused", "unsubscribe", "page", scope="news")
        await consents.record(tx, ledger.org, [news])
        assert await consents.refusals(tx, "email", ["a@example.com"]) == {}
        assert await consents.refusals(tx, "email", ["A@example.com"], "news") == {
            "a@example.com": "refused: unsubscribe"
        }


async def test_claims_are_apart_and_in_order(ledger: Ledger):
    live = ledger.notification()
    ids = [ledger.delivery(live, f"p{number}@example.com") for number in range(10)]
    leases = [uuid4(), uuid4()]
    claimed = await asyncio.gather(
        *(deliveries.claim(ledger.org, "email", lease, 4) for lease in leases)
    )
    found = [one.id for some in claimed for one in some]
    assert len(found) == len(set(found)) == 8
    assert set(found) <= set(ids)
    assert [one.id for one in await deliveries.claim(ledger.org, "email", uuid4(), 99)] == [
        one for one in ids if one not in found
    ]


HOLDER = """
import asyncio, sys
from uuid import UUID, uuid4
from atlvs.db import deliveries
from atlvs.db.leases import leasing
from atlvs.db.engine import database
async def main():
    org, begun = UUID(sys.argv[1]), None
    async with leasing() as lease:
        claimed = await deliveries.claim(org, "email", lease, 2)
        async with database().org(org) as tx:
            await deliveries.begin(tx, lease, UUID(sys.argv[2]), {claimed[0].id: uuid4()})
        print("ready", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_a_killed_sender_leaves_what_it_began_in_doubt(ledger: Ledger):
    live = ledger.notification()
    first, second = (ledger.delivery(live, f"p{number}@example.com") for number in range(2))
    command = [sys.executable, "-c", HOLDER, str(ledger.org), str(ledger.connection)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
    assert await deliveries.recover(ledger.org) == {}
    assert ledger.states() == {first: "sending", second: "queued"}
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    found = await deliveries.recover(ledger.org)
    for _ in range(600):
        if found:
            break
        await asyncio.sleep(0.1)
        found = await deliveries.recover(ledger.org)
    assert found == {"unknown": 1, "queued": 1}
    assert ledger.states() == {first: "unknown", second: "queued"}
    assert ledger.rows("select count(*) from integration_deliveries where lease is not null") == [
        (0,)
    ]


async def test_late_reminders_are_skipped_and_quiet_hours_begin_meanwhile(ledger: Ledger):
    late = ledger.delivery(
        ledger.notification("event_reminder", expires_at="2026-01-01"), "late@example.com"
    )
    quiet = ledger.delivery(ledger.notification(), "quiet@example.com")
    ledger.rows(
        "update integration_deliveries set quiet_at = now() - interval '1 hour', quiet_for = '3 hours'"
        " where id = %s",
        quiet,
    )
    assert await deliveries.claim(ledger.org, "email", uuid4(), 9) == []
    assert ledger.of(late, "state", "reason") == ("skipped", "it would come too late")
    [(waits, ahead)] = ledger.rows(
        "select due_at > now() + interval '1 hour', quiet_at > now() + interval '20 hours'"
        " from integration_deliveries where id = %s",
        quiet,
    )
    assert (waits, ahead) == (True, True)


async def test_one_heard_of_settles_its_call(ledger: Ledger):
    live, call = ledger.notification(), uuid4()
    ids = [
        ledger.delivery(live, f"p{number}@example.com", state="unknown", call_id=call)
        for number in range(3)
    ]
    other = ledger.delivery(live, "other@example.com", state="unknown", call_id=uuid4())
    async with database().org(ledger.org) as tx:
        assert await deliveries.settle_call(tx, [call]) == 3
    assert ledger.states() == {**dict.fromkeys(ids, "sent"), other: "unknown"}


async def raised(org: UUID, **changes: object) -> tuple[UUID, str, bool]:
    asked = {"type": "announcement", "key": "k", "audience": {"kind": "everyone"}, "origin": "api"}
    asked |= {"data": {"message": "Hello"}} | changes
    async with database().org(org) as tx:
        return await notifications.raise_in(tx, org, Asked(**asked))  # pyright: ignore[reportArgumentType]


async def test_raised_twice_is_raised_once(ledger: Ledger):
    first, again = await raised(ledger.org), await raised(ledger.org)
    assert (first[2], again[2], first[0] == again[0]) == (True, False, True)
    with pytest.raises(Rejected, match="another notification") as refused:
        await raised(ledger.org, data={"message": "Other"})
    assert refused.value.code == "key_reused"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"type": "birthday"}, "type"),
        ({"data": {}}, "message"),
        ({"type": "payment_receipt", "data": {"amount": 1}}, "currency"),
        ({"audience": {"kind": "martians"}}, "audience"),
        ({"audience": {"kind": "contacts", "ids": []}}, "audience.contacts.ids"),
        ({"key": ""}, "key"),
        ({"channels": ("pigeon",)}, "channels"),
        ({"mode": "some"}, "mode"),
    ],
)
async def test_what_cannot_be_sent_is_refused_by_field(ledger: Ledger, wrong: dict, field: str):
    with pytest.raises(Rejected) as refused:
        await raised(ledger.org, **wrong)
    assert str(refused.value.field).startswith(field.split(".")[0])
    assert ledger.count("integration_notifications") == 0


async def test_secret_variables_are_sealed_and_wiped_at_the_end(ledger: Ledger):
    secret = "https://atlvs.test/reset/marked"
    people = {"kind": "people", "people": [{"email": "ada@example.com"}]}
    made, *_ = await raised(
        ledger.org, type="password_reset", audience=people, data={"reset_url": secret}
    )
    told = ledger.rows("select n::text, sealed is null from integration_notifications as n")
    assert "marked" not in told[0][0]
    assert told[0][1] is False
    ledger.rows("update integration_notifications set state = 'sending', position = 'end'")
    one = ledger.delivery(made)
    [claimed] = await deliveries.claim(ledger.org, "email", uuid4(), 1)
    assert claimed.data["reset_url"] == secret
    assert await ending.finish_ended(ledger.org) == 0
    ledger.rows("update integration_deliveries set state = 'delivered' where id = %s", one)
    assert await ending.finish_ended(ledger.org) == 1
    assert ledger.rows("select state, sealed from integration_notifications") == [("done", None)]


async def test_cancelled_stays_cancelled(ledger: Ledger):
    live = ledger.notification()
    waits, sent = ledger.delivery(live), ledger.delivery(live, "b@example.com", state="sent")
    async with database().org(ledger.org) as tx:
        assert await notifications.move(tx, live, "cancelled", among=["sending"], by="ada")
        assert not await notifications.move(tx, live, "sending", among=["held", "paused"])
    assert ledger.states() == {waits: "cancelled", sent: "sent"}


async def test_whoever_writes_at_the_same_time_moves_it_forward_only(ledger: Ledger):
    one = ledger.delivery(ledger.notification(), state="sending")
    async with database().org(ledger.org) as tx:
        assert await deliveries.advance(tx, [Outcome(one, "delivered")]) == 1
        answered = asyncio.create_task(advance(ledger.org, Outcome(one, "sent", provider_id="SM1")))
        await asyncio.sleep(0.3)  # it waits for the row
        assert not answered.done()
    await answered
    assert ledger.of(one, "state", "provider_id") == ("delivered", "SM1")
