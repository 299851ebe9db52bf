"""The web process for tests: in a thread of this process, or as a process of its own."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any
from uuid import UUID

import httpx
import orjson
import stripe
import uvicorn
from sandbox_client import Sandbox

from atlvs.db import api_keys, connections
from atlvs.db.engine import database
from deployments.web.app import create_app

ROOT = Path(__file__).parent.parent
PATH = "/api/webhooks/stripe"
SECRET = "whsec_a"
NOWHERE = "http://127.0.0.1:9/api"  # no Prefect server answers here


@contextmanager
def serving(app: Any = None) -> Iterator[str]:
    """The application behind a real socket; yields its base URL."""
    config = uvicorn.Config(
        app or create_app(), port=0, log_config=None, log_level="error", access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(40)


class WebProcess:
    """`python -m deployments.web` on a free port."""

    def __init__(self, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        told = {"ATLVS_LISTEN_PORT": str(self.port), "PREFECT_API_URL": NOWHERE}
        told["PUBLIC_BASE_URL"] = self.url
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deployments.web"],
            cwd=ROOT,
            env={**os.environ, **told, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        wait_until(self._answers, 30)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.communicate()

    def stop(self) -> tuple[int, str]:
        """SIGTERM; its exit code and what it said."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=40)
        return self.process.returncode, (out + err).decode()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False


def wait_until(condition: Any, seconds: float = 60) -> None:
    """Wait for something that happens soon."""
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, "it did not happen"
        sleep(0.02)


def event_body(event_id: str, **fields: Any) -> bytes:
    """A Stripe event as it is delivered."""
    intent = {"id": f"pi_{event_id}", "object": "payment_intent", "amount": 1200}
    event = {
        "id": event_id,
        "object": "event",
        "created": int(time()),
        "livemode": False,
        "type": "payment_intent.succeeded",
        "data": {"object": intent},
    }
    return orjson.dumps(event | fields)


def signed(body: bytes, secret: str = SECRET, age: float = 0) -> dict[str, str]:
    """The headers of a delivery, by the SDK's own signing."""
    made = stripe.WebhookSignature.generate_signature_header(
        body.decode(), secret, int(time() - age)
    )
    return {"Stripe-Signature": made, "Content-Type": "application/json"}


RECEIVING = {
    "secret_key": "sk_test_x",
    "webhook_secrets": "whsec_a, whsec_b",
    "api_base": "http://127.0.0.1:9",
}


def run(work: Awaitable[Any]) -> Any:
    """One piece of database work in a loop of its own."""

    async def whole() -> Any:
        try:
            return await work
        finally:
            await database().close()

    return asyncio.run(whole())


def connect_receiver(org: UUID, name: str = "default", **fields: Any) -> None:
    """A Stripe connection that can only receive."""
    run(connections.save(org, "stripe", name, {**RECEIVING, **fields}))


def post(url: str, body: bytes, headers: Mapping[str, str] | None = None, path: str = PATH) -> Any:
    """Deliver a webhook, rightly signed unless told otherwise."""
    return httpx.post(url + path, content=body, headers=headers or signed(body), timeout=20)


def ids(rows: Any) -> list[str]:
    """The events in the inbox."""
    return [row[0] for row in rows("integration_inbox", "event_id")]


@dataclass
class Caller:
    """A client of the door with an API key."""

    url: str
    key: str

    def __call__(self, method: str, given: Any = None, /, query: str = "", **headers: str) -> Any:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(
            f"{self.url}/api/services/stripe/{method}{query}",
            json={} if given is None else given,
            headers={"Authorization": f"Bearer {self.key}", **told},
            timeout=40,
        )

    def raw(self, method: str, content: bytes, **headers: str) -> Any:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(
            f"{self.url}/api/services/stripe/{method}",
            content=content,
            headers={"Authorization": f"Bearer {self.key}", **told},
            timeout=20,
        )


def connect_door(org: UUID, sandbox: Sandbox, name: str = "default", **fields: Any) -> None:
    known = {
        "secret_key": sandbox.key,
        "publishable_key": "pk_test_public",
        "api_base": sandbox.base("stripe"),
        "reads_per_second": 1000.0,
        "writes_per_second": 1000.0,
    }
    run(connections.save(org, "stripe", name, {**known, **fields}))


def new_key(org: UUID, *scopes: str) -> str:
    return run(api_keys.create(org, "test", scopes))[0]


def refused(answer: Any, status: int, code: str, field: str | None = None) -> bool:
    """Whether an answer is this error in the contract's envelope."""
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error.get("field")) == (status, code, field), error
    return bool(error["message"])
