"""Fixtures: a real PostgreSQL with a migrated database per test, and the sandbox over real sockets."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

# Telemetry off and no stray server before anything imports prefect.
os.environ |= {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}

from sandbox_client import Sandbox  # noqa: E402
from webhook_listener import Listener  # noqa: E402

from atlvs.db import embedded, engine, migrate  # noqa: E402
from atlvs.settings import settings  # noqa: E402

# A shell's background job ignores Ctrl-C, and hands that on: the processes of tests must not.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["stripe_fixtures", "prefect_fixtures", "fanout_fixtures"]
ENCRYPTION_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of our own for the session; the superuser's address."""
    folder = Path(tempfile.mkdtemp(prefix="atlvs-pg-", dir="/tmp"))  # noqa: S108  # short: socket paths
    address = embedded.start(folder)
    with psycopg.connect(address, autocommit=True) as connection:
        # A killed process is tested here, not a power cut: nothing has to reach the disk.
        connection.execute("alter system set fsync = off")
        connection.execute("alter system set full_page_writes = off")
        connection.execute("select pg_reload_conf()")
    migrate.upgrade(embedded.ensure_database(address, "atlvs_template"))
    yield address
    embedded.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database_url(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A migrated database of this test's own, in the environment as DATABASE_URL."""
    name = f"t_{uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        statement = f'create database "{name}" template atlvs_template strategy file_copy'
        connection.execute(statement)  # pyright: ignore
    url = _as_url(make_conninfo(postgres, dbname=name))
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", ENCRYPTION_KEY)
    settings.cache_clear()
    yield url
    settings.cache_clear()
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')  # pyright: ignore


def _as_url(conninfo: str) -> str:
    parts = conninfo_to_dict(conninfo)
    return f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}"


class Rows:
    """Looks at tables as the superuser, past row security."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, sql: str, *parameters: object) -> list[tuple]:
        """`rows("stripe_customers", "email")` or a whole statement."""
        if " " not in sql:
            sql = f"select {', '.join(map(str, parameters)) or '*'} from {sql} order by 1"
            parameters = ()
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def rows(database_url: str) -> Rows:
    """Read (or write) any table past row security."""
    return Rows(database_url)


@pytest.fixture
def org(rows: Rows) -> UUID:
    """An organization."""
    return rows("insert into organizations (name, slug) values ('Acme', 'acme') returning id", *())[
        0
    ][0]


@pytest.fixture(autouse=True)
def _close_pools() -> Iterator[None]:
    yield
    engine._databases.clear()


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    running, process = Sandbox.start()
    yield running
    process.terminate()
    process.wait(5)


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Iterator[Sandbox]:
    """The running sandbox with an account of this test's own, without limits, faults or policies."""
    sandbox_process.limits(off=True)
    yield sandbox_process.with_key(f"sk_test_{uuid4().hex[:12]}")
    sandbox_process.clear_faults()
    sandbox_process.clear_webhooks()
    sandbox_process.latency(0)
    sandbox_process.limits(default=True)
    sandbox_process.clock(real=True)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A server that takes webhooks."""
    taking = Listener()
    yield taking
    taking.close()
