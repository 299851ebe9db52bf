"""The bare webhook receiver: ASGI on uvicorn, HMAC, one insert for all that wait, then the answer.

python -m tests.benchmarks.bare_receiver PORT SECRET DATABASE ORG CONNECTION
"""

import asyncio
import hmac
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import uvicorn
from psycopg import AsyncConnection

MOST = 500
INSERT = """
    insert into bare_inbox (org_id, connection_id, provider, event_id, type, lane, payload)
    select %s, %s, 'stripe', * from unnest(%s::text[], %s::text[], %s::text[], %s::jsonb[])
    on conflict (connection_id, event_id) do nothing
"""
Waiting = tuple[tuple[str, str, str, str], asyncio.Future[None]]
Call = Callable[..., Awaitable[Any]]


class Receiver:
    """The application."""

    def __init__(self, secret: str, database: str, whose: list[str]) -> None:
        self.secret = secret.encode()
        self.database = database
        self.whose = whose
        self.waiting: list[Waiting] = []
        self.arrived = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Call, send: Call) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = await whole_body(receive)
        status = 200
        if self._is_signed(body, dict(scope["headers"])):
            await self._stored(body)
        else:
            status = 401
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    def _is_signed(self, body: bytes, headers: dict[bytes, bytes]) -> bool:
        time, _, given = headers.get(b"stripe-signature", b"").partition(b",v1=")
        signed = hmac.digest(self.secret, time.removeprefix(b"t=") + b"." + body, "sha256")
        return hmac.compare_digest(signed.hex().encode(), given)

    async def _stored(self, body: bytes) -> None:
        event = orjson.loads(body)
        row = (event["id"], event["type"], event["data"]["object"]["id"], body.decode())
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((row, done))
        self.arrived.set()
        await done

    async def _commit_forever(self) -> None:
        async with await AsyncConnection.connect(self.database, autocommit=True) as database:
            while True:
                await self.arrived.wait()
                batch, self.waiting = self.waiting[:MOST], self.waiting[MOST:]
                if not self.waiting:
                    self.arrived.clear()
                columns = [list(column) for column in zip(*(row for row, _ in batch), strict=True)]
                await database.execute(INSERT, [*self.whose, *columns])
                for _, done in batch:
                    done.set_result(None)

    async def _live(self, receive: Call, send: Call) -> None:
        await receive()
        committing = asyncio.create_task(self._commit_forever())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        committing.cancel()
        await send({"type": "lifespan.shutdown.complete"})


async def whole_body(receive: Call) -> bytes:
    """All parts of a request's body."""
    message = await receive()
    body: bytes = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    return body


def main() -> None:
    """Serve until SIGTERM."""
    port, secret, database, *whose = sys.argv[1:]
    uvicorn.run(
        Receiver(secret, database, whose),
        host="127.0.0.1",
        port=int(port),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
