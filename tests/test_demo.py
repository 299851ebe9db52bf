"""`atlvs demo`, as a person starts it: twice, with real processes, and nothing left behind."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from command_line import Ended, ended, start

from deployments import leftovers
from deployments.story import KEY as SECRET_KEY
from deployments.story import NINE

ROW = re.compile(r"│ ([a-z_.]+) +│ (\d+) +│ (\d+) +│ (\d+) +│")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One folder for both demos: Prefect's first start takes the longest."""
    path = Path(tempfile.mkdtemp(prefix="atlvs-d-", dir="/tmp"))  # noqa: S108  # short: socket paths
    yield path
    leftovers.end_all(path / "demo", leftovers.read(path / "demo"))
    shutil.rmtree(path, ignore_errors=True)


def demo(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """With an environment that a demo must not touch."""
    return start(
        *("demo", *arguments),
        ATLVS_DATA_DIR=str(home),
        DATABASE_URL="postgresql://nobody@127.0.0.1:9/platform",
        ATLVS_OWNER_DATABASE_URL="postgresql://nobody@127.0.0.1:9/platform",
        PREFECT_API_URL="http://127.0.0.1:9/api",
        STRIPE_SECRET_KEY="sk_live_real",
        STRIPE_WEBHOOK_SECRET="whsec_real",
        ATLVS_ORG="nobody",
    )


def processes_of(home: Path) -> list[str]:
    """Whatever still runs that has this folder in its command line or environment."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            told = " ".join([*process.cmdline(), *process.environ().values()])
        except (psutil.Error, OSError):
            continue
        if str(home) in told and process.pid != os.getpid():
            found.append(f"{process.pid} {' '.join(process.cmdline())}")
    return found


def check_success(told: Ended) -> None:
    assert told.code == 0, told
    assert told.err == ""
    assert told.out.rstrip().endswith("Both sides agree.")
    delivered = {name: tuple(map(int, rest)) for name, *rest in ROW.findall(told.out)}
    for kind in NINE:
        events, deliveries, well = delivered[kind]
        assert events >= 1
        assert deliveries == well >= 2 * events
    for secret in (SECRET_KEY, "sk_", "whsec_", "atlvs_", "real"):
        assert secret not in told.out
    assert set(re.findall(r"@([\w.-]+)", told.out)) <= {"example.com"}  # the sandbox's own people
    assert "What people received" in told.out
    assert "refused: replied STOP" in told.out


def test_demo_twice(home: Path):
    for _ in range(2):
        check_success(ended(demo(home), seconds=240))
        assert processes_of(home) == []


def test_ctrl_c_in_the_middle_leaves_nothing(home: Path):
    process = demo(home)
    assert process.stdout
    for line in process.stdout:
        if "reading all of them" in line:
            break
    again = ended(demo(home), seconds=60)
    assert (again.code, "already runs" in again.err) == (2, True)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    told = ended(process)
    assert (told.code, told.err) == (1, "Interrupted.\n")
    assert time.monotonic() - began < 30
    assert processes_of(home) == []
