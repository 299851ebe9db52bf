"""The sandbox as a process: one loopback socket, one uvicorn, gone at the first signal."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deployments.sandbox.app import Sandbox, create_app
from deployments.sandbox.deliveries import is_loopback


class ConnectionInScope(HttpToolsProtocol):
    """Lets the app drop a connection: ASGI itself has no word for that."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["sandbox.transport"] = self.transport  # type: ignore[typeddict-unknown-key]


class SandboxServer(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and not self.should_exit:
            host, port = sockets[0].getsockname()[:2]
            sys.stdout.write(f"sandbox ready http://{host}:{port}\n")
            sys.stdout.flush()


def _unhurried(record: logging.LogRecord) -> bool:
    """Ending at once is meant, not an error."""
    return "timeout graceful shutdown exceeded" not in record.getMessage()


def serve(
    providers: Sequence[str] = (),
    port: int = 0,
    seed_file: Path | str | None = None,
    faults_file: Path | str | None = None,
    *,
    host: str = "127.0.0.1",
) -> None:
    """Run until SIGTERM or SIGINT. Says `sandbox ready http://127.0.0.1:PORT` when listening."""
    if not is_loopback(host):
        raise ValueError(f"the sandbox listens on loopback only, not on {host}")
    app = create_app(list(providers))
    if seed_file:
        _seed(app, _read(seed_file))
    if faults_file:
        _set(app, _read(faults_file))
    config = uvicorn.Config(
        app,
        http=ConnectionInScope,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=0,
        timeout_keep_alive=75,
    )
    logging.getLogger("uvicorn.error").addFilter(_unhurried)
    listener = socket.create_server((host, port), backlog=1024)
    with contextlib.suppress(KeyboardInterrupt):
        SandboxServer(config).run([listener])


def _read(file: Path | str) -> Any:
    return orjson.loads(Path(file).read_bytes())


def _seed(app: Sandbox, seeds: dict[str, Any]) -> None:
    """{provider: seed or [seed, …]}."""
    for name, given in seeds.items():
        for seed in given if isinstance(given, list) else [given]:
            app.providers[name].controls["seed"](seed)


def _set(app: Sandbox, options: Any) -> None:
    """A list of fault rules, or {"faults": […], "limits": […], "latency": […], "webhooks": {…}}."""
    if isinstance(options, list):
        options = {"faults": options}
    app.faults.add(options.get("faults", []))
    for latency in options.get("latency", []):
        app.controls.set_latency(latency)
    for limit in options.get("limits", []):
        app.controls.set_limits(dict(limit))
    app.controls.set_webhooks(options.get("webhooks", {}))
