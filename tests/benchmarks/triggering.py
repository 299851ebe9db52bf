"""Domain events on their way out: what telling them costs a bulk change, how soon a hook arrives, and
how many are posted a second."""

import asyncio
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median, quantiles
from time import monotonic, time
from typing import Any
from uuid import UUID

import orjson
from psycopg import AsyncConnection

from atlvs.hooks import payload
from atlvs.settings import set_variables
from tasks.triggers.subscribing import subscribe
from tests.benchmarks.changing import Changing
from tests.benchmarks.cost import output_of
from tests.benchmarks.ground import Ground, python, wait_until
from tests.benchmarks.reading import Run, Say, check
from tests.benchmarks.verdict import Result, spread
from tests.sandbox_client import Sandbox

PER_SECOND = 50  # more than one target takes
NEW = {  # one subscription each, so that no target gets more than the product's own pace
    "contact.created": "insert into contacts (org_id, first_name) values (%s, 'Ada') returning id",
    "lead.created": "insert into leads (org_id, name) values (%s, 'Ada') returning id",
    "deal.created": "insert into deals (org_id, name) values (%s, 'A fair') returning id",
    "task.created": "insert into tasks (org_id, title) values (%s, 'Build it') returning id",
}
ROWS = (
    *("contacts", "leads", "deals", "tasks"),
    *("integration_outbox", "integration_hooks", "integration_hook_targets"),
)
UNPACED = {"ATLVS_HOOKS_PER_SECOND": "100000"}
ACCOUNT = "bench"


class Told(Result):
    """A number without a bound."""

    @property
    def met(self) -> bool:
        """Always."""
        return True


