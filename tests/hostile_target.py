"""A server that answers posts as nobody should: bytes as the test says, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ssl import SSLContext

Talk = Callable[["Caller"], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Caller:
    """One connection: what came and what went."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.head = b""
        self.body = b""
        self.sent = 0
        self.requests = 0

    async def request(self) -> None:
        """Take one request, whole."""
        self.head = await self.reader.readuntil(b"\r\n\r\n")
        lengths = [
            line for line in self.head.lower().split(b"\r\n") if line.startswith(b"content-length")
        ]
        self.body = await self.reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
        self.requests += 1

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.sent += len(data)

    async def endlessly(self, data: bytes, pause: float = 0.0) -> None:
        while True:
            await self.say(data)
            await asyncio.sleep(pause)

    def reset(self) -> None:
        """Close as a crashed machine does."""
        found: socket.socket = self.writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Target:
    """Who called it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/hooks/secret-path"
        self.callers: list[Caller] = []

    @property
    def sent(self) -> int:
        return sum(caller.sent for caller in self.callers)


@asynccontextmanager
async def listening(talk: Talk, ssl: SSLContext | None = None) -> AsyncIterator[Target]:
    """A server on loopback whose side of each connection is `talk`."""
    talking: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Caller(reader, writer)
        target.callers.append(caller)
        task = asyncio.current_task()
        assert task
        talking.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(caller)
        writer.transport.abort() if writer.transport.is_closing() else writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=ssl)
    target = Target(server.sockets[0].getsockname()[1])
    try:
        yield target
    finally:
        server.close()
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


async def well(caller: Caller) -> None:
    """As it should be, for as long as the caller likes."""
    while True:
        await caller.request()
        await caller.say(OK)


def saying(data: bytes, *, stay: bool = False) -> Talk:
    """Take the request, answer these bytes, and close (or stay)."""

    async def talk(caller: Caller) -> None:
        await caller.request()
        await caller.say(data)
        if stay:
            await asyncio.sleep(60)

    return talk
