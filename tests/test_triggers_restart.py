"""PostgreSQL restarts, and is killed, in the middle of the posts: nothing is missed, the drainer goes on."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from uuid import UUID

import pytest
from conftest import ENCRYPTION_KEY, Rows
from hooks_world import EVENTS, World
from sandbox_client import Sandbox
from sandbox_zapier_client import ZapierAccount

from atlvs.db import embedded, migrate
from atlvs.db.engine import database
from atlvs.settings import settings
from tasks.triggers.posting import IN_FLIGHT

ROOT = Path(__file__).parents[1]


class Server:
    """A PostgreSQL of the test's own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="atlvs-pg-", dir="/tmp"))  # noqa: S108
        self.url = embedded.ensure_database(embedded.start(self.folder), "atlvs")

    def restart(self) -> None:
        embedded.stop(self.folder)
        embedded.start(self.folder)

    def crash(self) -> None:
        process = embedded._process(embedded.folder(self.folder))
        assert process
        process.kill()
        process.wait(10)
        embedded.start(self.folder)

    def remove(self) -> None:
        embedded.stop(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def own_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    migrate.upgrade(server.url)
    monkeypatch.setenv("DATABASE_URL", server.url)
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", ENCRYPTION_KEY)
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    monkeypatch.setenv("ATLVS_HOOKS_PER_SECOND", "200")
    settings.cache_clear()
    yield server
    settings.cache_clear()
    server.remove()


@pytest.fixture
def warm_drainer(own_server: Server) -> Iterator[subprocess.Popen[str]]:
    """As it runs in production, while Prefect is away."""
    del own_server
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "deployments.drainer"],
        env=os.environ | {"PREFECT_API_URL": "http://127.0.0.1:9/api"},
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


async def test_a_restart_of_postgresql_loses_nothing(
    own_server: Server, warm_drainer: subprocess.Popen[str], sandbox: Sandbox
):
    rows = Rows(own_server.url)
    [(org,)] = rows("insert into organizations (name) values ('Acme') returning id")
    world = World(rows, org, ZapierAccount(sandbox))
    await world.listen()
    for disturb in (own_server.restart, own_server.crash, own_server.restart):
        await world.change(600)
        delivered(rows, sum(world.made.values()) - 300)
        await asyncio.to_thread(disturb)
        await database().close()
    delivered(rows, 2 * sum(world.made.values()), "count(*)")
    assert warm_drainer.poll() is None
    judge(world, 3)
    warm_drainer.send_signal(signal.SIGTERM)
    _, said = warm_drainer.communicate(timeout=30)
    assert warm_drainer.returncode == 0
    assert "Traceback" not in said, said


def delivered(rows: Rows, number: int, counted: str = "count(distinct event_id)") -> None:
    """Wait until so many are."""
    until = monotonic() + 90
    sql = f"select {counted} from integration_hook_deliveries where state = 'delivered'"
    while (found := rows(sql)[0][0]) < number:
        states = "select state, count(*), min(due_at) - now() from integration_hook_deliveries group by 1"
        assert monotonic() < until, (found, number, rows(states))


def judge(world: World, restarts: int) -> None:
    """Each event at least once and in its record's order; again only what was under way at a restart."""
    happened: dict[str, dict[str, int]] = {event: {} for event in EVENTS}
    for type, id, seq in world.rows("select type, id::text, seq from integration_outbox"):
        happened[type][id] = seq
    assert {type: len(ids) for type, ids in happened.items()} == world.made
    for type, target, hook in world.targets:
        came = world.zaps.counts(target, all=1)
        assert came["counts"].keys() == happened[type].keys()
        assert came["accepted"] - came["distinct"] <= restarts * IN_FLIGHT
        logged = attempts(world.rows, hook)
        assert all(number <= logged[id] for id, number in came["counts"].items())
        for record, found in world.zaps.order(target, all=1, first=1)["order"].items():
            seqs = [happened[type][one["id"]] for one in found]
            assert seqs == sorted(seqs), record


def attempts(rows: Rows, hook: UUID) -> dict[str, int]:
    """How many attempts the log knows of each event."""
    return dict(
        rows(
            "select d.event_id::text, count(*) from integration_hook_attempts as a"
            " join integration_hook_deliveries as d on d.id = a.delivery_id where d.hook_id = %s group by 1",
            hook,
        )
    )
