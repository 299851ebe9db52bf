"""What analysts do with subscriptions, on a real Prefect server, PostgreSQL and sandbox."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from conftest import Rows
from hooked_world import Hooked, done, secrets_of
from notify_people import artifact, run

from atlvs.db import hook_log
from atlvs.errors import Rejected
from flows import triggers
from tasks.triggers.draining import drain_triggers

pytest_plugins = ["hooked_fixtures"]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_sample_is_really_sent_and_is_no_event(prefect_server: str, hooked: Hooked, rows: Rows):
    hook, target = hooked.hook()
    hooked.zaps.verify(target, hook.secret, strict=True)
    hooked.contacts(1)
    hooked.drain()
    summary = run(triggers.send_sample, subscription=hook.id)
    assert (summary["outcome"], summary["status"]) == ("delivered", 200)
    live, sample = hooked.zaps.received(target)
    assert summary["id"] == sample["body"]["id"] == sample["headers"]["webhook-id"]
    assert summary["id"].startswith("sample-")
    assert sample["body"] | {"id": "", "occurred_at": ""} == live["body"] | {
        "id": "",
        "occurred_at": "",
    }
    assert run(triggers.send_sample, subscription=hook.id)["id"] != summary["id"]
    assert hooked.states() == {"delivered": 1}
    assert rows("select count(*) from integration_hook_attempts") == [(1,)]
    text = artifact("triggers-sample")
    assert "- **outcome**: delivered" in text
    assert "contact.created" in text
    assert not [secret for secret in (*secrets_of(target), hook.secret) if secret in text]


def test_a_sample_that_fails_tells_why_and_harms_nobody(
    prefect_server: str, hooked: Hooked, rows: Rows
):
    hook, target = hooked.hook()
    hooked.contacts(1)
    path = target.partition("127.0.0.1")[2].partition("/")[2]
    echo = f"Cannot POST /{path}?x=1 for p1@example.net"
    hooked.zaps.behave(target, "status", status=503, body=echo, times=1)
    summary = run(triggers.send_sample, subscription=hook.id)
    assert (summary["outcome"], summary["status"]) == ("failed", 503)
    assert "The target said 503" in summary["notes"][0]
    text = artifact("triggers-sample")
    assert "repeats what it was sent" in text
    assert not [secret for secret in (*secrets_of(target), "p1@") if secret in text]
    assert rows("select failures, failing_since, rests_until from integration_hooks") == [
        (0, None, None)
    ]
    assert hooked.drain().posts == {"delivered": 1}


def test_a_sample_is_told_that_its_target_is_gone(prefect_server: str, hooked: Hooked, rows: Rows):
    hook, target = hooked.hook()
    hooked.zaps.switch_off(target)
    assert run(triggers.send_sample, subscription=hook.id)["outcome"] == "gone"
    assert rows("select state from integration_hooks") == [("gone",)]
    with pytest.raises(Rejected, match="it is gone .*Switch the Zap off and on again"):
        run(triggers.send_sample, subscription=hook.id)
    assert len(hooked.zaps.received(target)) == 1
    with pytest.raises(Rejected, match="there is no subscription"):
        run(triggers.send_sample, subscription=uuid4())


def test_a_replay_is_shown_first_and_tells_what_was_never_told(
    prefect_server: str, hooked: Hooked, rows: Rows
):
    hooked.contacts(40)
    rows("update contacts set last_name = 'Other'")  # another type, which is not told
    hooked.drain()
    hook, target = hooked.hook()
    hooked.contacts(2)
    hooked.drain()
    before = hooked.ids(target)
    assert len(before) == 2
    shown = run(triggers.replay, subscription=hook.id, since=LONG_AGO)
    assert (shown["events"], shown["to be posted"]) == (42, 42)
    assert "A dry run: nothing was posted." in shown["notes"]
    text = artifact("triggers-replay")
    assert "| contact.created | delivered | 2 |" in text
    assert "| contact.created | new | 40 |" in text
    assert hooked.states() == {"delivered": 2}
    posted = run(triggers.replay, subscription=hook.id, since=LONG_AGO, dry_run=False)
    assert (posted["posted for the first time"], posted["posted again"]) == (40, 2)
    assert hooked.drain().posts == {"delivered": 42}
    told = rows("select id::text from integration_outbox where type = 'contact.created'")
    assert set(hooked.ids(target)[2:]) == {row[0] for row in told}
    assert hooked.zaps.counts(target)["distinct"] == 42


def test_a_replay_keeps_to_its_range_and_its_bound(
    prefect_server: str, hooked: Hooked, rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    hooked.contacts(30)
    hooked.drain()
    rows("update integration_outbox set occurred_at = '2026-03-01 12:00+00' where seq % 3 = 0")
    hook, _ = hooked.hook()
    march = {"since": NOON, "until": NOON + timedelta(hours=1)}
    assert run(triggers.replay, subscription=hook.id, **march)["events"] == 10
    naive = {name: at.replace(tzinfo=None) for name, at in march.items()}
    assert run(triggers.replay, subscription=hook.id, **naive)["events"] == 10
    first = march | {"until": march["since"], "since": LONG_AGO}
    assert run(triggers.replay, subscription=hook.id, **first)["events"] == 0
    with pytest.raises(Rejected, match="ends before it begins"):
        run(triggers.replay, subscription=hook.id, since=march["until"], until=march["since"])
    monkeypatch.setattr(hook_log, "MANY", 9)
    with pytest.raises(Rejected, match="would post 10 events, more than 9"):
        run(triggers.replay, subscription=hook.id, dry_run=False, **march)
    assert hooked.states() == {}
    many = run(triggers.replay, subscription=hook.id, dry_run=False, even_many=True, **march)
    assert many["posted for the first time"] == 10
    assert hooked.states() == {"waiting": 10}


def test_what_waits_already_is_not_queued_twice_by_a_replay(
    prefect_server: str, hooked: Hooked, rows: Rows
):
    hook, target = hooked.hook()
    hooked.contacts(5)
    hooked.zaps.behave(target, "status", status=422, times=5)
    hooked.drain()
    hooked.contacts(3)  # the router has not seen them yet, and queues them itself
    shown = run(triggers.replay, subscription=hook.id, since=LONG_AGO, dry_run=False)
    assert (shown["events"], shown["to be posted"]) == (5, 0)
    assert (shown["posted for the first time"], shown["posted again"]) == (0, 0)
    assert hooked.drain().posts == {"delivered": 3}


def test_thousands_are_replayed_in_few_statements(hooked: Hooked, rows: Rows):
    hook, target = hooked.hook()
    hooked.contacts(4_000)
    while hooked.states() != {"delivered": 4_000}:  # a drain has its time
        hooked.drain()
    began = datetime.now(UTC)
    args: tuple[Any, ...] = (hooked.org, hook.id, LONG_AGO, began + timedelta(hours=1))
    replayed = done(hook_log.replay(*args))
    assert (replayed.new, replayed.again) == (0, 4_000)
    assert (datetime.now(UTC) - began).total_seconds() < 60  # one by one takes longer
    rows("delete from integration_hook_deliveries")
    assert done(hook_log.replay(*args)).new == 4_000
    assert hooked.states() == {"waiting": 4_000}
    assert target


def test_a_replay_in_the_middle_of_posting_holds_nobody_up(hooked: Hooked, rows: Rows):
    hook, target = hooked.hook()
    hooked.contacts(600)
    hooked.drain()
    hooked.zaps.mix(target, {"kind": "slow", "seconds": 0.05}, {"kind": "ok"})

    async def again(times: int) -> None:
        until = datetime.now(UTC) + timedelta(hours=1)
        for number in range(times):
            await asyncio.sleep(0.05)
            if number % 2:
                await hook_log.resend_range(hooked.org, hook.id, states=["delivered"])
            else:
                await hook_log.replay(hooked.org, hook.id, LONG_AGO, until)

    async def both() -> None:
        await again(1)
        posting = asyncio.create_task(drain_triggers(60))
        await asyncio.gather(again(12), again(12), again(12))
        await posting

    done(both())
    hooked.drain()
    assert hooked.states() == {"delivered": 600}
    counted = hooked.zaps.counts(target)
    assert counted["distinct"] == 600
    assert counted["arrived"] > 1_200
    assert rows("select count(*) from integration_hooks where state = 'active'") == [(1,)]


def test_what_failed_is_sent_again_and_nothing_else(
    prefect_server: str, hooked: Hooked, rows: Rows
):
    hook, target = hooked.hook()
    hooked.contacts(6)
    hooked.drain()
    rows(
        "update integration_hook_deliveries set state = 'dead', tries = 10, reason = 'The target said 500.'"
        " where seq in (select seq from integration_hook_deliveries order by seq limit 2)"
    )
    summary = run(triggers.resend_failed, subscription=hook.id)
    assert summary["sent again"] == 2
    assert (
        rows("select tries, reason from integration_hook_deliveries where state = 'waiting'")
        == [(0, None)] * 2
    )
    assert hooked.drain().posts == {"delivered": 2}
    assert hooked.zaps.counts(target)["arrived"] == 8
    assert run(triggers.resend_failed, subscription=hook.id)["sent again"] == 0


def test_subscriptions_are_listed_without_their_secrets(
    prefect_server: str, hooked: Hooked, rows: Rows
):
    hook, target = hooked.hook()
    other, _ = hooked.hook("deal.won")
    hooked.contacts(3)
    hooked.drain()
    hooked.contacts(1)
    hooked.zaps.behave(target, "status", status=500, times=1)
    hooked.drain()
    summary = run(triggers.list_subscriptions)
    assert (summary["subscriptions"], summary["active"]) == (2, 2)
    text = artifact("triggers-list")
    assert f"| {hook.id} | contact.created | 127.0.0.1:" in text
    assert "| 1 | 0 |" in text
    assert f"| {other.id} | deal.won |" in text
    assert "| never |" in text
    secrets = (*secrets_of(target), hook.secret, other.secret)
    assert not [secret for secret in secrets if secret in text]


def test_a_person_pauses_enables_and_disables(prefect_server: str, hooked: Hooked):
    hook, target = hooked.hook()
    assert run(triggers.pause, subscription=hook.id)["state"] == "paused"
    hooked.contacts(2)
    assert hooked.drain().posts == {}
    for work in (triggers.resend_failed, triggers.replay):
        more = {"since": LONG_AGO} if work is triggers.replay else {}
        with pytest.raises(Rejected, match=f"it is paused .*atlvs hooks enable {hook.id}"):
            run(work, subscription=hook.id, **more)
    assert run(triggers.enable, subscription=hook.id)["state"] == "active"
    again = run(triggers.enable, subscription=hook.id)
    assert "Nothing changed: it was so already." in again["notes"]
    assert hooked.drain().posts == {"delivered": 2}
    disabled = run(triggers.disable, subscription=hook.id, reason="the crew is away")
    assert disabled["state"] == "disabled"
    assert "the crew is away" in artifact("triggers-disable")
    hooked.contacts(1)
    assert hooked.drain().posts == {}
    assert hooked.states() == {"delivered": 2}
    with pytest.raises(Rejected, match="is disabled, and cannot be paused. Enable it first"):
        run(triggers.pause, subscription=hook.id)
    assert run(triggers.send_sample, subscription=hook.id)["outcome"] == "delivered"
    assert len(hooked.zaps.received(target)) == 3
