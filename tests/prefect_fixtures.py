"""A real Prefect server on its own embedded PostgreSQL, with a worker: one for all tests."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from products import Up

from deployments.prefect_client import prefect_settings


@pytest.fixture(scope="session")
def prefect_up() -> Iterator[Up]:
    """`atlvs up` without web and drainer."""
    home = Path(tempfile.mkdtemp(prefix="atlvs-p-", dir="/tmp"))  # noqa: S108  # short: socket paths
    up = Up(home, {"prefect", "worker"})
    try:
        up.ready()
        with prefect_settings(up.settings):
            asyncio.run(no_schedules())
        yield up
    finally:
        up.kill()
        shutil.rmtree(home, ignore_errors=True)


async def no_schedules() -> None:
    """Every minute some runs would start of themselves, each a process: tests have nothing of them."""
    async with get_client() as client:
        for deployment in await client.read_deployments():
            await client.pause_deployment(deployment.id)


@pytest.fixture
def prefect_server(prefect_up: Up) -> Iterator[str]:
    """In this test, Prefect talks to the server; its address."""
    with prefect_settings(prefect_up.settings) as url:
        assert url
        yield url


@pytest.fixture
async def prefect_api(prefect_server: str) -> AsyncGenerator[PrefectClient]:
    """A client of the server."""
    async with get_client() as client:
        yield client
