"""Changes by every way there is, and what posts them killed again and again: nothing is missed."""

import asyncio
import random
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from time import monotonic, sleep
from uuid import UUID

import pytest
from conftest import Rows
from hooks_world import EVENTS, Posting, World
from sandbox_client import Sandbox
from sandbox_zapier_client import ZapierAccount

from atlvs.hooks import PER_SECOND
from atlvs.settings import settings
from tasks.triggers.posting import IN_FLIGHT

PACE = 1000
# Where a process dies, and at which time that it comes there; None: at any moment.
KILLS = [("hooks.posting", 200), ("hooks.answered", 400), ("hooks.written", 25), (None, 0)]
MANY = [
    *(("hooks.posting", 1), ("hooks.answered", 1), ("hooks.written", 1), (None, 0)),
    *(("hooks.posting", 3000), ("hooks.answered", 5000), ("hooks.written", 400)),
    *((None, 0), (None, 0), (None, 0)),
]


@pytest.fixture
def posting_processes() -> Iterator[None]:
    """None of them outlives a test."""
    yield
    for one in Posting.started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()
    Posting.started.clear()


@pytest.fixture
def busy_world(
    sandbox: Sandbox,
    rows: Rows,
    org: UUID,
    monkeypatch: pytest.MonkeyPatch,
    posting_processes: None,
) -> World:
    """Targets of this machine, faster than real ones."""
    del posting_processes
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    monkeypatch.setenv("ATLVS_HOOKS_PER_SECOND", str(PACE))
    settings.cache_clear()
    return World(rows, org, ZapierAccount(sandbox))


@pytest.mark.parametrize(
    ("changes", "kills"), [(2_000, KILLS), pytest.param(100_000, MANY, marks=pytest.mark.soak)]
)
async def test_every_change_reaches_every_subscriber_however_often_it_is_killed(
    busy_world: World, changes: int, kills: list[tuple[str | None, int]]
):
    print(f"\npace: {PACE} a second and target, {PACE / PER_SECOND:.0f} times the documented one")
    await busy_world.listen()
    began = monotonic()
    writing = asyncio.create_task(busy_world.change(changes))
    for number, (place, times) in enumerate(kills):
        await asyncio.to_thread(killed, number, place, times)
    await writing
    print(f"{changes} changes and {len(kills)} kills: {monotonic() - began:.0f} s")
    last = await asyncio.to_thread(Posting)
    outcomes = await asyncio.to_thread(last.finish, 3_000)
    print(
        f"until nothing was left: {monotonic() - began:.0f} s; the last process: {dict(outcomes)}"
    )
    judge(busy_world, len(kills))


async def test_two_at_once_post_nothing_twice(busy_world: World):
    await busy_world.listen()
    both = await asyncio.gather(*(asyncio.to_thread(Posting) for _ in range(2)))
    for _ in range(10):  # whoever is free takes the next ones
        await busy_world.change(100)
        await asyncio.sleep(0.3)
    outcomes = await asyncio.gather(*(asyncio.to_thread(one.finish) for one in both))
    judge(busy_world, 0)
    assert [set(one) for one in outcomes] == [{"delivered"}] * 2  # both had their share
    assert sum(sum(one.values()) for one in outcomes) == 2 * sum(busy_world.made.values())


async def test_one_killed_beside_another_is_taken_over_at_once(busy_world: World):
    await busy_world.listen()
    for _, target, _ in busy_world.targets:
        busy_world.zaps.behave(target, "slow", seconds=0.3)
    doomed = await asyncio.to_thread(Posting, ATLVS_KILL_AT="hooks.answered:500")
    await busy_world.change(1_000)
    await asyncio.sleep(0.2)  # it has them all under way
    steady = await asyncio.to_thread(Posting)
    assert await asyncio.to_thread(doomed.ended) == -signal.SIGKILL
    await asyncio.to_thread(steady.finish)
    assert judge(busy_world, 1) > 0


async def test_lost_connections_of_a_living_process_repeat_nothing(busy_world: World):
    """It knows what became of its posts, and writes it when the database answers again."""
    await busy_world.listen(EVENTS[:2])
    for _, target, _ in busy_world.targets:
        busy_world.zaps.behave(target, "slow", seconds=0.1)
    posting = await asyncio.to_thread(Posting)
    writing = asyncio.create_task(busy_world.change(900))
    await asyncio.sleep(1)
    for _ in range(4):
        busy_world.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and usename = 'postgres' and pid <> pg_backend_pid()"
            " and pid not in (select pid from pg_locks where locktype = 'advisory')"
        )
        await asyncio.sleep(0.4)
    await writing
    outcomes = await asyncio.to_thread(posting.finish)
    assert outcomes["delivered"] > 0
    assert judge(busy_world, 0) == 0


def killed(number: int, place: str | None, times: int) -> None:
    """One process from its beginning to its end."""
    if place:
        assert Posting(ATLVS_KILL_AT=f"{place}:{times}").ended(300) == -signal.SIGKILL
        return
    chance = random.Random(number)  # noqa: S311  # the same moments every time
    posting = Posting()
    sleep(chance.uniform(0.3, 2.0))
    posting.kill()


def judge(world: World, kills: int) -> int:
    """What was told is what was done, and the log knows each attempt. How many came again."""
    happened: dict[str, dict[str, int]] = {}
    for type, id, seq in world.rows("select type, id::text, seq from integration_outbox"):
        happened.setdefault(type, {})[id] = seq
    assert {type: len(ids) for type, ids in happened.items()} == world.made
    doubts = in_doubt(world.rows)
    again = [
        judge_target(world.zaps, target, happened[type], doubts[hook], kills)
        for type, target, hook in world.targets
    ]
    print(
        f"came again, by subscription: {again}; in doubt: {sum(map(Counter.total, doubts.values()))}"
    )
    return sum(again)


def in_doubt(rows: Rows) -> dict[UUID, Counter[str]]:
    """By subscription and event, the attempts of which nobody knows whether they arrived."""
    assert rows("select distinct state from integration_hook_deliveries") == [("delivered",)]
    assert rows("select count(*) from integration_hooks where lease is not null") == [(0,)]
    missing = (
        "select count(*) from integration_hook_deliveries as d where attempts <>"
        " (select count(*) from integration_hook_attempts where delivery_id = d.id)"
    )
    assert rows(missing) == [(0,)]
    assert rows(
        "select count(*) from integration_hook_attempts where outcome not in ('delivered', 'unknown')"
    ) == [(0,)]
    found: dict[UUID, Counter[str]] = defaultdict(Counter)
    for hook, event, number in rows(
        "select d.hook_id, d.event_id::text, count(*) from integration_hook_attempts as a"
        " join integration_hook_deliveries as d on d.id = a.delivery_id"
        " where a.outcome = 'unknown' group by 1, 2"
    ):
        found[hook][event] = number
    return found


def judge_target(
    zaps: ZapierAccount, target: str, happened: dict[str, int], doubts: Counter[str], kills: int
) -> int:
    """Each event at least once and in its record's order, again only what was in doubt: so many."""
    came = zaps.counts(target, all=1)
    assert came["arrived"] == came["accepted"]  # each well signed
    assert came["counts"].keys() == happened.keys()
    for id, number in came["counts"].items():
        assert number - 1 <= doubts[id]
    again = came["accepted"] - came["distinct"]
    assert again <= kills * IN_FLIGHT
    for record, found in zaps.order(target, all=1)["order"].items():
        seqs = [happened[one["id"]] for one in found]
        assert seqs == sorted(seqs), record
    return again
