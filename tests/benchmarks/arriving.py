"""From a webhook's arrival to the row that it means, with the processes that do it in production."""

import asyncio
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import monotonic

import aiohttp
import orjson
import psycopg

from tests.benchmarks.events import Json, seeded, signed
from tests.benchmarks.ground import Ground, python
from tests.benchmarks.reading import Say
from tests.benchmarks.verdict import Result

PER_SECOND = 20
LOOK = 0.01  # seconds between looks at the inbox
PATIENCE = 60.0


@dataclass
class Arriving:
    """The measurement."""

    ground: Ground
    say: Say
    seconds: int
    sent: dict[str, float] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)

    async def measure(self) -> list[Result]:
        """Events of all kinds at an even pace, each timed until its transaction is seen from outside."""
        self.say(f"{PER_SECOND} webhooks a second for {self.seconds} s, with the drainer")
        await self.ground.connect("arriving", reads_per_second=500)
        events = seeded(self.ground, "arriving")[-PER_SECOND * self.seconds :]
        self.ground.empty()
        with (
            self.ground.program("/healthz", python("deployments.web")) as web,
            self.ground.drainer(),
        ):
            await asyncio.sleep(5)  # it listens
            watching = asyncio.create_task(self._watch(len(events)))
            await self._send(f"{web.url}/api/webhooks/stripe/arriving", events)
            await asyncio.wait_for(watching, PATIENCE)
        return self._results()

    def _results(self) -> list[Result]:
        waits = [self.done[event] - self.sent[event] for event in self.sent]
        detail = f"{len(waits)} events, the longest {max(waits):.2f} s"
        return [
            Result(
                "webhook's arrival to its rows, median, s",
                median(waits),
                "≤ 1",
                detail=detail,
                counts=False,
            ),
            Result(
                "webhook's arrival to its rows, 95th percentile, s",
                quantiles(waits, n=20)[18],
                "≤ 3",
                counts=False,
            ),
        ]

    async def _send(self, url: str, events: list[Json]) -> None:
        began = monotonic()
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
            for number, event in enumerate(events):
                await asyncio.sleep(began + number / PER_SECOND - monotonic())
                group.create_task(self._deliver(http, url, event))

    async def _deliver(self, http: aiohttp.ClientSession, url: str, event: Json) -> None:
        body = orjson.dumps(event)
        self.sent[event["id"]] = monotonic()
        async with http.post(url, data=body, headers=signed(body)) as answer:
            answer.raise_for_status()

    async def _watch(self, number: int) -> None:
        """An event is done in the transaction that writes its rows."""
        url = self.ground.database_url
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            while len(self.done) < number:
                cursor = await connection.execute(
                    "select event_id from integration_inbox where state <> 'waiting'"
                )
                now = monotonic()
                for (event,) in await cursor.fetchall():
                    self.done.setdefault(event, now)
                await asyncio.sleep(LOOK)
