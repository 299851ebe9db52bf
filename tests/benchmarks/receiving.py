"""Storing webhooks: verified, committed, answered, from 64 connections that stay open."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from time import monotonic

import aiohttp

from tests.benchmarks.cost import Cost
from tests.benchmarks.events import copies, seeded, signed
from tests.benchmarks.ground import SECRET, Ground, Listening, python
from tests.benchmarks.reading import Say, check
from tests.benchmarks.verdict import Result, spread

CONNECTIONS = 64
WARMING = 200


@dataclass(frozen=True)
class Load:
    """What a burst of webhooks cost, and how long each waited."""

    cost: Cost
    waits: Sequence[float]

    @property
    def cpu_ms(self) -> float:
        """Of the receiver and PostgreSQL, for one webhook."""
        return 1000 * (self.cost["receiver"] + self.cost["postgres"]) / len(self.waits)

    def described(self) -> str:
        """In numbers of this machine."""
        late = 1000 * quantiles(self.waits, n=100)[98]
        rate = len(self.waits) / self.cost.seconds
        return f"{self.cpu_ms:.2f} ms each, {rate:,.0f} a second, p99 {late:.0f} ms"


@dataclass
class Receiving:
    """The measurement."""

    ground: Ground
    say: Say
    events: int
    rounds: int

    async def measure(self) -> list[Result]:
        """Ours and the bare receiver, by turns."""
        connection = await self.ground.connect("hooks")
        self.bodies = copies(seeded(self.ground, "hooks"), self.events + WARMING)
        whose = [str(self.ground.org), str(connection)]
        bare_command = python(
            "tests.benchmarks.bare_receiver", "PORT", SECRET, self.ground.database_url, *whose
        )
        ours, bare = [], []
        for number in range(self.rounds):
            self.say(f"receiving webhooks, round {number + 1} of {self.rounds}")
            with self.ground.program("/healthz", python("deployments.web")) as web:
                path = "/api/webhooks/stripe/hooks"
                ours.append(await self._load(web, path, "integration_inbox"))
            with self.ground.program("/", bare_command) as receiver:
                bare.append(await self._load(receiver, "/", "bare_inbox"))
        ratios = [one.cpu_ms / other.cpu_ms for one, other in zip(ours, bare, strict=True)]
        size = round(median(map(len, self.bodies)))
        return [
            Result(
                "CPU of a stored webhook, ours ÷ bare",
                median(ratios),
                "≤ 2.0",
                detail=f"{spread(ratios)}; ours {ours[-1].described()}; bare "
                f"{bare[-1].described()}; {size:,} bytes",
            )
        ]

    async def _load(self, server: Listening, path: str, table: str) -> Load:
        self.ground.empty()
        url = server.url + path
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(connector=connector) as http:
            await send(http, url, self.bodies[:WARMING])
            meter = self.ground.meter(receiver=server.process.pid)
            waits = await send(http, url, self.bodies[WARMING:])
            cost = meter.read()
        check(self.ground.rows(f"select count(*) from {table}")[0][0], len(self.bodies))
        return Load(cost, waits)


async def send(http: aiohttp.ClientSession, url: str, bodies: Sequence[bytes]) -> list[float]:
    """Deliver all of them; how long each one's answer took."""
    left, waits = iter(bodies), list[float]()

    async def one_connection() -> None:
        for body in left:
            began = monotonic()
            async with http.post(url, data=body, headers=signed(body)) as answer:
                if answer.status != 200:
                    raise RuntimeError(f"{url} answered {answer.status}: {await answer.text()}")
                await answer.read()
            waits.append(monotonic() - began)

    await asyncio.gather(*(one_connection() for _ in range(CONNECTIONS)))
    return waits
