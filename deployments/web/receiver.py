"""The webhook receiver: verify over the raw body, commit to the inbox, then answer.

Plain ASGI, beside FastAPI: no model, no query and no log line for a request that goes well.
"""

import re
from collections.abc import Sequence
from typing import Any

import psycopg

from atlvs.errors import Misconfigured, Rejected, Unauthorized, Unavailable
from atlvs.records import ProviderEvent
from atlvs.settings import settings
from blocks import CONNECTORS
from blocks.base import DEFAULT, Connector
from deployments.web.asgi import (
    Gone,
    Receive,
    Scope,
    Send,
    answer,
    read_body,
    text_headers,
)
from deployments.web.commits import GroupCommit
from deployments.web.connectors import Connectors
from deployments.web.failures import Failure, later, unexpected
from deployments.web.metrics import WEBHOOKS

PREFIX = "/api/webhooks/"
ADDRESS = re.compile(r"/api/webhooks/([a-z]+)(?:/([A-Za-z0-9][A-Za-z0-9._-]{0,99}))?/?")
JSON = "application/json"

Answer = tuple[int, bytes, str]


class Receiver:
    """`POST /api/webhooks/{provider}` and `…/{provider}/{connection}`."""

    def __init__(self, connectors: Connectors, commits: GroupCommit, max_bytes: int) -> None:
        self.connectors = connectors
        self.commits = commits
        self.max_bytes = max_bytes
        self._counters: dict[tuple[str, str], Any] = {}

    def start(self) -> None:
        """Begin to commit, in the running event loop."""
        self.commits.start()

    async def close(self) -> None:
        """Commit what waits, then stop."""
        await self.commits.close()
        await self.connectors.close()

    def addressed(self, path: str) -> tuple[str, str] | None:
        """Provider and connection in a path; None when it is not one of ours."""
        found = ADDRESS.fullmatch(path)
        if found is None or found[1] not in CONNECTORS or not CONNECTORS[found[1]].receives:
            return None
        return found[1], found[2] or DEFAULT

    async def receive(
        self, address: tuple[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer one request; 2xx only when what it told is durable."""
        try:
            status, body, kind = await self._taken(address, scope, receive)
        except Gone:
            self._count(address[0], "gone")
            return
        except Exception as error:  # noqa: BLE001  # the edge of the process: every end is an answer
            failure, result = self._refusal(error)
            self._count(address[0], result)
            await answer(send, failure.status, failure.body(), JSON, failure.headers)
            return
        self._count(address[0], "received")
        await answer(send, status, body, kind)

    async def _taken(self, address: tuple[str, str], scope: Scope, receive: Receive) -> Answer:
        body = await read_body(scope, receive, self.max_bytes)
        connector = await self.connectors.get(*address)
        if connector is None:
            raise Failure(404, "not_found", "There is no such connection.")
        headers, query = text_headers(scope), scope["query_string"].decode("latin-1")
        greeting = connector.handshake(scope["method"], headers, query, body)
        if greeting is not None:
            return greeting
        if scope["method"] != "POST":
            raise Failure(405, "method_not_allowed", "Use POST.", headers={"allow": "POST"})
        events = connector.verify(body, headers, called(scope))
        check_mode(connector, events)
        if events:
            rows = [(connector.connection, event) for event in events]
            await self.commits.stored(rows, len(body))
        return connector.received

    def _refusal(self, error: Exception) -> tuple[Failure, str]:
        """How a request ends that stored nothing, and what it is counted as."""
        match error:
            case Failure():
                return error, error.code
            case Unauthorized():
                return Failure(401, error.code or "unauthorized", error.message), "unauthorized"
            case Rejected():
                return Failure(400, error.code or "rejected", error.message), "rejected"
            case Unavailable():
                return later(error.message, error.retry_after), "unavailable"
            case Misconfigured():
                return later(str(error), 60, "not_configured"), "not_configured"
            case psycopg.IntegrityError():
                self.connectors.forget()  # the connection that we knew is gone
                return later("The connection has changed.", 1), "unavailable"
            case _:
                return unexpected(error, "A webhook"), "failed"

    def _count(self, provider: str, result: str) -> None:
        counter = self._counters.get((provider, result))
        if counter is None:
            counter = self._counters[provider, result] = WEBHOOKS.labels(provider, result)
        counter.inc()


def called(scope: Scope) -> str:
    """The address that the provider called, whatever a proxy made of it on the way."""
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"]
    return (
        f"{settings().public_base_url}{(path + (b'?' + query if query else b'')).decode('latin-1')}"
    )


def check_mode(connector: Connector, events: Sequence[ProviderEvent]) -> None:
    """Test and live data never share a connection."""
    live = connector.connection.livemode
    if live is None:
        live = getattr(connector, "livemode", None)
    for event in events:
        if live is not None and event.livemode is not None and event.livemode != live:
            modes = ("a live", "test") if event.livemode else ("a test", "live")
            text = f"{event.id} is {modes[0]} event, but this connection is in {modes[1]} mode."
            raise Rejected(connector.slug, text, code="mode_differs")
