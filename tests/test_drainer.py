"""The warm drainer as a process: applied within moments, whatever Prefect does."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter
from products import Up
from sandbox_client import Sandbox

from atlvs.db import connections, inbox
from atlvs.db.engine import database
from blocks.stripe import Stripe, event_from
from deployments.drainer import SWEEP
from deployments.prefect_server import client_environment
from tasks.stripe.feed import read_feed

pytest_plugins = ["prefect_fixtures"]
ROOT = Path(__file__).parents[1]
NOWHERE = "http://127.0.0.1:9/api"


class Drainer:
    """`python -m deployments.drainer`, on this test's database."""

    def __init__(self, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "deployments.drainer"],
            env={**os.environ, "PREFECT_API_URL": NOWHERE, **environment},
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture
def start(database_url: str) -> Iterator[Callable[..., Drainer]]:
    started: list[Drainer] = []

    def begin(**environment: str) -> Drainer:
        started.append(Drainer(**environment))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


@pytest.fixture
def connected(org: UUID, sandbox: Sandbox) -> Sandbox:
    sandbox.seed(customers=20)
    fields = {
        "secret_key": sandbox.key,
        "api_base": sandbox.base("stripe"),
        "reads_per_second": 2000.0,
    }
    asyncio.run(connections.save(org, "stripe", "default", fields))
    return sandbox


def arrive(sandbox: Sandbox, name: str, customers: int = 5) -> None:
    """Customers change in Stripe, and the hints are in the inbox, as the receiver puts them there."""
    for one in sandbox.dump("customer")[:customers]:
        sandbox.act("update_customer", one["id"], changes={"name": name})

    async def store() -> None:
        found = await connections.find("stripe", "default")
        assert found
        async with Stripe.opened() as stripe:
            events = (await stripe.get("/v1/events", "limit=100"))["data"]
        await inbox.store([(found[0], event_from(one)) for one in events])
        await database().close()

    asyncio.run(store())


def applied(rows: Any, name: str, customers: int = 5, within: float = 60) -> float:
    """Seconds until all of them are in the mirror."""
    began = monotonic()
    count = "select count(*) from stripe_customers where name = %s"
    while rows(count, name) != [(customers,)]:
        assert monotonic() - began < within, rows("select state, error from integration_inbox")
        sleep(0.02)
    return monotonic() - began


def warmed_up(rows: Any, connected: Sandbox) -> None:
    """The drainer has started, whatever that took."""
    arrive(connected, "first")
    applied(rows, "first")


def test_hints_are_applied_at_once_and_shown_in_prefect(
    start: Callable[..., Drainer],
    connected: Sandbox,
    rows: Any,
    prefect_up: Up,
    prefect_server: str,
) -> None:
    drainer = start(**client_environment(prefect_up.settings, prefect_server))
    warmed_up(rows, connected)
    arrive(connected, "second")
    applied(rows, "second", within=SWEEP - 3)

    async def runs() -> list[Any]:
        async with get_client() as client:
            wanted = FlowFilter.model_validate({"name": {"any_": ["webhooks-drain"]}})
            return await client.read_flow_runs(flow_filter=wanted, limit=50)

    until = monotonic() + 60
    while not any(one.state_name == "Completed" for one in asyncio.run(runs())):
        assert monotonic() < until
        sleep(0.2)
    assert drainer.end() == 0


def test_it_works_while_the_prefect_server_is_away(
    start: Callable[..., Drainer], connected: Sandbox, rows: Any
) -> None:
    drainer = start()
    warmed_up(rows, connected)
    arrive(connected, "second")
    applied(rows, "second", within=SWEEP - 3)
    assert drainer.end() == 0


def test_it_works_while_the_prefect_server_hangs(
    start: Callable[..., Drainer], connected: Sandbox, rows: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Thread(target=lambda: [silent.accept() for _ in range(50)], daemon=True).start()
        start(PREFECT_API_URL=f"http://127.0.0.1:{silent.getsockname()[1]}/api")
        warmed_up(rows, connected)
        arrive(connected, "second")
        applied(rows, "second", within=SWEEP - 3)


def test_it_goes_on_after_the_database_was_away(
    start: Callable[..., Drainer], connected: Sandbox, rows: Any
) -> None:
    start()
    warmed_up(rows, connected)
    rows(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    arrive(connected, "second")
    applied(rows, "second", within=60)


def test_killed_and_started_again_it_loses_nothing(
    start: Callable[..., Drainer], connected: Sandbox, rows: Any
) -> None:
    first = start(ATLVS_KILL_AT="drain.in-store")
    arrive(connected, "first")
    first.process.wait(30)
    assert first.process.returncode == -signal.SIGKILL
    rows(
        "update integration_inbox set lease_until = now() - interval '1 second'"
    )  # two minutes later
    start()
    applied(rows, "first")
    assert rows("select distinct state from integration_inbox") == [("done",)]


def test_the_sweep_finds_what_no_webhook_brought(connected: Sandbox, rows: Any) -> None:
    connected.act("update_customer", connected.dump("customer")[0]["id"], changes={"name": "x"})

    async def sweep() -> tuple[int, int]:
        async with Stripe.opened() as stripe:
            since = await database().now()
            first = await read_feed.fn(stripe, since)
            second = await read_feed.fn(stripe, since)
        return first.new, second.new

    assert asyncio.run(sweep()) == (1, 0)
