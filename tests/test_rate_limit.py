"""One budget of calls for all processes, in the database."""

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import monotonic
from uuid import UUID

import pytest
from conftest import Rows

from atlvs.db import connections
from atlvs.db.engine import database
from atlvs.errors import Unavailable
from atlvs.records import Connection
from blocks.wire import LEASE_SECONDS, LONGEST_PAUSE, Pacer, patience, retry_after

RATE = 40.0
BLOCK = int(RATE * LEASE_SECONDS)
# Calls as fast as it is let for some seconds, then tells when each call was made (the clock of
# `monotonic` is one for the machine).
CALLER = """
import asyncio, sys
from time import monotonic
from atlvs.db import connections
from blocks.base import release
from blocks.wire import Pacer

async def main():
    connection, _ = await connections.find("stripe", "default")
    pacer = Pacer(connection, "read", float(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    end, made = monotonic() + float(sys.argv[2]), []

    async def caller():
        while monotonic() < end:
            await pacer.wait()
            made.append(monotonic())

    await asyncio.gather(*[caller() for _ in range(4)])
    print(*made)
    await release()

asyncio.run(main())
"""


@pytest.fixture
async def connection(org: UUID) -> Connection:
    return await connections.save(org, "stripe", "default", {})


def start(number: int, seconds: float) -> list[subprocess.Popen[str]]:
    """Processes that are ready to call, once they are told to go."""
    callers = [
        subprocess.Popen(
            [sys.executable, "-c", CALLER, str(RATE), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        for _ in range(number)
    ]
    for caller in callers:
        assert caller.stdout
        assert caller.stdout.readline() == "ready\n"
    return callers


def go(callers: list[subprocess.Popen[str]]) -> None:
    for caller in callers:
        assert caller.stdin
        caller.stdin.write("\n")
        caller.stdin.flush()


def made(callers: list[subprocess.Popen[str]]) -> list[list[float]]:
    told = [caller.communicate(timeout=60)[0] for caller in callers]
    assert [caller.returncode for caller in callers] == [0] * len(callers)
    return [[float(time) for time in one.split()] for one in told]


def most_in(times: list[float], seconds: float) -> int:
    """The largest number of calls in any window."""
    times, first, most = sorted(times), 0, 0
    for last, time in enumerate(times):
        while times[first] < time - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


async def test_processes_share_one_budget_and_one_pause(connection: Connection, rows: Rows):
    number, running, pausing = 3, 2.5, 3.0
    callers = start(number, running + pausing)
    go(callers)
    while not rows("integration_rate_limits"):
        await asyncio.sleep(0.02)
    await asyncio.sleep(running)
    paused = monotonic()
    await Pacer(connection, "read", RATE).pause(pausing)
    ends = monotonic() + pausing
    times = made(callers)
    assert all(times)
    together = sorted(time for one in times for time in one)
    before = [time for time in together if time < paused]
    assert len(before) <= RATE * (before[-1] - before[0]) + number * BLOCK
    assert len(before) >= RATE * running * 0.4  # it is a limit, not a wall
    for window in (0.5, 1.0, 2.0):
        assert most_in(together, window) <= RATE * window + number * BLOCK
    # Each process may use up the block that it had leased; a busy machine wakes it late.
    leased = paused + number * LEASE_SECONDS + 1.0
    assert [time - paused for time in together if leased < time < ends - 0.1] == []
    assert together[-1] >= ends - 0.1


async def test_slots_are_evenly_spaced(connection: Connection):
    pacer, began = Pacer(connection, "read", 50.0), monotonic()
    times = []
    for _ in range(26):
        await pacer.wait()
        times.append(monotonic() - began)
    assert times[-1] >= 25 / 50.0 * 0.98


async def test_buckets_and_connections_do_not_share(connection: Connection, org: UUID):
    other = await connections.save(org, "stripe", "second", {})
    await Pacer(connection, "read", 1.0).pause(30)
    token = patience.set(0.5)
    try:
        await Pacer(connection, "write", 1.0).wait()
        await Pacer(other, "read", 1.0).wait()
        with pytest.raises(Unavailable):
            await Pacer(connection, "read", 1.0).wait()
    finally:
        patience.reset(token)


async def refusal(pacer: Pacer) -> float:
    with pytest.raises(Unavailable) as refused:
        await pacer.wait()
    return refused.value.retry_after or 0.0


async def test_impatient_caller_is_told_when_to_come_back(connection: Connection, rows: Rows):
    pacer = Pacer(connection, "read", RATE)
    await pacer.pause(20)
    token = patience.set(0.1)
    began = monotonic()
    try:
        refused = [await refusal(pacer) for _ in range(100)]
    finally:
        patience.reset(token)
    assert monotonic() - began < 5
    assert all(10 < seconds <= 20 + 1 / RATE for seconds in refused)
    # A refused caller gives its slot back: asking often does not move the end of the pause away.
    [(left,)] = rows(
        "select extract(epoch from next_free_at - now())::float from integration_rate_limits", *()
    )
    assert left < 20 + 2 * BLOCK / RATE


async def test_cancelled_caller_leaves_the_pacer_usable(connection: Connection):
    pacer = Pacer(connection, "read", RATE)
    await pacer.pause(0.3)
    waiting = [asyncio.create_task(pacer.wait()) for _ in range(5)]
    await asyncio.sleep(0.05)
    for one in waiting[:3]:
        one.cancel()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert Counter(type(one).__name__ for one in done) == {"CancelledError": 3, "float": 2}
    await pacer.wait()


async def test_long_idle_process_gets_no_more_than_its_block(connection: Connection):
    pacer = Pacer(connection, "read", RATE)
    for _ in range(40):
        await pacer.wait()
    await asyncio.sleep(1.0)
    began, number = monotonic(), 0
    while monotonic() - began < 0.05:
        await pacer.wait()
        number += 1
    assert number <= BLOCK + 1 + RATE * 0.1


async def test_budget_outlives_its_process(connection: Connection):
    await Pacer(connection, "read", RATE).pause(30)
    await database().close()
    token = patience.set(0.1)
    try:
        with pytest.raises(Unavailable):
            await Pacer(connection, "read", RATE).wait()
    finally:
        patience.reset(token)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),  # gone by
        ("Wed, 21 Oct 2015 07:28:00", None),
        ("Wed, 99 Oct 99999 07:28:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_PAUSE),
        ("", None),
        (".", None),
        ("-1", None),
        ("²", None),
        ("1e9", None),
        ("9" * 400, LONGEST_PAUSE),
    ],
)
def test_retry_after_takes_seconds_or_a_date(text: str, seconds: float | None):
    assert retry_after({"Retry-After": text}) == seconds
