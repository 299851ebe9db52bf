"""Targets and records that make trouble: each costs its own post, and holds up no other."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from answering_target import answering, contacts, drained, due_now, states, status
from conftest import Rows
from hostile_target import OK

from atlvs.db import hook_log, hooks
from atlvs.db.engine import database
from atlvs.db.hook_queue import Claimed
from atlvs.errors import Unavailable
from tasks.triggers import posting
from tasks.triggers.attempts import bodies
from tasks.triggers.subscribing import subscribe

pytest_plugins = ["answering_fixtures"]


async def test_a_slower_answer_does_not_end_a_rest(at_once: None, rows: Rows, org: UUID):
    async def answer(number: int) -> bytes:
        if number <= 5:
            await asyncio.sleep(1)
            return OK
        return status(429, retry_after="3600")

    async with answering(answer) as (target, heads):
        await subscribe(org, None, "contact.created", target.url)
        contacts(rows, org, 100)
        posts = (await drained()).posts
        assert posts["delivered"] == 5
        assert posts["limited"] > 0
        assert (await drained()).posts == {}
        assert len(heads) == sum(posts.values()) <= 32
    [(rest, failures)] = rows(
        "select extract(epoch from rests_until - now()), failures from integration_hooks"
    )
    assert rest > 3_500
    assert failures == 1


@pytest.mark.parametrize(("code", "left"), [(410, "dead"), (429, "waiting")])
async def test_after_such_an_answer_nothing_more_goes_out(
    at_the_pace: None, rows: Rows, org: UUID, code: int, left: str
):
    async def answer(number: int) -> bytes:
        del number
        return status(code, retry_after="60")

    async with answering(answer) as (target, heads):
        await subscribe(org, None, "contact.created", target.url)
        contacts(rows, org, 60)
        await drained()
        assert 1 <= len(heads) <= 3
    assert states(rows) == {left: 60}
    [(attempts,)] = rows("select sum(attempts) from integration_hook_deliveries")
    assert attempts == len(heads)
    reasons = rows("select distinct reason from integration_hook_deliveries where attempts = 0")
    assert all("410 Gone" in str(reason) for (reason,) in reasons) == (code == 410)
    assert all(reason is None for (reason,) in reasons) == (code == 429)


async def test_a_reference_that_is_no_id_holds_up_nothing(at_once: None, rows: Rows, org: UUID):
    async def answer(number: int) -> bytes:
        del number
        return OK

    async with answering(answer) as (target, _):
        await subscribe(org, None, "contact.created", target.url)
        rows("alter table contacts add column event_id text, add column custom jsonb")
        for event in ("EVT-1", "{", str(uuid4())):
            rows("insert into contacts (org_id, event_id) values (%s, %s)", org, event)
        rows(
            "insert into contacts (org_id, custom) values (%s, %s::text::jsonb)",
            *(org, "[" * 300 + "]" * 300),
        )
        contacts(rows, org, 5)
        assert (await drained(5)).posts == {"delivered": 9}
    assert states(rows) == {"delivered": 9}


def test_what_cannot_be_written_is_dead_and_the_rest_is_not(caplog: pytest.LogCaptureFixture):
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    secret = "ada@example.net"
    records = [{"first_name": "Ada"}, {"first_name": [secret, deep]}, {"first_name": "Eve"}]
    claimed = [claimed_now(record) for record in records]
    made, dead = bodies(claimed, [{}] * 3)
    assert [one for one, _ in made] == [claimed[0], claimed[2]]
    [posted] = dead
    assert (posted.id, posted.outcome, posted.wait) == (claimed[1].id, "failed", None)
    assert "cannot be written as JSON" in str(posted.error)
    assert str(claimed[1].event_id) in caplog.text
    assert secret not in caplog.text + str(posted)


def claimed_now(record: dict[str, Any]) -> Claimed:
    now = datetime.now(UTC)
    return Claimed(
        id=uuid4(),
        attempts=1,
        tries=1,
        sending_at=now,
        event_id=uuid4(),
        seq=1,
        org_id=uuid4(),
        type="contact.created",
        occurred_at=now,
        record=record,
        changed=None,
    )


async def test_a_refused_post_that_is_resent_goes_out_with_those_behind_it(
    at_once: None, rows: Rows, org: UUID
):
    async def answer(number: int) -> bytes:
        return status(400) if number <= 2 else OK

    async with answering(answer) as (target, heads):
        await subscribe(org, None, "contact.updated", target.url)
        contacts(rows, org)
        rows("update contacts set first_name = '1'")
        await drained()
        rows("update integration_hook_deliveries set tries = 8, due_at = now() + interval '20 h'")
        for name in "23":
            rows("update contacts set first_name = %s", name)
        assert (await drained()).posts == {}
        [(first,)] = rows("select id from integration_hook_deliveries order by seq limit 1")
        assert (await hook_log.resend(org, [first])).queued == 1
        assert (await drained()).posts == {"refused": 1}
        assert (await drained()).posts == {}  # those behind it wait again
        await hook_log.resend(org, [first])
        assert (await drained()).posts == {"delivered": 3}
        assert len(heads) == 5
    order = rows("select seq from integration_hook_deliveries order by sending_at")
    assert order == sorted(order)


@pytest.mark.parametrize("enabled", [False, True])
async def test_when_an_outage_is_over_what_it_held_up_goes_out_soon(
    at_once: None, rows: Rows, org: UUID, enabled: bool
):
    well = asyncio.Event()

    async def answer(number: int) -> bytes:
        del number
        return OK if well.is_set() else status(500)

    async with answering(answer) as (target, _):
        hook, _ = await subscribe(org, None, "contact.created", target.url)
        contacts(rows, org, 4)
        for _ in range(4):
            await drained()
            due_now(rows)
        rows("update integration_hook_deliveries set tries = 8, due_at = now() + interval '20 h'")
        well.set()
        if enabled:
            assert await hooks.enable(org, hook.id)
        contacts(rows, org)
        await drained()
    [(late,)] = rows(
        "select count(*) from integration_hook_deliveries"
        " where state = 'waiting' and due_at > now() + interval '1 min'"
    )
    assert late == 0


async def test_what_was_answered_is_written_when_the_database_is_back(
    at_once: None, rows: Rows, org: UUID, monkeypatch: pytest.MonkeyPatch
):
    away = 0

    def reached() -> Any:
        nonlocal away
        if away > 0:
            away -= 1
            raise Unavailable("database", "PostgreSQL is away.")
        return database()

    async def answer(number: int) -> bytes:
        nonlocal away
        if number == 1:
            away = 3
        return status(500)

    async with answering(answer) as (target, heads):
        await subscribe(org, None, "contact.created", target.url)
        contacts(rows, org)
        monkeypatch.setattr(posting, "database", reached)
        assert (await drained()).posts == {"failed": 1}
        assert away == 0
        assert len(heads) == 1
    [(failures,)] = rows("select failures from integration_hooks where rests_until > now()")
    assert failures == 1