@dataclass
class Triggering:
    """The measurements."""

    ground: Ground
    say: Say
    contacts: int
    seconds: int
    posts: int
    rounds: int

    async def measure(self) -> list[Result]:
        """All of them. The targets are a sandbox of their own: its CPU is told apart."""
        results = Changing(self.ground, self.say, self.contacts, self.rounds).measure()
        set_variables(ATLVS_HOOKS_LOOPBACK="1")
        with _zapier() as (self.zapier, self.zapier_pid):
            results += await self._soon()
            self.zapier.limits("zapier", off=True)
            for targets in (1, 4):
                results += await self._drained(targets)
        self._empty()
        set_variables(ATLVS_HOOKS_LOOPBACK="")
        return results

    async def _soon(self) -> list[Result]:
        """From a committed change to the hook's arrival, with the processes that do it in production."""
        number = PER_SECOND * self.seconds
        self.say(f"{PER_SECOND} changes a second for {self.seconds} s, with the drainer")
        self._empty()
        for event in NEW:
            await subscribe(self.ground.org, None, event, self._target(event))
        with self.ground.drainer():
            await asyncio.sleep(8)  # it listens
            changed = await self._change(number)
            await asyncio.to_thread(wait_until, lambda: self._arrived() >= number)
        waits = [one["at"] - changed[one["record"]] for one in self._received()]
        check(len(waits), number)
        return [
            Result(
                "committed change to its hook's arrival, median, s",
                median(waits),
                "≤ 1",
                detail=f"{number:,} changes, {len(NEW)} targets, the longest {max(waits):.2f} s",
                counts=False,
            ),
            Result(
                "committed change to its hook's arrival, 95th percentile, s",
                quantiles(waits, n=20)[18],
                "≤ 3",
                counts=False,
            ),
        ]

    async def _change(self, number: int) -> dict[str, float]:
        """So many new records at an even pace; when each one's transaction began to be written."""
        changed: dict[str, float] = {}
        url = self.ground.database_url
        async with await AsyncConnection.connect(url, autocommit=True) as connection:
            began = monotonic()
            for place, statement in enumerate(islice(cycle(NEW.values()), number)):
                await asyncio.sleep(began + place / PER_SECOND - monotonic())
                at = time()
                cursor = await connection.execute(statement.encode(), [self.ground.org])
                changed[str((await cursor.fetchall())[0][0])] = at
        return changed

    async def _drained(self, targets: int) -> list[Result]:
        """Posts a second without a pace, and their CPU beside a loop that only posts."""
        number = self.posts // targets * targets
        ours, bare = list[Run](), list[Run]()
        for place in range(self.rounds):
            self.say(f"{number:,} posts to {targets}, round {place + 1} of {self.rounds}")
            await self._queue(number // targets, targets)
            bodies = self._bodies()
            ours.append(self._measured("hook_drain", UNPACED))
            check(ours[-1].told["posts"].get("delivered", 0), number)
            task = {"targets": self._targets(targets), "bodies": bodies}
            bare.append(self._measured("bare_poster", {}, json.dumps(task)))
            check(bare[-1].told["posts"], number)
        name = "one target" if targets == 1 else f"{targets} targets"
        rates = [[number / one.told["seconds"] for one in runs] for runs in (ours, bare)]
        ratios = [one.cpu / other.cost["client"] for one, other in zip(ours, bare, strict=True)]
        events = f"{number // targets:,} events"
        return [
            Told(
                f"hooks posted a second to {name}",
                median(rates[0]),
                "—",
                "{:,.0f}",
                f"{spread(rates[0], '{:,.0f}')}, {events}; bare {spread(rates[1], '{:,.0f}')}",
                counts=False,
            ),
            Told(
                f"CPU of a posted hook to {name}, ours ÷ bare loop",
                median(ratios),
                "—",
                detail=f"{spread(ratios)}; ours {parts(ours, number)}; bare {parts(bare, number)}",
                counts=False,
            ),
        ]

    async def _queue(self, events: int, targets: int) -> None:
        """New contacts, and subscriptions to them."""
        self._empty()
        for target in self._targets(targets):
            await subscribe(self.ground.org, None, "contact.created", target)
        self.ground.run(
            "insert into contacts (org_id, first_name, last_name, email, phone)"
            f" select '{self.ground.org}', 'Ada', 'Lovelace ' || i, 'p' || i || '@example.net',"
            f" '+1415' || (5000000 + i) from generate_series(1, {events}) as i",
            "analyze",
            "checkpoint",
        )

    def _bodies(self) -> list[str]:
        """What is posted of the events that wait."""
        found = self.ground.rows("select id, type, occurred_at, data from integration_outbox")
        return [self._body(*row) for row in found]

    def _body(self, id: UUID, type: str, occurred_at: Any, record: dict[str, Any]) -> str:
        made = payload(
            id=id,
            type=type,
            occurred_at=occurred_at,
            org_id=self.ground.org,
            record=record,
            changed=None,
            beside={},
        )
        return orjson.dumps(made).decode()

    def _measured(self, program: str, more: dict[str, str], given: str = "") -> Run:
        command = python(f"tests.benchmarks.{program}")
        meter = self.ground.meter(zapier=self.zapier_pid)
        told = json.loads(output_of(command, self.ground.environment | more, given))
        return Run(meter.read(client=told["cpu"]), told)

    def _target(self, name: str) -> str:
        return f"{self.zapier.base('zapier')}/hooks/standard/{ACCOUNT}/{name.replace('.', '_')}"

    def _targets(self, number: int) -> list[str]:
        return [self._target(f"target{place}") for place in range(number)]

    def _received(self) -> list[dict[str, Any]]:
        return self.zapier.control("GET", "zapier/received", account=ACCOUNT, accepted=1)

    def _arrived(self) -> int:
        return self.ground.rows(
            "select count(*) from integration_hook_deliveries where state = 'delivered'"
        )[0][0]

    def _empty(self) -> None:
        self.ground.empty()
        self.ground.run(f"truncate {', '.join(ROWS)} cascade")


@contextmanager
def _zapier() -> Generator[tuple[Sandbox, int]]:
    sandbox, process = Sandbox.start("zapier")
    sandbox.recording(False)
    try:
        yield sandbox, process.pid
    finally:
        process.terminate()
        process.wait(10)


def parts(runs: list[Run], posts: int) -> str:
    """CPU of one post by process, in the middle of all rounds."""
    names = {"client": "process", "postgres": "PostgreSQL", "zapier": "beside it the target"}
    each = {name: 1000 * median(one.cost[name] for one in runs) / posts for name in names}
    return ", ".join(f"{shown} {each[name]:.2f} ms" for name, shown in names.items())
