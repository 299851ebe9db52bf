"""The bare road from a list of Stripe's to a table: nothing but what the work itself needs.

Pages of 100 by ranges that are known to hold one page each, orjson, COPY into a staging table, and
one upsert per 5,000 rows. No retries, audit, resuming, row security, counts or comparisons.

    python -m tests.benchmarks.bare_reader < task.json
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, process_time
from typing import Any

import aiohttp
import orjson
from psycopg import AsyncConnection

from tests.benchmarks.own_memory import peak

CHUNK = 5_000
COLUMNS = "stripe_customer_id, email, name, phone, delinquent, stripe_created_at, raw, fetched_at"
STAGE = f"create temp table stage as select {COLUMNS} from bare_customers with no data"
COPY = f"copy stage ({COLUMNS}) from stdin"
UPSERT = f"""
    insert into bare_customers ({COLUMNS}, org_id, livemode)
    select {COLUMNS}, %s, false from stage
    on conflict (stripe_customer_id) do update
    set (email, name, phone, delinquent, stripe_created_at, raw, fetched_at, updated_at)
        = (excluded.email, excluded.name, excluded.phone, excluded.delinquent,
           excluded.stripe_created_at, excluded.raw, excluded.fetched_at, now())
"""


@dataclass
class Pace:
    """Turns at equal distances; none for 0 a second."""

    per_second: float
    next_at: float = 0.0

    async def wait(self) -> None:
        """Wait for the next turn."""
        if self.per_second:
            at = max(self.next_at, monotonic())
            self.next_at = at + 1 / self.per_second
            await asyncio.sleep(at - monotonic())


@dataclass
class Road:
    """From the list to the table."""

    task: dict[str, Any]
    http: aiohttp.ClientSession
    database: AsyncConnection[Any]
    pace: Pace
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    saving: asyncio.Lock = field(default_factory=asyncio.Lock)
    records: int = 0
    refused: int = 0

    async def read(self) -> None:
        """Everything, with as many readers as were asked for."""
        await self.database.execute(STAGE)
        pieces = iter(self.task["pieces"])
        async with asyncio.TaskGroup() as group:
            for _ in range(self.task["readers"]):
                group.create_task(self._read(pieces))
        await self._save()

    async def _read(self, pieces: Iterator[list[int]]) -> None:
        for since, until in pieces:
            page = await self._page(since, until)
            self.records += len(page)
            asked_at = datetime.now(UTC)
            self.rows += [row_of(one, asked_at) for one in page]
            if len(self.rows) >= CHUNK:
                async with self.saving:
                    if len(self.rows) >= CHUNK:
                        await self._save()

    async def _page(self, since: int, until: int) -> list[dict[str, Any]]:
        query = f"limit=100&created[gte]={since}&created[lt]={until}"
        while True:
            await self.pace.wait()
            async with self.http.get(f"{self.task['url']}?{query}") as answer:
                if answer.status == 200:
                    return orjson.loads(await answer.read())["data"]
                self.refused += 1

    async def _save(self) -> None:
        rows, self.rows = self.rows, []
        async with self.database.transaction():
            await self.database.execute("truncate stage")
            async with self.database.cursor().copy(COPY) as copy:
                for row in rows:
                    await copy.write_row(row)
            await self.database.execute(UPSERT, [self.task["org"]])


def row_of(one: dict[str, Any], asked_at: datetime) -> tuple[Any, ...]:
    """One customer as the columns."""
    return (
        one["id"],
        one["email"],
        one["name"],
        one["phone"],
        one["delinquent"],
        datetime.fromtimestamp(one["created"], UTC),
        orjson.dumps(one).decode(),
        asked_at,
    )


async def run(task: dict[str, Any]) -> dict[str, Any]:
    """Read it all; what that took, without this program's start."""
    began, cpu = monotonic(), process_time()
    headers = {"Authorization": f"Bearer {task['key']}"}
    async with (
        aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as http,
        await AsyncConnection.connect(task["database"], autocommit=True) as database,
    ):
        road = Road(task, http, database, Pace(task["per_second"]))
        await road.read()
    return {
        "records": road.records,
        "refused": road.refused,
        "seconds": monotonic() - began,
        "cpu": process_time() - cpu,
        "peak": peak(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(run(json.load(sys.stdin)))) + "\n")
