"""The ground all measurements stand on: PostgreSQL, the sandbox and a Prefect server.

Prefect keeps its own PostgreSQL: what the measured one spends is for our rows alone.
"""

import asyncio
import base64
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import requests

from atlvs.db import connections, embedded, migrate
from atlvs.db.engine import database
from atlvs.settings import set_variables, settings
from deployments.supervise import ROOT, Product
from tests.benchmarks.cost import Meter
from tests.sandbox_client import Sandbox

SECRET = "whsec_bench"
OURS = ("stripe_customers", "integration_syncs", "integration_calls", "integration_inbox")
FOREIGN = ("STRIPE_", "TWILIO_", "SENDGRID_", "SLACK_", "PREFECT_", "ATLVS_")
BARE = {"bare_customers": "stripe_customers", "bare_inbox": "integration_inbox"}


@dataclass
class Ground:
    """What runs, and how to reach it."""

    database_url: str
    postmaster: int
    sandbox: Sandbox
    sandbox_pid: int
    product: Product
    org: UUID

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that takes part."""
        return {**os.environ, "PYTHONPATH": str(ROOT), **self.product.environment}

    def meter(self, **more: int) -> Meter:
        """Reads what is spent from now on."""
        prefect = self.product.child("prefect").pid or 0
        pids = {"postgres": self.postmaster, "sandbox": self.sandbox_pid, "prefect": prefect}
        return Meter(**pids, **more)

    async def connect(self, name: str, **fields: Any) -> UUID:
        """A saved connection to the sandbox's account of that name."""
        known = {
            "secret_key": key_of(name),
            "api_base": self.sandbox.base("stripe"),
            "webhook_secrets": SECRET,
        }
        return (await connections.save(self.org, "stripe", name, known | fields)).id

    def empty(self) -> None:
        """No rows, and nothing left to be written to disk by whom it does not concern."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(f"truncate {', '.join([*OURS, *BARE])} cascade".encode())
            connection.execute("checkpoint")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Read past row security."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(sql.encode()).fetchall()

    def run(self, *statements: str) -> None:
        """Write past row security."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @contextmanager
    def program(self, path: str, command: list[str], **given: str) -> Generator["Listening"]:
        """A server of ours or bare, on a free port, until the block ends."""
        port = free_port()
        told = {"ATLVS_LISTEN_PORT": str(port)}
        process = subprocess.Popen(
            [part.replace("PORT", str(port)) for part in command],
            env=self.environment | told | given,
            cwd=ROOT,
        )
        try:
            listening = Listening(f"http://127.0.0.1:{port}", process)
            wait_until(lambda: listening.answers(path))
            yield listening
        finally:
            process.terminate()
            process.wait(40)

    @contextmanager
    def drainer(self) -> Generator[None]:
        """The warm drainer, until the block ends."""
        command = python("deployments.drainer")
        process = subprocess.Popen(command, env=self.environment, cwd=ROOT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


@dataclass
class Listening:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]

    def answers(self, path: str) -> bool:
        """Whether anybody answers there, whatever."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.process.args} ended with {self.process.returncode}")
        try:
            return requests.get(self.url + path, timeout=2).status_code > 0
        except requests.ConnectionError:
            return False


@asynccontextmanager
async def ground() -> AsyncGenerator[Ground]:
    """Everything up, in a folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="atlvs-bench-", dir="/tmp"))  # noqa: S108  # socket paths are short
    try:
        async with _running(folder) as running:
            yield running
    finally:
        await asyncio.to_thread(embedded.stop, folder / "measured")
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _running(folder: Path) -> AsyncGenerator[Ground]:
    url = await asyncio.to_thread(_database, folder / "measured")
    _environment(folder, url)
    org = _organization(url)
    with _sandbox() as (sandbox, pid):
        product = Product(settings(), parts={"prefect"}, prefect_port=0, say=_quiet)
        async with product:
            yield Ground(url, _postmaster(folder / "measured"), sandbox, pid, product, org)
            await database().close()


def _database(folder: Path) -> str:
    url = embedded.ensure_database(embedded.start(folder), "atlvs")
    migrate.upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        for bare, ours in BARE.items():
            connection.execute(f"create table {bare} (like {ours} including all)".encode())
    return url


def _environment(folder: Path, url: str) -> None:
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    set_variables(
        DATABASE_URL=url,
        ATLVS_DATA_DIR=str(folder / "prefect"),
        ATLVS_ENCRYPTION_KEYS=base64.b64encode(os.urandom(32)).decode(),
    )


def _organization(url: str) -> UUID:
    with psycopg.connect(url, autocommit=True) as connection:
        made = connection.execute(
            "insert into organizations (name, slug) values ('Bench', 'bench') returning id"
        ).fetchone()
    if made is None:
        raise RuntimeError("insert returned nothing")
    return made[0]


@contextmanager
def _sandbox() -> Generator[tuple[Sandbox, int]]:
    sandbox, process = Sandbox.start("stripe", "twilio", "sendgrid")
    sandbox.limits(off=True)
    sandbox.recording(False)
    try:
        yield sandbox, process.pid
    finally:
        process.terminate()
        process.wait(10)


def _postmaster(folder: Path) -> int:
    return int((embedded.folder(folder) / "postmaster.pid").read_text().split()[0])


def _quiet(name: str, line: str) -> None:
    if "rror" in line:
        sys.stderr.write(f"{name:<9} | {line}\n")


def key_of(name: str) -> str:
    """The sandbox's account that a connection is about."""
    return f"sk_test_{name}"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that happens soon."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("it did not happen")
        time.sleep(0.05)


def python(module: str, *arguments: str) -> list[str]:
    """A command."""
    return [sys.executable, "-m", module, *arguments]
