"""What goes over the wire: a request as it came, an answer as it will go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from deployments.sandbox.faults import Rule

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(slots=True)
class Noted:
    """What a provider adds to the request log; secrets never enter it."""

    params: Any = None
    account: str | None = None
    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: bytes
    headers: dict[str, str]
    body: bytes
    fault: Rule | None = None
    noted: Noted = field(default_factory=Noted)


@dataclass(slots=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(
        status, orjson.dumps(content), {"content-type": "application/json", **(headers or {})}
    )


async def read_request(scope: Scope, receive: Receive, path: str) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(
        scope["method"], path, scope.get("query_string", b""), headers, await _read_body(receive)
    )


async def _read_body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(chunks)


async def send_answer(send: Send, answer: Answer, *, only: int | None = None) -> None:
    """Send an answer; with `only`, promise all of it and send that many bytes."""
    headers = [(k.lower().encode(), v.encode("latin-1")) for k, v in answer.headers.items()]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send(
        {
            "type": "http.response.body",
            "body": answer.body[:only],
            "more_body": only is not None,
        }
    )
