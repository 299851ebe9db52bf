"""Whose subscription stands: keys that are revoked, answers that come late, subscriptions that are closed
while events are queued for them."""

import asyncio
from uuid import UUID

import psycopg
import pytest
from conftest import Rows
from hostile_target import Caller, listening
from sandbox_zapier_client import ZapierAccount
from standing_world import drained, outcome, people

from atlvs.db import api_keys, hook_queue, hooks, outbox
from atlvs.db.engine import database
from atlvs.errors import Rejected
from blocks.base import resources
from deployments.web import zapier
from tasks.notify import routing
from tasks.triggers import sampling, subscribing
from tasks.triggers.draining import drain_triggers
from tasks.triggers.subscribing import subscribe

pytest_plugins = ["standing_fixtures"]
GONE = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"


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
