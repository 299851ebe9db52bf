"""Ten thousand people on three channels, and the sender killed at random: each is reached once."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from conftest import Rows
from fanout_world import World
from sandbox_client import Sandbox
from web_client import WebProcess

from atlvs.events import Channel
from tasks.sendgrid import SENDERS

PROGRAM = Path(__file__).with_name("fanout_world.py")


class Draining:
    """A process that sends until nothing is left."""

    def __init__(self, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            env=os.environ | {"ATLVS_SETTLE_SECONDS": "2", "DRAIN_SECONDS": "30"} | environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=10)

    def ended(self, seconds: float) -> int:
        self.process.communicate(timeout=seconds)
        return self.process.returncode


@pytest.mark.parametrize(
    ("people", "kills"), [(600, 3), pytest.param(10_000, 10, marks=pytest.mark.soak)]
)
async def test_everybody_is_reached_once_however_often_the_sender_is_killed(
    sandbox: Sandbox, rows: Rows, org: UUID, people: int, kills: int
):
    web = WebProcess()
    try:
        world = await asyncio.to_thread(World, sandbox, rows, org, people, web.url)
        await world.connect()
        world.people()
        await world.tell()
        for provider in world.fields:
            sandbox.latency(0.05, provider)
        chance = random.Random(people)  # noqa: S311  # the same kills every time
        for _ in range(kills):
            draining = await asyncio.to_thread(Draining, PUBLIC_BASE_URL=web.url)
            await asyncio.sleep(chance.uniform(0.4, 2.0))
            draining.kill()
        await finished(rows, web.url)
        judge(rows, world, kills)
    finally:
        web.stop()
        for provider in ("slack", "sendgrid", "twilio"):
            sandbox.latency(0, provider)


async def finished(rows: Rows, url: str, rounds: int = 12) -> None:
    """Drain until nothing waits, and what is in doubt has been asked about."""
    for _ in range(rounds):
        draining = await asyncio.to_thread(Draining, PUBLIC_BASE_URL=url)
        assert await asyncio.to_thread(draining.ended, 300) == 0
        open_ones = rows(
            "select count(*) from integration_deliveries where state in ('queued', 'sending', 'unknown')"
        )
        if open_ones == [(0,)]:
            return
        await asyncio.sleep(2)


def judge(rows: Rows, world: World, kills: int) -> None:
    unknown = {
        person.lower()
        for (person,) in rows(
            "select c.first_name from integration_deliveries as d join contacts as c on c.id = d.contact_id"
            " where d.state = 'unknown'"
        )
    }
    received = world.received()
    twice = {person: number for person, number in received.items() if number > 1}
    assert twice == {}
    missing = {f"p{i}" for i in range(world.number)} - set(received)
    assert missing <= unknown
    # Twilio's log and Slack's history can be asked. SendGrid tells by events only: what it never heard of
    # leaves none, so the calls that were on their way at a kill stay listed until a person decides.
    calls = rows(
        "select channel, count(distinct call_id) from integration_deliveries"
        " where state = 'unknown' group by 1"
    )
    why = "select channel, code, reason, looks, count(*) from integration_deliveries where state = 'unknown'"
    assert {row[0] for row in calls} <= {"email"}, rows(f"{why} group by 1, 2, 3, 4")
    assert calls == [] or (calls[0][0] == "email" and len(calls) == 1)
    assert sum(number for _, number in calls) <= kills * SENDERS[Channel.EMAIL].in_flight
