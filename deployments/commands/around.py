"""What stands around a command: a database that is there and set up, and Prefect if it runs.

The embedded PostgreSQL is started if nothing runs it, and stopped by the last of the commands that
share it, unless `atlvs up` has come to use it meanwhile.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Awaitable, Callable, Generator
from functools import wraps
from pathlib import Path
from typing import Any

import psycopg
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    temporary_settings,
)
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from atlvs.db import embedded
from atlvs.db.engine import SYSTEM, owner_url, role_conninfo
from atlvs.errors import Misconfigured, Unavailable
from atlvs.settings import Settings, settings
from blocks.base import resources
from deployments.leftovers import Record
from deployments.prefect_client import prefect_settings

SET_UP = "There is no database of ATLVS yet. Run: atlvs bootstrap"
Command = Callable[..., Awaitable[None]]


def awaited(*, new: bool = False) -> Callable[[Command], Callable[..., None]]:
    """Run an async command with all that stands around it; `new` where it sets the database up."""

    def decorate(command: Command) -> Callable[..., None]:
        @wraps(command)
        def run(*args: Any, **kwargs: Any) -> None:
            async def inside() -> None:
                async with resources():
                    await command(*args, **kwargs)

            with database_there(settings(), new=new), prefect_there(settings()):
                asyncio.run(inside())

        return run

    return decorate


@contextlib.contextmanager
def database_there(settings: Settings, *, new: bool = False) -> Generator[None]:
    """PostgreSQL answers in this block, and is set up unless that is what follows."""
    _check_address("DATABASE_URL", settings.database_url)
    _check_address("ATLVS_OWNER_DATABASE_URL", settings.owner_database_url)
    with contextlib.ExitStack() as stack:
        if settings.embedded:
            if not new and not (embedded.folder(settings.data_dir) / "PG_VERSION").exists():
                raise Misconfigured(SET_UP)
            check_writable(settings.data_dir)
            stack.enter_context(server_running(settings.data_dir))
        if new:
            _connect(owner_url(settings))
        else:
            _check_set_up(settings)
        yield


@contextlib.contextmanager
def prefect_there(settings: Settings) -> Generator[None]:
    """Prefect talks to our server in this block; to none at all where we know of none."""
    with prefect_settings(settings) as url:
        if url:
            yield
            return
        # Not to the one of the user's own profile, and least of all to one that it starts in here.
        with temporary_settings(
            {PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False}, restore_defaults={PREFECT_API_URL}
        ):
            yield


@contextlib.contextmanager
def server_running(data_dir: Path) -> Generator[None]:
    """The embedded PostgreSQL, stopped afterwards if only commands have used it."""
    lock = os.open(data_dir.expanduser() / "commands.lock", os.O_RDWR | os.O_CREAT, 0o600)
    with open(lock, "r+") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        others = _postmaster(data_dir) if embedded.running(data_dir) else ""
        try:
            if not others:
                embedded.start(data_dir)
                users.truncate(0)
                users.write(_postmaster(data_dir))
                users.flush()
            yield
        finally:
            users.seek(0)
            # A server that somebody else ended meanwhile has been started again by us.
            by_commands = _postmaster(data_dir) in (users.read(), "")
            if (by_commands or _postmaster(data_dir) != others) and _last(users.fileno()):
                stop_unused(data_dir)
                users.truncate(0)


def stop_unused(data_dir: Path) -> None:
    """Stop the embedded PostgreSQL, unless an `atlvs up` has it."""
    record = Record(data_dir)
    with contextlib.suppress(Misconfigured):
        record.take(wait=0)  # while it is ours, no product starts
        try:
            embedded.stop(data_dir)
        finally:
            record.release()


def check_writable(data_dir: Path) -> None:
    """Say so before anything is begun in it."""
    try:
        data_dir.expanduser().mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(data_dir.expanduser(), os.W_OK | os.X_OK)
        why = "no right to write"
    except OSError as error:
        writable, why = False, error.strerror
    if not writable:
        raise Misconfigured(
            f"The data folder {data_dir} cannot be written ({why}): set ATLVS_DATA_DIR to another."
        )


def _check_address(name: str, url: SecretStr | None) -> None:
    if url is None:
        return
    text = url.get_secret_value()
    with contextlib.suppress(psycopg.ProgrammingError):
        if text.startswith(("postgresql://", "postgres://")) and conninfo_to_dict(text):
            return
    # The text itself may hold a password: it is not repeated.
    raise Misconfigured(
        f"{name} is not the address of a PostgreSQL: postgresql://user:password@host/database"
    )


def _check_set_up(settings: Settings) -> None:
    try:
        _connect(role_conninfo(settings, SYSTEM), "select from integration_connections limit 0")
    except psycopg.errors.UndefinedTable as error:
        raise Misconfigured(SET_UP) from error
    except Unavailable as error:
        lacking = f'role "{SYSTEM}" does not exist'
        if lacking in error.message or (settings.embedded and "does not exist" in error.message):
            raise Misconfigured(SET_UP) from error
        if "permission denied to set role" in error.message:
            raise Misconfigured(
                "The login in DATABASE_URL has to be a member of atlvs_app and atlvs_system."
            ) from error
        raise


def _connect(url: str, statement: str = "select 1") -> None:
    """Look whether somebody answers: libpq's words name host, role and database, no password."""
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            connection.execute(statement.encode())
    except psycopg.OperationalError as error:
        raise Unavailable("database", f"PostgreSQL cannot be reached: {error}") from error


def _postmaster(data_dir: Path) -> str:
    """Which server it is: its number."""
    with contextlib.suppress(OSError):
        return (embedded.folder(data_dir) / "postmaster.pid").read_text().partition("\n")[0]
    return ""


def _last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
