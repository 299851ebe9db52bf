"""One budget of calls for all processes, in the database."""

import asyncio
import os
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


def start(seconds: float) -> subprocess.Popen[str]:
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(RATE), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ},
    )
    assert caller.stdout
    assert caller.stdout.readline() == "ready\n"
    return caller


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


async def test_processes_share_one_budget(connection: Connection):
    number, seconds = 3, 4.0
    callers = [start(seconds) for _ in range(number)]
    go(callers)
    times = made(callers)
    together = sorted(time for one in times for time in one)
    took = together[-1] - together[0]
    assert all(times)
    assert len(together) <= RATE * took + number * BLOCK
    assert len(together) >= RATE * seconds * 0.5  # it is a limit, not a wall
    for window in (0.5, 1.0, 2.0):
        assert most_in(together, window) <= RATE * window + number * BLOCK


async def test_pause_stops_all_processes(connection: Connection):
    callers = [start(4.0) for _ in range(2)]
    began = monotonic()
    go(callers)
    await asyncio.sleep(1.0)
    await Pacer(connection, "read", RATE).pause(2.0)
    paused = monotonic()
    times = sorted(time for one in made(callers) for time in one)
    assert times[0] < paused
    # What was leased before the pause, and what is sleeping until its slot, may still go.
    during = [time for time in times if paused + LEASE_SECONDS * 2 < time < paused + 1.9]
    assert during == [], (began, paused)
    assert any(time > paused + 2.0 for time in times)


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


async def test_impatient_caller_is_told_when_to_come_back(connection: Connection, rows: Rows):
    pacer = Pacer(connection, "read", RATE)
    await pacer.pause(20)
    token = patience.set(0.1)
    try:
        began = monotonic()
        for _ in range(100):
            with pytest.raises(Unavailable) as refused:
                await pacer.wait()
        assert monotonic() - began < 5
    finally:
        patience.reset(token)
    assert refused.value.retry_after
    assert 10 < refused.value.retry_after <= 20 + 1 / RATE
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
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("", None),
        (".", None),
        ("-1", None),
        ("²", None),
        ("1e9", None),
        ("9" * 400, LONGEST_PAUSE),
    ],
)
def test_retry_after_takes_seconds_only(text: str, seconds: float | None):
    assert retry_after({"Retry-After": text}) == seconds
