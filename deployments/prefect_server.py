"""A Prefect server of our own on the embedded PostgreSQL: its environment and its clients'."""

import asyncio
import base64
import contextlib
import http.client
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from atlvs.db import embedded
from atlvs.errors import Misconfigured
from atlvs.settings import Settings, variable

PORT = 4200
HOST = "127.0.0.1"

# https://docs.prefect.io/v3/api-ref/settings-ref
SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "1d",
    # Prefect keeps flow runs for ever unless told.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": "14d",
    # Kept in memory, leases are lost when the server is killed, and their slots stay taken for ever.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
    # How long the slot of a run which never got going blocks a deployment of one run at a time.
    "PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": "60",
}
CLIENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # A run's own lines are in Prefect's pages; the console shows what went wrong.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    # Runs say that they live; `deployments.bootstrap` marks the silent ones as crashed.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}


def api_url(port: int) -> str:
    """Where a server of ours answers on this port."""
    return f"http://{HOST}:{port}/api"


def wanted_port() -> int:
    """PREFECT_SERVER_API_PORT, else Prefect's usual port."""
    given = variable("PREFECT_SERVER_API_PORT") or str(PORT)
    if not given.isdigit() or int(given) > 65535:
        raise Misconfigured(f"PREFECT_SERVER_API_PORT is {given!r}, not a port.")
    return int(given)


def server_environment(settings: Settings, port: int) -> dict[str, str]:
    """What the server needs besides its clients' environment. Starts PostgreSQL if need be."""
    place = embedded.address(settings.data_dir)
    database = embedded.ensure_database(place, "prefect")
    return SERVER | {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database.replace(
            "postgresql://", "postgresql+asyncpg://", 1
        ),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_API_URL": api_url(port),
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port}",
        "PREFECT_SERVER_API_AUTH_STRING": credential(settings),
        # Kept apart from the database whose blocks it opens.
        "PREFECT_SERVER_ENCRYPTION_KEY": _encryption_key(settings),
    }


def client_environment(settings: Settings, url: str | None) -> dict[str, str]:
    """What lets a process talk to the server at `url`; to a server of somebody else's, or to none,
    only our defaults: its credentials are in the environment already."""
    given = CLIENT | {name: value for name in CLIENT if (value := variable(name))}
    if url is None or settings.prefect_api_url:
        return given | ({"PREFECT_API_URL": url} if url else {})
    return given | {
        "PREFECT_API_URL": url,
        "PREFECT_API_AUTH_STRING": credential(settings),
        "PREFECT_HOME": str(_home(settings)),  # no profile of the user's own interferes
    }


def credential(settings: Settings) -> str:
    """user:password of the server; asked for by its pages, too."""
    return variable("PREFECT_SERVER_API_AUTH_STRING") or _kept(
        _home(settings) / "auth", lambda: f"atlvs:{secrets.token_urlsafe(24)}"
    )


def check_free(host: str, port: int, setting: str) -> int:
    """The port if nobody listens there, any free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Misconfigured(
                f"Port {port} on {host} cannot be had ({error.strerror}): "
                f"free it, or set {setting} to another one."
            ) from error
        return probe.getsockname()[1]


async def wait_until_up(
    url: str, alive: Callable[[], bool], waiting: Callable[[float], None], *, seconds: float = 180
) -> bool:
    """True once the address answers 2xx; False when its process has ended or time is over.

    `waiting` is told the seconds so far, about once a second.
    """
    clock = asyncio.get_running_loop().time
    start, told = clock(), clock()
    while alive() and clock() - start < seconds:
        if await asyncio.to_thread(_is_up, url):
            return True
        if clock() - told >= 1:
            told = clock()
            waiting(told - start)
        await asyncio.sleep(0.1)
    return False


def _is_up(url: str) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or HOST, parts.port, timeout=2)
    try:
        connection.request("GET", parts.path or "/")
        return 200 <= connection.getresponse().status < 300
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _encryption_key(settings: Settings) -> str:
    return variable("PREFECT_SERVER_ENCRYPTION_KEY") or _kept(
        _home(settings) / "encryption.key",
        lambda: base64.urlsafe_b64encode(os.urandom(32)).decode(),
    )


def _home(settings: Settings) -> Path:
    return settings.data_dir.expanduser().resolve() / "prefect"


def _kept(path: Path, make: Callable[[], str]) -> str:
    """A secret of this data folder, made on first use; of two makers, the first counts."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(make())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_text().strip()
