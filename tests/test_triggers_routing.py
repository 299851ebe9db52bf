"""What is told on whatever a record holds, and whose subscription stands: keys that are revoked, answers
that come late, subscriptions that are closed while events are queued for them."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest
from conftest import Rows
from hostile_target import Caller, listening
from sandbox_client import Sandbox
from sandbox_zapier_client import ZapierAccount

from atlvs.db import api_keys, hook_queue, hooks, outbox
from atlvs.db.engine import database
from atlvs.db.foreign import record_in
from atlvs.errors import Misconfigured, Rejected, Unavailable
from atlvs.settings import settings
from blocks.base import resources
from deployments.web import zapier
from tasks.notify import routing
from tasks.triggers import sampling, subscribing
from tasks.triggers.draining import Told, drain_triggers
from tasks.triggers.subscribing import subscribe

GONE = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture
def standing_zaps(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> ZapierAccount:
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    monkeypatch.setenv("ATLVS_HOOKS_PER_SECOND", "1000")
    settings.cache_clear()
    return ZapierAccount(sandbox)


@pytest.fixture
def standing_other(rows: Rows) -> UUID:
    """Another organization."""
    return rows("insert into organizations (name) values ('Other') returning id")[0][0]


async def drained(seconds: float = 20) -> Told:
    async with resources():
        return await drain_triggers(seconds)


def people(rows: Rows, org: UUID, number: int) -> None:
    sql = (
        "insert into contacts (org_id, email) select %s, 'p' || i || '@example.net'"
        " from generate_series(1, %s) as i"
    )
    rows(sql, org, number)


def outcome(rows: Rows) -> Counter[str]:
    return Counter(dict(rows("select state, count(*) from integration_outbox group by 1")))


# What a record holds


def depth(value: Any) -> int:
    levels = 0
    while value:
        value, levels = (next(iter(value)) if isinstance(value, list) else value["a"]), levels + 1
    return levels


@pytest.mark.parametrize("levels", [199, 250, 251, 1_024, 1_025, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_whatever_is_deep_can_be_read_and_written(levels: int, opening: str, closing: str):
    found = record_in(opening * levels + "null" + closing * levels)
    assert min(levels, 200) - 1 <= depth(found) <= 250
    orjson.dumps({"data": {"record": found}})


def test_only_what_is_too_deep_is_null():
    deep = "[" * 3_000 + "1e5000" + "]" * 3_000
    text = f'{{"before": "[{{\\"]", "deep": {deep}, "n": [1e5000, -1e400, 1], "after": "\\\\"}}'
    found = record_in(text.encode())
    assert depth(found.pop("deep")) == 199
    assert found == {"before": '[{"]', "n": [None, None, 1], "after": "\\"}
    assert record_in("[" + "9" * 5_000 + ', 1e5000, "[", -12]') == [None, None, "[", -12]


@pytest.mark.parametrize("held", ['{"n": 1e5000}', "[" * 3_000 + "]" * 3_000])
async def test_what_only_postgresql_can_hold_stops_nobody(
    rows: Rows, org: UUID, standing_other: UUID, standing_zaps: ZapierAccount, held: str
):
    target = standing_zaps.target()
    for one in (org, standing_other):
        await subscribe(one, None, "contact.created", target)
    rows("alter table contacts add column custom jsonb")
    rows("insert into contacts (org_id, custom) values (%s, %s::text::jsonb)", org, held)
    for one in (org, standing_other):
        people(rows, one, 2)
    assert (await drained()).posts == {"delivered": 5}
    assert outcome(rows) == {"done": 5}


async def test_an_event_that_cannot_be_read_at_all_is_buried(
    rows: Rows, org: UUID, standing_other: UUID, standing_zaps: ZapierAccount
):
    target = standing_zaps.target()
    for one in (org, standing_other):
        await subscribe(one, None, "contact.created", target)
    for one in (org, standing_other):
        people(rows, one, 2)
    rows(
        "update integration_outbox set occurred_at = 'infinity'"
        " where seq = (select min(seq) from integration_outbox)"
    )
    assert (await drained()).posts == {"delivered": 3}
    assert outcome(rows) == {"dead": 1, "done": 3}


@pytest.mark.parametrize("start", ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"])
async def test_a_time_that_python_does_not_hold_is_left_out(
    rows: Rows, org: UUID, standing_zaps: ZapierAccount, start: str
):
    target = standing_zaps.target()
    await subscribe(org, None, "registration.created", target)
    sql = "insert into events (org_id, name, starts_at, ends_at) values (%s, 'Show', %s, %s) returning id"
    [(event,)] = rows(sql, org, start, start)
    [(contact,)] = rows("insert into contacts (org_id) values (%s) returning id", org)
    rows(
        "insert into registrations (org_id, event_id, contact_id) values (%s, %s, %s)",
        *(org, event, contact),
    )
    told = await drained()
    assert told.posts == {"delivered": 1}
    assert outcome(rows).keys() == {"done"}
    [(data,)] = rows(
        "select data from integration_notifications where type = 'registration_received'"
    )
    assert data["event_name"] == "Show"
    assert "infinity" not in data.values()


async def test_what_is_due_is_told_beside_what_cannot_be_read(rows: Rows, org: UUID):
    rows("alter table tasks add column custom jsonb, add column seen_at timestamptz")
    [(ada,)] = rows("insert into contacts (org_id) values (%s) returning id", org)
    rows(
        "insert into tasks (org_id, title, assignee_id, due_at, custom, seen_at, status) values"
        " (%s, 'Doors', %s, now() + interval '1 hour', '{\"n\": 1e5000}', 'infinity', 'open')",
        *(org, ada),
    )
    rows(
        "insert into events (org_id, name, status, starts_at, ends_at) values"
        " (%s, 'Show', 'published', now() + interval '1 hour', 'infinity')",
        org,
    )
    day = routing.timedelta(days=1)
    assert await routing.raise_due(org, day, day, [80]) == {"task_due_soon": 1, "event_reminder": 1}
    assert await routing.raise_due(org, day, day, [80]) == {}
    [(data,)] = rows("select data from integration_notifications where type = 'event_reminder'")
    assert data["starts_at"]
    assert "ends_at" not in data


# Routing


async def test_an_event_is_told_to_hooks_when_no_notification_can_be_made(
    rows: Rows, org: UUID, standing_zaps: ZapierAccount, monkeypatch: pytest.MonkeyPatch
):
    async def failing(*_: object) -> None:
        raise ValueError("no notification can be made")

    target = standing_zaps.target()
    await subscribe(org, None, "contact.created", target)
    people(rows, org, 3)
    monkeypatch.setattr(routing.subjects, "around", failing)
    assert (await drained()).posts == {"delivered": 3}
    assert outcome(rows) == {"dead": 3}
    assert rows("select count(distinct error) from integration_outbox") == [(1,)]


@pytest.mark.parametrize("trouble", [ValueError("a row"), Unavailable("database", "It is slow.")])
async def test_one_organizations_trouble_is_not_everybodys(
    rows: Rows,
    org: UUID,
    standing_other: UUID,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trouble: Exception,
):
    routed = routing._route_some

    async def route_some(org_id: UUID) -> Counter[str]:
        if org_id == org:
            raise trouble
        return await routed(org_id)

    monkeypatch.setattr(routing, "_route_some", route_some)
    for one in (org, standing_other):
        people(rows, one, 2)
    await routing.route_events()
    assert rows("select distinct org_id from integration_outbox where state = 'done'") == [
        (standing_other,)
    ]
    assert f"wait: {type(trouble).__name__}" in caplog.text
    assert str(trouble) not in caplog.text


@pytest.mark.parametrize(
    "trouble", [Unavailable("database", "It is away."), Misconfigured("KEY is missing.")]
)
async def test_everybodys_trouble_is_told(
    rows: Rows,
    org: UUID,
    standing_other: UUID,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Exception,
):
    async def route_some(_: UUID) -> Counter[str]:
        raise trouble

    monkeypatch.setattr(routing, "_route_some", route_some)
    for one in (org, standing_other):
        people(rows, one, 1)
    with pytest.raises(type(trouble)):
        await routing.route_events()
    assert outcome(rows) == {"waiting": 2}


# Closing a subscription while events are queued for it


async def waits_for_a_lock(rows: Rows) -> None:
    """Until somebody waits for what we hold."""
    async with asyncio.timeout(20):
        while rows("select count(*) from pg_locks where not granted")[0][0] < 1:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["disabled", "unsubscribed", "revoked"])
async def test_what_is_queued_while_it_is_closed_does_not_wait(
    rows: Rows, org: UUID, standing_zaps: ZapierAccount, how: str
):
    _, key = await api_keys.create(org, "zap", ("zapier",))
    hook, _ = await subscribe(org, key.id, "contact.created", standing_zaps.target())
    people(rows, org, 2)
    async with database().org(org) as tx:
        queued = [event.id for event in await outbox.take(tx)]
        assert await hook_queue.enqueue(tx, queued) == 2
        closing = asyncio.create_task(
            {
                "disabled": lambda: hooks.disable(org, hook.id, "by a person"),
                "unsubscribed": lambda: hooks.unsubscribe(org, hook.id),
                "revoked": lambda: api_keys.revoke(org, str(key.id)),
            }[how]()
        )
        await waits_for_a_lock(rows)
        assert await hook_queue.enqueue(tx, queued) == 0
        await outbox.finish(tx, queued, {})
    assert await closing
    assert rows("select distinct state from integration_hook_deliveries") == [("dead",)]
    await hooks.enable(org, hook.id)
    assert (await drained()).posts == {}


async def test_what_is_queued_after_it_is_closed_is_not_for_it(
    rows: Rows, org: UUID, standing_zaps: ZapierAccount
):
    hook, _ = await subscribe(org, None, "contact.created", standing_zaps.target())
    people(rows, org, 2)
    async with database().org(org) as tx:
        assert await hooks.close(tx, hook.id, "disabled", "by a person")
        routed = asyncio.create_task(routing.route_events())
        await waits_for_a_lock(rows)
    await routed
    assert rows("select * from integration_hook_deliveries") == []
    assert outcome(rows) == {"done": 2}


async def test_queues_do_not_wait_for_each_other_nor_for_posts(
    rows: Rows, org: UUID, standing_zaps: ZapierAccount
):
    hook, _ = await subscribe(org, None, "contact.created", standing_zaps.target())
    people(rows, org, 2)
    first, second = [row[0] for row in rows("select id from integration_outbox order by seq")]
    async with asyncio.timeout(10), database().org(org) as one, database().org(org) as other:
        assert await hook_queue.enqueue(one, [first]) == 1
        assert await hook_queue.enqueue(other, [second]) == 1
        # as a post's answer does
        with psycopg.connect(rows.url) as posting:
            posting.execute("set lock_timeout = '5s'")
            posting.execute("update integration_hooks set failures = 1 where id = %s", [hook.id])


async def test_closing_many_and_queueing_for_many_do_not_block_each_other(
    rows: Rows, org: UUID, standing_zaps: ZapierAccount
):
    _, key = await api_keys.create(org, "zap", ("zapier",))
    for _ in range(20):
        await subscribe(org, key.id, "contact.created", standing_zaps.target())
    for round in range(10):
        people(rows, org, 5)
        async with database().org(org) as tx:
            ending = asyncio.create_task(routing.route_events())
            await hooks.end_of_key(tx, org, key.id)
        await ending
        rows("update integration_hooks set state = 'active' where random() < 0.7")
        assert outcome(rows) == {"done": 5 * (round + 1)}


# Whose it is


async def test_a_key_that_is_revoked_meanwhile_subscribes_nothing(
    rows: Rows, org: UUID, standing_zaps: ZapierAccount, monkeypatch: pytest.MonkeyPatch
):
    _, key = await api_keys.create(org, "zap", ("zapier",))

    async def slowly(_: str) -> None:  # as a name server may answer
        assert await api_keys.revoke(org, str(key.id)) == 1

    monkeypatch.setattr(subscribing, "resolved", slowly)
    with pytest.raises(Rejected) as refused:
        await subscribe(org, key.id, "contact.created", standing_zaps.target())
    answer = zapier._failure(refused.value, "subscribe")
    assert (answer.status, answer.code) == (401, "key_revoked")
    assert rows("select * from integration_hooks") == []


async def test_a_key_that_is_revoked_while_it_subscribes_ends_it(
    rows: Rows, org: UUID, standing_zaps: ZapierAccount, monkeypatch: pytest.MonkeyPatch
):
    """The revocation waits for the subscription that it does not see yet."""
    _, key = await api_keys.create(org, "zap", ("zapier",))
    revoking: list[asyncio.Task[int]] = []
    check = hooks._check_key

    async def check_key(tx: hooks.Transaction, key_id: UUID) -> None:
        await check(tx, key_id)
        revoking.append(asyncio.create_task(api_keys.revoke(org, str(key_id))))
        await waits_for_a_lock(rows)

    monkeypatch.setattr(hooks, "_check_key", check_key)
    await subscribe(org, key.id, "contact.created", standing_zaps.target())
    assert await revoking[0] == 1
    assert rows("select state from integration_hooks") == [("ended",)]


@pytest.mark.parametrize("sample", [False, True])
async def test_a_late_410_does_not_end_what_has_begun_anew(
    rows: Rows, org: UUID, standing_zaps: ZapierAccount, sample: bool
):
    asked, answer = asyncio.Event(), asyncio.Event()

    async def talk(caller: Caller) -> None:
        await caller.request()
        asked.set()
        await answer.wait()
        await caller.say(GONE)

    async with listening(talk) as target, resources():
        former, _ = await subscribe(org, None, "contact.created", target.url)
        people(rows, org, 1)
        post = sampling.send_sample(org, former.id) if sample else drain_triggers(20)
        posting = asyncio.create_task(post)
        await asked.wait()
        await hooks.unsubscribe(org, former.id)
        again, new = await subscribe(org, None, "contact.created", target.url)
        assert (again.id, new) == (former.id, True)
        answer.set()
        await posting
        assert rows("select state from integration_hooks") == [("active",)]
        people(rows, org, 1)
        await drain_triggers(20)  # this one is its own
    assert rows("select state from integration_hooks") == [("gone",)]


@pytest.mark.parametrize(("zap", "told"), [("a:b", 0), ("a", 1), ("a:b:c", 1), ("b", 1)])
async def test_a_zaps_id_may_have_colons(
    rows: Rows, org: UUID, standing_zaps: ZapierAccount, zap: str, told: int
):
    _, key = await api_keys.create(org, "zap", ("zapier",))
    await subscribe(org, key.id, "contact.created", standing_zaps.target(), zap_id=zap)
    async with database().org(org, source=f"zapier:{key.id}:a:b") as tx:
        await tx.execute("insert into contacts (org_id) values (%s)", [org])
    assert sum((await drained()).posts.values()) == told
