"""Runs that are ended in the middle, and others at work beside them: everybody is told once."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from conftest import Rows
from fanout_world import World
from notify_people import ANY, artifact, run
from prefect.settings import get_current_settings
from sandbox_client import Sandbox

from atlvs.settings import settings
from blocks.base import resources
from flows import notify as told
from tasks.notify.draining import drain_notifications

PROGRAM = Path(__file__).with_name("notify_run.py")
PEOPLE = 90
notify: Any = told.notify  # its type knows no coroutine


@pytest.fixture
def notify_crowd(sandbox: Sandbox, rows: Rows, org: UUID, prefect_server: str) -> World:
    """More people, and a provider that takes its time."""
    world = World(sandbox, rows, org, PEOPLE, "http://127.0.0.1:9")
    asyncio.run(world.connect())
    world.people()
    sandbox.latency(1.5, "twilio")
    return world


def start(log: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM)],
        env=os.environ
        | get_current_settings().to_environment_variables(exclude_unset=True)
        | {"ATLVS_SETTLE_SECONDS": "1"},
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
    )


def until(true: Callable[[], Any], log: Path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.05)


def some_sent(rows: Rows) -> bool:
    return rows(
        "select count(*) > 0 from integration_deliveries where state in ('sending', 'sent')"
    )[0][0]


def finish(rows: Rows) -> None:
    """What the drainer does from then on."""

    async def drain() -> None:
        async with resources():
            await drain_notifications(30)

    for _ in range(8):
        asyncio.run(drain())
        left = "select count(*) from integration_deliveries where state in ('queued', 'sending', 'unknown')"
        if rows(left) == [(0,)]:
            return
        time.sleep(1)


def judge(world: World, rows: Rows) -> None:
    """Everybody once, but for mails whose answer got lost: SendGrid tells by webhook only."""
    received = world.received()
    missing = {f"p{number}" for number in range(PEOPLE)} - set(received)
    unknown = rows(
        "select lower(c.first_name) from integration_deliveries as d"
        " join contacts as c on c.id = d.contact_id where d.state = 'unknown' and d.channel = 'email'"
    )
    assert set(received.values()) == {1}
    assert missing <= {name for (name,) in unknown}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_the_notification_going(
    notify_crowd: World,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    number: signal.Signals,
):
    monkeypatch.setenv("ATLVS_SETTLE_SECONDS", "1")
    settings.cache_clear()
    log = tmp_path / "run.log"
    process = start(log)
    try:
        until(lambda: some_sent(rows), log)
        process.send_signal(number)
        assert process.wait(30) != 0
    finally:
        process.kill()
    assert rows("select state from integration_notifications") == [("sending",)]
    if number == signal.SIGTERM:
        assert "atlvs deliveries cancel" in artifact("notify")
    finish(rows)
    judge(notify_crowd, rows)


def test_a_flow_and_the_drainer_share_one_notification(notify_crowd: World, rows: Rows):
    async def both() -> dict[str, Any]:
        async with resources():
            draining = asyncio.create_task(_drain())
            summary = await notify(**ANY, dry_run=False)
            draining.cancel()
        return summary

    async def _drain() -> None:
        while True:
            await drain_notifications(1)
            await asyncio.sleep(0.05)

    summary = asyncio.run(both())
    assert (summary["state"], summary["deliveries"]) == ("done", PEOPLE)
    received = notify_crowd.received()
    assert {received[f"p{number}"] for number in range(PEOPLE)} == {1}


def test_two_runs_of_one_form_at_the_same_time(notify_crowd: World, rows: Rows):
    async def both() -> list[dict[str, Any]]:
        async with resources():
            return await asyncio.gather(*(notify(**ANY, dry_run=False) for _ in range(2)))

    first, second = asyncio.run(both())
    assert first["notification"] == second["notification"]
    assert {first["state"], second["state"]} == {"done"}
    received = notify_crowd.received()
    assert {received[f"p{number}"] for number in range(PEOPLE)} == {1}


def test_paused_in_the_middle_it_stops_politely_and_goes_on(notify_crowd: World, rows: Rows):
    async def paused() -> dict[str, Any]:
        async with resources():
            running = asyncio.create_task(notify(**ANY, dry_run=False))
            while not await asyncio.to_thread(some_sent, rows):
                await asyncio.sleep(0.01)
            id = rows("select id from integration_notifications")[0][0]
            await told.decide(notification=id, decision="pause", by="Ada")
            return await running

    summary = asyncio.run(paused())
    assert summary["state"] == "paused"
    assert "Paused by Ada" in summary["notes"][-1]
    run(told.decide, notification=UUID(summary["notification"]), decision="resume", by="Ada")
    finish(rows)
    received = notify_crowd.received()
    assert {received[f"p{number}"] for number in range(PEOPLE)} == {1}


def test_a_provider_that_refuses_the_key_ends_the_run_with_words(
    notify_crowd: World, rows: Rows, sandbox: Sandbox
):
    sandbox.fault("status", provider="twilio", path=".", status=401, times=None)
    summary = run(told.notify, **ANY, dry_run=False)
    assert "atlvs check twilio" in " ".join(summary["notes"])
    assert "go out later" in " ".join(summary["notes"])
    received = notify_crowd.received()
    assert sum(received.values()) == PEOPLE * 2 // 3
