"""The bare road from rows that wait to messages that Twilio took, as one would write it by hand.

One session, 64 calls on their way, and a status row for each message: marked in one statement before
the calls of a batch, and in one after them. No retries, pace, audit, consents, fallbacks or resuming.

    python -m tests.benchmarks.bare_sender < task.json
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from time import monotonic, process_time
from typing import Any
from uuid import UUID

import aiohttp
import orjson
from psycopg import AsyncConnection

from tests.benchmarks.own_memory import peak

BATCH = 64
TABLE = """
    create table bare_messages (
        id uuid primary key default gen_random_uuid(),
        seq bigint generated always as identity,
        number text not null,
        body text not null,
        status text not null default 'queued',
        error text,
        sid text,
        attempts int not null default 0,
        sending_at timestamptz,
        sent_at timestamptz,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
    );
    create index on bare_messages (seq) where status = 'queued';
    create index on bare_messages (status);
    create unique index on bare_messages (sid);
"""
BEGIN = """
    with due as (
        select id from bare_messages where status = 'queued' order by seq limit %s for update skip locked
    )
    update bare_messages as m set status = 'sending', attempts = m.attempts + 1, sending_at = now(),
        updated_at = now()
    from due where m.id = due.id returning m.id, m.number, m.body
"""
FINISH = """
    update bare_messages as m set status = told.status, sid = told.sid, error = told.error,
        sent_at = case when told.status = 'sent' then now() end, updated_at = now()
    from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[]) as told(id, status, sid, error)
    where m.id = told.id
"""
Told = tuple[UUID, str, str | None, str | None]


@dataclass
class Road:
    """From the rows to Twilio."""

    task: dict[str, Any]
    http: aiohttp.ClientSession
    database: AsyncConnection[Any]
    messages: int = 0

    async def send(self) -> None:
        """All that waits, a batch at a time."""
        while batch := await (await self.database.execute(BEGIN, [BATCH])).fetchall():
            told = await asyncio.gather(*(self._post(*row) for row in batch))
            columns = [list(column) for column in zip(*told, strict=True)]
            await self.database.execute(FINISH, columns)
            self.messages += len(told)

    async def _post(self, id: UUID, number: str, body: str) -> Told:
        form = {
            "To": number,
            "MessagingServiceSid": self.task["service"],
            "Body": body,
            "StatusCallback": f"{self.task['callback']}?d={id}",
        }
        async with self.http.post(self.task["url"], data=form) as answer:
            made = orjson.loads(await answer.read())
        if answer.status == 201:
            return id, "sent", made["sid"], None
        return id, "failed", None, str(made.get("code"))


async def run(task: dict[str, Any]) -> dict[str, Any]:
    """Send it all; what that took, without this program's start."""
    headers = {"Authorization": aiohttp.encode_basic_auth(task["account"], task["token"])}
    began, cpu = monotonic(), process_time()
    async with (
        aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as http,
        await AsyncConnection.connect(task["database"], autocommit=True) as database,
    ):
        road = Road(task, http, database)
        await road.send()
    return {
        "messages": road.messages,
        "seconds": monotonic() - began,
        "cpu": process_time() - cpu,
        "peak": peak(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(run(json.load(sys.stdin)))) + "\n")
