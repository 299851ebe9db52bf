"""The embedded PostgreSQL: joined, killed, confused, stopped."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from atlvs.db import embedded
from atlvs.errors import Misconfigured

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")


@pytest.fixture
def home() -> Iterator[Path]:
    """A data folder whose server is stopped at the end."""
    path = Path(tempfile.mkdtemp(prefix="atlvs-e-", dir="/tmp"))  # noqa: S108
    yield path
    embedded.stop(path)
    shutil.rmtree(path, ignore_errors=True)


def postmaster(home: Path) -> int:
    return int((embedded.folder(home) / "postmaster.pid").read_text().split()[0])


def kill(home: Path) -> None:
    os.kill(postmaster(home), signal.SIGKILL)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # not yet reaped by init
    except psutil.NoSuchProcess:
        return True


def answer(address: str) -> object:
    with psycopg.connect(address) as connection:
        return connection.execute("select 1").fetchone()


def test_address_starts_a_server_once_and_stop_is_quiet_twice(home: Path):
    assert not embedded.running(home)
    address = embedded.address(home)
    pid = postmaster(home)
    assert embedded.address(home) == embedded.start(home) == address
    assert postmaster(home) == pid
    assert answer(address) == (1,)
    embedded.stop(home)
    assert not embedded.running(home)
    assert gone(pid)
    embedded.stop(home)


def test_server_listens_on_no_port_and_leads_its_own_session(home: Path):
    address = embedded.start(home)
    with psycopg.connect(address) as connection:
        shown = connection.execute(
            "select current_setting('listen_addresses'), current_setting('max_connections')"
        ).fetchone()
    assert shown == ("", "200")
    assert os.getsid(postmaster(home)) == postmaster(home) != os.getsid(0)
    assert embedded.folder(home).stat().st_mode & 0o777 == 0o700
    assert "STRIPE" not in "".join(psutil.Process(postmaster(home)).environ())


def test_killed_server_comes_back_at_once_with_its_rows(home: Path):
    address = embedded.ensure_database(embedded.start(home), "kept")
    with psycopg.connect(address) as connection:
        connection.execute("create table kept as select 1 as one")
    for pause in (0.05, 0.3):
        kill(home)
        time.sleep(pause)
        embedded.address(home)
        with psycopg.connect(address) as connection:
            assert connection.execute("select one from kept").fetchone() == (1,)


def test_pid_file_of_a_past_life_may_name_a_living_stranger(home: Path):
    embedded.start(home)
    file = embedded.folder(home) / "postmaster.pid"
    lines = file.read_text().splitlines()
    kill(home)
    time.sleep(0.3)
    file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert not embedded.running(home)
    embedded.stop(home)  # does not signal us
    assert answer(embedded.address(home)) == (1,)
    assert postmaster(home) != os.getpid()


def test_torn_pid_file_is_no_address(home: Path):
    embedded.start(home)
    embedded.stop(home)
    (embedded.folder(home) / "postmaster.pid").write_text("12\n")
    assert answer(embedded.address(home)) == (1,)


def test_half_made_cluster_is_made_again(home: Path):
    half = embedded.folder(home).with_name("postgres.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    assert answer(embedded.start(home)) == (1,)


def test_processes_that_start_together_share_one_server(home: Path):
    code = (
        "import sys; from pathlib import Path; from atlvs.db import embedded;"
        "a = embedded.address(Path(sys.argv[1])); print(embedded.ensure_database(a, 'both'))"
    )
    starts = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, str(home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(4)
    ]
    answers = {start.communicate()[0] for start in starts}
    assert [start.returncode for start in starts] == [0] * 4
    assert len(answers) == 1
    assert answer(answers.pop().strip()) == (1,)


def test_path_too_long_for_a_socket(home: Path):
    deep = home / ("deep, " + "x" * 120)
    try:
        address = embedded.start(deep)
        place = Path(str(conninfo_to_dict(address)["host"]))
        assert not place.is_relative_to(home)
        assert answer(embedded.ensure_database(address, "it's 100%")) == (1,)
    finally:
        embedded.stop(deep)
    assert not place.exists()


def test_path_that_no_shell_carries_is_refused(home: Path):
    with pytest.raises(Misconfigured, match="cannot use the folder"):
        embedded.start(home / 'a"b')


@root_only
def test_folder_of_another_user_is_left_alone(home: Path):
    theirs = home / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    with pytest.raises(Misconfigured, match="belongs to user nobody, and this is user root"):
        embedded.start(theirs)
    assert theirs.stat().st_uid == 65534
    assert list(theirs.iterdir()) == []


@root_only
def test_cluster_of_another_user_is_left_alone(home: Path):
    embedded.folder(home).mkdir()
    os.chown(embedded.folder(home), 65534, 65534)
    with pytest.raises(Misconfigured, match="belongs to user nobody"):
        embedded.address(home)


@root_only
def test_root_opens_no_folder_for_listing(home: Path):
    home.chmod(0o700)
    embedded.start(home)
    assert home.stat().st_mode & 0o777 == 0o701
