"""`atlvs up`: what it leaves behind (nothing), and what it survives."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from products import Up, until

from atlvs.db import embedded
from deployments import leftovers
from deployments.deploy import deploy_all
from deployments.prefect_client import prefect_settings


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One folder for all lives: Prefect's first start takes the longest."""
    path = Path(tempfile.mkdtemp(prefix="atlvs-u-", dir="/tmp"))  # noqa: S108
    yield path
    told = leftovers.read(path / "data")
    with contextlib.suppress(psutil.Error, KeyError):  # a failed test may have left it running
        psutil.Process(told["up"]["pid"]).kill()
    leftovers.end_all(path / "data", told)
    shutil.rmtree(path, ignore_errors=True)


@asynccontextmanager
async def client_of(up: Up) -> AsyncGenerator[PrefectClient]:
    with prefect_settings(up.settings):
        async with get_client() as client:
            yield client


async def start_waiting_run(up: Up) -> str:
    """A run of `slowly.wait` that is under way; its id."""
    async with client_of(up) as client:
        await deploy_all(client, up.deployments)
        deployment = await client.read_deployment_by_name("slowly-wait/on-demand")
        run = await client.create_flow_run_from_deployment(deployment.id)
        state = None
        for _ in range(600):
            state = (await client.read_flow_run(run.id)).state
            if state and (state.is_running() or state.is_final()):
                break
            await asyncio.sleep(0.1)
    assert state, up.lines
    assert state.is_running(), (state, up.lines)
    return str(run.id)


def nothing_is_left(up: Up) -> bool:
    told = up.told
    return not leftovers.processes_of(told) and not embedded.running(up.settings.data_dir)


async def state_of(up: Up, run: str) -> str | None:
    async with client_of(up) as client:
        return (await client.read_flow_run(UUID(run))).state_name


def lifeline_of(up: Up) -> psutil.Process:
    children = psutil.Process(up.process.pid).children()
    return next(child for child in children if "deployments.lifeline" in child.cmdline())


def engines(up: Up) -> list[psutil.Process]:
    return [p for p in leftovers.processes_of(up.told) if "prefect.engine" in p.cmdline()]


def postmaster(up: Up) -> int:
    return int((embedded.folder(up.settings.data_dir) / "postmaster.pid").read_text().split()[0])


async def test_killed_and_started_again(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(home / "flows")
    up = Up(home, {"prefect", "worker"}).ready()
    second_one_is_refused(up)
    lost = await start_waiting_run(up)
    await dead_parts_come_back(up)
    assert engines(up)  # the run survived its worker
    before = leftovers.processes_of(up.told)
    assert len(before) >= 3
    lifeline_of(up).kill()  # it cannot help
    up.end(signal.SIGKILL)

    up = Up(home, {"prefect", "worker"}).ready()
    assert not [process for process in before if process.is_running()]
    assert await state_of(up, lost) == "Crashed"
    # The lost run's slot does not block its deployment: the next one starts.
    lost = await start_waiting_run(up)
    await ctrl_c_ends_all_in_time(up, lost)


def second_one_is_refused(up: Up) -> None:
    other = Up(up.home, {"prefect"})
    assert other.process.wait(20) == 1
    until(lambda: any("already runs" in line for line in other.lines), 60)
    assert psutil.pid_exists(up.pid("prefect"))


async def dead_parts_come_back(up: Up) -> None:
    old = {part: up.pid(part) for part in ("worker", "prefect")}
    for pid in (*old.values(), postmaster(up)):
        os.kill(pid, signal.SIGKILL)
    until(lambda: all(up.pid(part) != pid for part, pid in old.items()), 10, up)
    until(lambda: any("postgres  | is gone" in line for line in up.lines), 10, up)
    async with client_of(up) as client:
        for _ in range(600):
            if await client.api_healthcheck() is None:
                return
            await asyncio.sleep(0.1)
    raise AssertionError("Prefect did not come back\n" + "\n".join(up.lines))


async def ctrl_c_ends_all_in_time(up: Up, run: str) -> None:
    assert engines(up)
    began = time.monotonic()
    assert up.end(signal.SIGINT) == 0, up.lines
    assert time.monotonic() - began < 15
    assert nothing_is_left(up)
    assert not any("Traceback" in line for line in up.lines), up.lines


def test_killed_product_is_tidied_up_by_its_lifeline(home: Path):
    up = Up(home, {"web"}).ready()
    assert leftovers.processes_of(up.told)
    assert embedded.running(up.settings.data_dir)
    up.end(signal.SIGKILL)
    until(lambda: nothing_is_left(up), 60)


def test_taken_port_is_named(home: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = Up(home, {"prefect"}, PREFECT_SERVER_API_PORT=str(port))
        assert up.process.wait(30) == 1
    until(lambda: any(f"Port {port} on 127.0.0.1 cannot be had" in line for line in up.lines), 60)
    assert nothing_is_left(up)


def test_ctrl_c_while_starting(home: Path):
    up = Up(home, {"prefect"})
    until(
        lambda: (
            "prefect" in up.told.get("processes", {}) and up.told["up"]["pid"] == up.process.pid
        ),
        20,
    )
    assert up.end(signal.SIGINT) == 0, up.lines
    assert nothing_is_left(up)
