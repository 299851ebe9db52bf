"""A target that answers each post as a test says, and an organization's contacts that are posted to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from conftest import Rows
from hostile_target import Caller, Target, listening

from blocks.base import resources
from tasks.triggers.draining import Told, drain_triggers

Answer = Callable[[int], Awaitable[bytes]]


def status(code: int, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {code} Well\r\n{lines}content-length: 0\r\n\r\n".encode()


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[tuple[Target, list[str]]]:
    """A target that answers its first, second … request so, and the heads of these."""
    heads: list[str] = []

    async def talk(caller: Caller) -> None:
        while True:
            await caller.request()
            heads.append(caller.head.decode().lower())
            await caller.say(await answer(len(heads)))

    async with listening(talk) as target:
        yield target, heads


async def drained(seconds: float = 20) -> Told:
    async with resources():
        return await drain_triggers(seconds)


def contacts(rows: Rows, org: UUID, number: int = 1) -> None:
    rows("insert into contacts (org_id) select %s from generate_series(1, %s)", org, number)


def states(rows: Rows) -> dict[str, int]:
    return dict(rows("select state, count(*) from integration_hook_deliveries group by 1"))


def due_now(rows: Rows) -> None:
    rows("update integration_hook_deliveries set due_at = now() where state = 'waiting'")
    rows("update integration_hooks set rests_until = null")
