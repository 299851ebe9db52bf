"""The `atlvs` command in a test's own process, its database and its connection."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from command_line import InProcess
from products import Up
from sandbox_client import Sandbox
from web_client import connect_door

from atlvs.settings import settings
from blocks.stripe import Stripe
from deployments.prefect_client import prefect_settings
from tasks.connections import block_names


@pytest.fixture
def atlvs(capsys: pytest.CaptureFixture[str]) -> Iterator[InProcess]:
    """Run a command."""
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    handlers = logging.getLogger().handlers[:]
    yield InProcess(capsys)
    logging.getLogger().handlers = handlers
    for number, handler in signals.items():
        signal.signal(number, handler)
    settings.cache_clear()


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("ATLVS_", "STRIPE_", "PREFECT_API")):
            monkeypatch.delenv(name)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("ATLVS_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def bootstrapped(database_url: str, org: UUID) -> str:
    """A database with our tables and one organization; commands use it."""
    return database_url


@pytest.fixture
def sandbox_connected(bootstrapped: str, org: UUID, sandbox: Sandbox) -> Sandbox:
    """The sandbox as the connection `default`."""
    connect_door(org, sandbox)
    return sandbox


@pytest.fixture
def environment(
    bootstrapped: str, org: UUID, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Sandbox:
    """An environment that describes the connection `default`. No Prefect server."""
    monkeypatch.setenv("STRIPE_SECRET_KEY", sandbox.key)
    monkeypatch.setenv("STRIPE_API_BASE", sandbox.base("stripe"))
    settings.cache_clear()
    return sandbox


@pytest.fixture
def prefect(prefect_up: Up, monkeypatch: pytest.MonkeyPatch) -> Iterator[Up]:
    """Commands find the running Prefect server; no block of a test outlives it."""
    monkeypatch.setenv("ATLVS_DATA_DIR", str(prefect_up.settings.data_dir))
    settings.cache_clear()
    yield prefect_up
    monkeypatch.undo()
    with prefect_settings(prefect_up.settings):
        asyncio.run(_delete_blocks())


async def _delete_blocks() -> None:
    for name in await block_names(Stripe):
        await Stripe.adelete(name)
