"""Commands as processes: what they start, and how they end."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import ended, start
from conftest import ENCRYPTION_KEY
from sandbox_client import Sandbox
from web_client import wait_until

from atlvs.db import embedded

pytest_plugins = ["command_fixtures"]


# The embedded PostgreSQL


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A data folder of its own, bootstrapped; sockets want short paths."""
    path = Path(tempfile.mkdtemp(prefix="atlvs-c-", dir="/tmp"))  # noqa: S108
    told = ended(start("bootstrap", "--json", ATLVS_DATA_DIR=str(path)))
    assert told.json["done"][0] == "database: at the newest revision"
    assert told.err == ""
    yield path
    embedded.stop(path)
    shutil.rmtree(path, ignore_errors=True)


def asking(home: Path) -> subprocess.Popen[str]:
    """A command that uses the database and waits for a person."""
    process = start("connect", "stripe", ATLVS_DATA_DIR=str(home))
    wait_until(lambda: embedded.running(home))
    return process


def test_commands_start_it_share_it_and_stop_it(home: Path):
    assert not embedded.running(home)  # bootstrap has stopped it
    waiting = asking(home)
    told = ended(start("status", "--json", ATLVS_DATA_DIR=str(home)))
    assert told.json["facts"]["database"] == "embedded"
    assert embedded.running(home)
    assert waiting.poll() is None
    waiting.send_signal(signal.SIGINT)
    assert ended(waiting).says(1, "Interrupted.")
    assert not embedded.running(home)


def test_killed_commands_server_is_stopped_by_the_next(home: Path):
    waiting = asking(home)
    wait_until(lambda: (home / "commands.lock").read_text())
    waiting.kill()
    assert embedded.running(home)
    assert ended(start("status", ATLVS_DATA_DIR=str(home))).code == 0
    assert not embedded.running(home)


def test_what_others_started_is_left_running(home: Path):
    embedded.start(home)
    assert ended(start("status", ATLVS_DATA_DIR=str(home))).code == 0
    assert embedded.running(home)
    embedded.stop(home)


# How they end


def test_told_to_end(sandbox_connected: Sandbox, bootstrapped: str):
    sandbox_connected.latency(30)
    environment = {"DATABASE_URL": bootstrapped, "ATLVS_ENCRYPTION_KEYS": ENCRYPTION_KEY}
    process = start("check", "stripe", **environment)
    wait_until(lambda: connections_of(process))
    process.send_signal(signal.SIGTERM)
    assert ended(process, seconds=10).says(1, "Interrupted.")


def test_ctrl_c_before_anything(tmp_path: Path):
    process = start("status", ATLVS_DATA_DIR=str(tmp_path))
    wait_until(lambda: sum(psutil.Process(process.pid).cpu_times()[:2]) > 0.3)  # it imports
    process.send_signal(signal.SIGINT)
    assert ended(process, seconds=10).says(1, "Interrupted.")


def test_reader_who_has_seen_enough(sandbox_connected: Sandbox, bootstrapped: str):
    environment = {"DATABASE_URL": bootstrapped, "ATLVS_ENCRYPTION_KEYS": ENCRYPTION_KEY}
    process = start("status", **environment)
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == ""
    assert process.wait(10) in (0, 1)


def connections_of(process: subprocess.Popen[str]) -> list[Any]:
    """Its TCP connections: PostgreSQL is on a socket file, so these are to the sandbox."""
    return psutil.Process(process.pid).net_connections("tcp")
