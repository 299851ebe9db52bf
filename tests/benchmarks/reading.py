"""Reading a list whole: CPU, records a second under a limit, memory, task runs."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from tasks.stripe.pages import PAGE, READERS, STREAMS
from tests.benchmarks.cost import Cost, of_children, output_of
from tests.benchmarks.ground import Ground, key_of, python
from tests.benchmarks.verdict import Result, spread

LIMIT = 100
PACE = 97  # calls a second, ours and the bare reader's
LATENCY = 0.15
MIXED = {
    "customers": 200,
    "payments_per_customer": 2,
    "subscriptions": 0.3,
    "invoices": 0.3,
    "refunds": 0.2,
    "products": 4,
}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One run in a process of its own."""

    cost: Cost
    told: dict[str, Any]

    @property
    def cpu(self) -> float:
        """Of the process and of PostgreSQL."""
        return self.cost["client"] + self.cost["postgres"]


@dataclass
class Reading:
    """The measurements, on one ground."""

    ground: Ground
    say: Say
    large: int
    small: int
    rounds: int

    async def measure(self) -> list[Result]:
        """All of them."""
        self.say(f"seeding {self.large:,} customers")
        seed = {"days": 700, "skew": 1.0}
        for name, customers in (("large", self.large), ("small", self.small)):
            await self.ground.connect(name, reads_per_second=5_000)
            self.ground.sandbox.with_key(key_of(name)).seed(customers=customers, **seed)
        self.pieces = self._pieces()
        self._flow("empty")  # the first one makes caches that the others find
        results = self._unhindered()
        await self.ground.connect("large", reads_per_second=PACE)
        results += self._paced()
        results.append(await self._task_runs())
        return results

    def _unhindered(self) -> list[Result]:
        """CPU and memory, as fast as it goes."""
        empty, small, ours, bare = [], [], [], []
        for number in range(self.rounds):
            self.say(f"reading without latency, round {number + 1} of {self.rounds}")
            empty.append(self._flow("empty"))
            ours.append(self._full("large", self.large))
            bare.append(self._bare(per_second=0))
            small.append(self._full("small", self.small))
        idle, above = median(one.cpu for one in empty), []
        for one, other in zip(ours, bare, strict=True):
            above.append((one.cpu - idle) / other.cpu)
        return [
            Result(
                f"CPU of reading {self.large:,} customers, ours ÷ bare",
                median(above),
                "≤ 2.0",
                detail=f"{spread(above)}; ours {parts(ours)} above an empty run's {idle:.2f} s "
                f"({parts(empty)}); bare {parts(bare)}",
            ),
            *self._memory(empty, small, ours),
        ]

    def _memory(self, empty: list[Run], small: list[Run], ours: list[Run]) -> list[Result]:
        peaks = [median(one.told["peak"] for one in runs) for runs in (empty, small, ours)]
        shown = ", ".join(f"{peak:.0f}" for peak in peaks)
        return [
            Result(
                "peak memory above an idle Prefect process, MB",
                peaks[2] - peaks[0],
                "≤ 150",
                "{:.0f}",
                f"idle, {self.small:,} and {self.large:,} records: {shown} MB",
            ),
            Result(
                f"growth of the peak from {self.small:,} to {self.large:,} records, MB",
                peaks[2] - peaks[1],
                "≤ 15",
                "{:.1f}",
            ),
        ]

    def _paced(self) -> list[Result]:
        """Records a second at 150 ms a call under the service's limit."""
        self.ground.sandbox.latency(LATENCY)
        self.ground.sandbox.limits(reads=LIMIT)
        ours, bare = [], []
        for number in range(self.rounds):
            self.say(f"reading at 150 ms a call, round {number + 1} of {self.rounds}")
            ours.append(self._full("large", self.large))
            bare.append(self._bare(per_second=PACE))
        self.ground.sandbox.limits(off=True)
        self.ground.sandbox.latency(0)
        mine = [self.large / one.told["summary"]["seconds"] for one in ours]
        others = [self.large / one.told["seconds"] for one in bare]
        ratios = [one / other for one, other in zip(mine, others, strict=True)]
        calls = sum(one.told["summary"]["calls"] for one in ours)
        refused = sum(one.told["summary"]["answered_429"] for one in ours)
        return [
            Result(
                "records a second at 150 ms a call under the limit, ours ÷ bare",
                median(ratios),
                "≥ 0.8",
                detail=f"{spread(ratios)}; ours {spread(mine, '{:,.0f}')}, bare "
                f"{spread(others, '{:,.0f}')} records a second; {calls // self.rounds:,} calls a "
                f"run for {len(self.pieces):,} pages",
            ),
            Result("answered 429, %", 100 * refused / calls, "≤ 1", detail=f"{refused} of {calls}"),
        ]

    async def _task_runs(self) -> Result:
        """How many task runs a full sync of all streams makes."""
        await self.ground.connect("mixed", reads_per_second=1_000)
        seeded = self.ground.sandbox.with_key(key_of("mixed")).seed(**MIXED)
        run = self._flow("full", connection="mixed")
        counted = self._program("count", flow_run=run.told["flow_run"])
        read = sum(counts["read"] for counts in run.told["summary"]["streams"].values())
        return Result(
            "task runs of a full sync",
            counted["task_runs"],
            "≤ 60",
            "{:.0f}",
            f"{len(STREAMS)} streams, {read:,} records of {sum(seeded.values()):,} objects",
        )

    def _full(self, name: str, records: int) -> Run:
        run = self._flow("full", connection=name, only=["customer"])
        check(run.told["summary"]["streams"]["customer"]["created"], records)
        check(self.ground.rows("select count(*) from stripe_customers")[0][0], records)
        return run

    def _flow(self, what: str, **given: Any) -> Run:
        self.ground.empty()
        told: dict[str, Any] = {}
        meter = self.ground.meter()
        client = of_children(lambda: told.update(self._program(what, **given)))
        return Run(meter.read(client=client), told)

    def _program(self, what: str, **given: Any) -> dict[str, Any]:
        command = python("tests.benchmarks.flow_run", what, "--given", json.dumps(given))
        return json.loads(output_of(command, self.ground.environment))

    def _bare(self, per_second: float) -> Run:
        self.ground.empty()
        task = {
            "url": f"{self.ground.sandbox.base('stripe')}/v1/customers",
            "key": key_of("large"),
            "database": self.ground.database_url,
            "org": str(self.ground.org),
            "pieces": self.pieces,
            "readers": READERS,
            "per_second": per_second,
        }
        meter = self.ground.meter()
        command = python("tests.benchmarks.bare_reader")
        told = json.loads(output_of(command, self.ground.environment, json.dumps(task)))
        check(self.ground.rows("select count(*) from bare_customers")[0][0], self.large)
        return Run(meter.read(client=told["cpu"]), told)

    def _pieces(self) -> list[tuple[int, int]]:
        """Time ranges that hold as many customers as a page does, or a few less."""
        account = self.ground.sandbox.with_key(key_of("large"))
        created = sorted(one["created"] for one in account.dump("customer"))
        edges, end = [created[0]], 0
        while (end := end + PAGE) < len(created):
            while created[end] == created[end - 1]:  # a second is not cut
                end -= 1
            edges.append(created[end])
        return list(pairwise([*edges, created[-1] + 1]))


def parts(runs: list[Run]) -> str:
    """CPU by process, in the middle of all rounds."""
    names = {"client": "process", "postgres": "PostgreSQL"}
    shown = [f"{names[name]} {median(one.cost[name] for one in runs):.2f}" for name in names]
    beside = ", ".join(
        f"{name} {median(one.cost[name] for one in runs):.1f}" for name in ("sandbox", "prefect")
    )
    return f"{' + '.join(shown)} s (beside it {beside} s)"


def check(found: int, wanted: int) -> None:
    """A road that loses records is not measured."""
    if found != wanted:
        raise RuntimeError(f"{found:,} of {wanted:,} records arrived")
