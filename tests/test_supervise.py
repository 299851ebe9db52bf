"""`atlvs up`: what it leaves behind (nothing), and what it survives."""

import asyncio
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

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
    leftovers.end_all(path / "data", leftovers.read(path / "data"))
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
        for _ in range(300):
            if (await client.read_flow_run(run.id)).state_name == "Running":
                return str(run.id)
            await asyncio.sleep(0.1)
    raise AssertionError("the run did not start\n" + "\n".join(up.lines))


def nothing_is_left(up: Up) -> bool:
    told = up.told
    return not leftovers.processes_of(told) and not embedded.running(up.settings.data_dir)


def engines(up: Up) -> list[psutil.Process]:
    return [p for p in leftovers.processes_of(up.told) if "prefect.engine" in p.cmdline()]


async def test_one_life_after_the_other(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(home / "flows")

    # Ctrl-C while a run is under way: all ends in time, and the run says that it crashed.
    up = Up(home, {"prefect", "web", "worker"}).ready()
    first = await start_waiting_run(up)
    assert engines(up)
    began = time.monotonic()
    assert up.end(signal.SIGINT) == 0, up.lines
    assert time.monotonic() - began < 15
    assert nothing_is_left(up)
    assert not any("Traceback" in line for line in up.lines), up.lines

    # Killed: its lifeline ends the rest, flow runs and PostgreSQL with it.
    up = Up(home, {"prefect", "worker"}).ready()
    async with client_of(up) as client:
        assert (await client.read_flow_run(first)).state_name == "Crashed"  # pyright: ignore
    second = await start_waiting_run(up)
    up.end(signal.SIGKILL)
    until(lambda: nothing_is_left(up), 20)

    # Killed, and started again before that could happen.
    up = Up(home, {"prefect", "worker"}).ready()
    async with client_of(up) as client:
        assert (await client.read_flow_run(second)).state_name == "Crashed"  # pyright: ignore
    third = await start_waiting_run(up)
    before = leftovers.processes_of(up.told)
    lifeline = next(
        p for p in psutil.Process(up.process.pid).children() if "lifeline" in str(p.cmdline())
    )
    lifeline.kill()  # it cannot help
    up.end(signal.SIGKILL)
    assert len(before) >= 3

    up = Up(home, {"prefect", "worker"}).ready()
    assert not [process for process in before if process.is_running()]
    async with client_of(up) as client:
        assert (await client.read_flow_run(third)).state_name == "Crashed"  # pyright: ignore
        # No slot of the killed run blocks its deployment.
    await start_waiting_run(up)

    # A second one on the same folder is refused, and harms nothing.
    other = Up(home, {"prefect"})
    assert other.process.wait(20) == 1
    until(lambda: any("already runs" in line for line in other.lines), 5)
    assert psutil.pid_exists(up.pid("prefect"))

    # Parts that die come back.
    for part in ("worker", "prefect"):
        gone = up.pid(part)
        os.kill(gone, signal.SIGKILL)
        until(lambda part=part, gone=gone: up.pid(part) != gone, 10, up)
    os.kill(
        int((embedded.folder(up.settings.data_dir) / "postmaster.pid").read_text().split()[0]), 9
    )
    until(lambda: any("postgres  | is gone" in line for line in up.lines), 10, up)
    until(lambda: embedded.running(up.settings.data_dir), 10, up)

    assert up.end(signal.SIGTERM) == 0, up.lines
    assert nothing_is_left(up)


def test_taken_port_is_named(home: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = Up(home, {"prefect"}, PREFECT_SERVER_API_PORT=str(port))
        assert up.process.wait(30) == 1
    until(lambda: any(f"Port {port} on 127.0.0.1 cannot be had" in line for line in up.lines), 5)
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
