"""Plain ASGI: reading a request's body within bounds, answering with bytes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from deployments.web.failures import Failure

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_SECONDS = 10.0  # for the whole body to arrive


class Gone(Exception):
    """The client left, or sent its body too slowly."""


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """The body. A declared length above `most` is refused before a byte is read."""
    if declared_length(scope) > most:
        raise too_large(most)  # what still comes is thrown away, so that the answer is heard
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body, more = await _chunk(receive)
            while more and len(body) <= most:
                chunk, more = await _chunk(receive)
                body += chunk
    except TimeoutError as error:
        raise Gone from error
    if len(body) > most:
        raise too_large(most, {"connection": "close"})  # it may never end
    return body


def too_large(most: int, headers: Mapping[str, str] | None = None) -> Failure:
    """The body is larger than allowed; the rest of it is not kept."""
    return Failure(413, "too_large", f"The body has at most {most} bytes.", headers=headers)


async def _chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] != "http.request":
        raise Gone
    return message.get("body", b""), message.get("more_body", False)


def declared_length(scope: Scope) -> int:
    """What Content-Length says; 0 when there is none."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def text_headers(scope: Scope) -> dict[str, str]:
    """The headers as text, names in lower case."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def answer(
    send: Send,
    status: int,
    body: bytes,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> None:
    """One whole response."""
    lines = [
        (b"content-type", content_type.encode("latin-1")),
        (b"content-length", b"%d" % len(body)),
    ]
    lines += [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
