"""A record's events go out in their order: whoever wrote at the same time, and whatever held them up."""

import asyncio
import random
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from conftest import Rows
from hooks_world import Posting
from psycopg import Connection
from sandbox_client import Sandbox
from sandbox_zapier_client import ZapierAccount

from atlvs.db import hook_queue, outbox
from atlvs.db.engine import database
from atlvs.db.leases import leasing
from atlvs.settings import settings
from blocks.base import resources
from tasks.notify.routing import route_events
from tasks.triggers.draining import Told, drain_triggers
from tasks.triggers.subscribing import subscribe

WRITES = 200


@pytest.fixture
def ordered_zaps(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> ZapierAccount:
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    monkeypatch.setenv("ATLVS_HOOKS_PER_SECOND", "1000")
    settings.cache_clear()
    return ZapierAccount(sandbox)


@pytest.fixture
def contact(rows: Rows, org: UUID) -> UUID:
    return rows("insert into contacts (org_id, last_name) values (%s, '') returning id", org)[0][0]


async def drained() -> Told:
    async with resources():
        return await drain_triggers(20)


def begun(rows: Rows) -> Connection:
    """A transaction that has begun: its `now()` is now."""
    connection = psycopg.connect(rows.url)
    connection.execute("select now()")
    return connection


def rename(connection: Connection, name: str) -> None:
    connection.execute("update contacts set last_name = %s", [name])
    connection.commit()


async def test_a_change_whose_transaction_began_earlier_is_not_told_first(
    rows: Rows, org: UUID, contact: UUID
):
    """The later writer began first, and a router began between the two."""
    lock = "select pg_advisory_xact_lock(hashtextextended('outbox ' || %s, 0))"
    with begun(rows) as early, psycopg.connect(rows.url) as other:
        other.execute(lock, [str(org)])  # another router is at work
        taking = asyncio.create_task(taken(org))
        while rows("select count(*) from pg_locks where not granted") != [(1,)]:
            await asyncio.sleep(0.01)
        with begun(rows) as late:
            rename(late, "first")
        rename(early, "second")
        other.rollback()
        names = [event.data["last_name"] for event in await taking]
    assert names[-2:] == ["first", "second"]


async def taken(org: UUID) -> list[outbox.Happened]:
    async with database().org(org) as tx:
        return await outbox.take(tx)


async def test_a_post_that_was_queued_in_an_older_transaction_is_not_claimed_first(
    rows: Rows, org: UUID, contact: UUID, ordered_zaps: ZapierAccount
):
    hook, _ = await subscribe(org, None, "contact.updated", ordered_zaps.target())
    for name in ("first", "second"):
        rows("update contacts set last_name = %s", name)
    first, second = [
        row[0]
        for row in rows("select id from integration_outbox where changed is not null order by seq")
    ]
    async with leasing() as lease, database().org(org) as early:
        async with database().org(org) as claiming:
            await hook_queue.take(claiming, hook.id, lease)
        async with database().org(org) as claiming:
            await claiming.execute("select 1")
            async with database().org(org) as late:
                await hook_queue.enqueue(late, [first])
            await hook_queue.enqueue(early, [second])
            await early.commit()
            claimed = await hook_queue.claim(claiming, hook.id, lease, 32)
    assert [one.event_id for one in claimed] == [first]


async def test_what_an_outage_held_up_keeps_its_order(
    rows: Rows, org: UUID, ordered_zaps: ZapierAccount
):
    """After an outage its posts are spread over a minute; what happens meanwhile waits behind them."""
    target = ordered_zaps.target()
    await subscribe(org, None, "contact.updated", target)
    rows("insert into contacts (org_id) select %s from generate_series(1, 30)", org)
    ordered_zaps.behave(target, "status", status=500, times=10_000)
    for name in ("a", "b"):
        rows("update contacts set last_name = %s", name)
    for _ in range(4):
        await drained()
        rows("update integration_hooks set rests_until = null")
        rows("update integration_hook_deliveries set due_at = now() + interval '5 min'")
        rows("insert into contacts (org_id) values (%s)", org)  # one more to try it with
        rows("update contacts set last_name = 'a' where last_name is null")
    ordered_zaps.behave(target, "ok")
    await drained()
    for name in ("c", "d", "e", "f"):  # while the minute passes
        rows("update integration_hook_deliveries set due_at = due_at - interval '15 seconds'")
        rows("update contacts set last_name = %s", name)
        await drained()
    while rows("select from integration_hook_deliveries where state = 'waiting'"):
        rows("update integration_hook_deliveries set due_at = due_at - interval '15 seconds'")
        await drained()
    assert ordered_zaps.counts(target)["repeated"] == {}
    assert ordered_zaps.order(target)["backwards"] == []


async def test_a_late_word_that_a_post_arrived_lets_nothing_overtake(
    rows: Rows, org: UUID, contact: UUID, ordered_zaps: ZapierAccount
):
    """The one in front is done before the time that those behind it wait for."""
    target = ordered_zaps.target()
    await subscribe(org, None, "contact.updated", target)
    ordered_zaps.behave(target, "status", status=422, times=1)
    for name in ("a", "b"):
        rows("update contacts set last_name = %s", name)
    await drained()
    assert (await drained()).posts == {}  # b waits behind a
    rows(
        "update integration_hook_deliveries set state = 'delivered' where attempts > 0"
    )  # as a sender says that was taken for dead
    rows("update contacts set last_name = 'c'")
    assert (await drained()).posts == {}
    rows("update integration_hook_deliveries set due_at = now() where state = 'waiting'")
    assert (await drained()).posts == {"delivered": 2}
    assert [post["body"]["data"]["last_name"] for post in ordered_zaps.accepted(target)] == [
        "b",
        "c",
    ]


async def test_two_writers_of_one_record_are_told_in_the_order_of_their_commits(
    rows: Rows, org: UUID, contact: UUID, ordered_zaps: ZapierAccount
):
    target = ordered_zaps.target()
    await subscribe(org, None, "contact.updated", target)
    both = await asyncio.gather(*(asyncio.to_thread(Posting) for _ in range(2)))
    try:
        await asyncio.gather(
            *(asyncio.to_thread(written, rows, f"{number}-") for number in range(2)),
            asyncio.to_thread(routed_until, rows),
        )
        await asyncio.gather(*(asyncio.to_thread(one.finish) for one in both))
    finally:
        for one in both:
            one.process.kill()
    told = [post["body"]["data"] for post in ordered_zaps.accepted(target)]
    assert len(told) == 2 * WRITES
    was = ""
    for data in told:
        assert data["previous"] == {"last_name": was}
        was = data["last_name"]


def written(rows: Rows, name: str) -> None:
    """Changes of one record, in transactions that begin some time before they write."""
    chance = random.Random(name)  # noqa: S311
    pause: Callable[[float], Any] = threading.Event().wait
    with psycopg.connect(rows.url) as connection:
        for number in range(WRITES):
            connection.execute("select now()")
            pause(chance.uniform(0, 0.02))
            rename(connection, f"{name}{number}")


def routed_until(rows: Rows) -> None:
    """Routing in this process too, as several drainers do, until all is written."""

    async def route() -> None:
        done = "select count(*) from integration_outbox where type = 'contact.updated'"
        async with resources():
            while rows(done) != [(2 * WRITES,)]:
                await route_events()

    asyncio.run(route())
