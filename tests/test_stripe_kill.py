"""`kill -9` at every place where it hurts: the next run ends as if nothing had been."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sandbox_client import Sandbox
from stripe_fixtures import Caller
from stripe_mirror import SILENT, TOLD, assert_mirrored, deliver, events
from stripe_run import drain, full, incremental
from stripe_ten import Ten

from atlvs.errors import Unavailable
from blocks.stripe import Stripe

pytest_plugins = ["mirror_fixtures", "stripe_fixtures"]

Rows = Any
LEASE = 0.5
PAST: dict[str, Any] = {
    "customers": 30,
    "payments_per_customer": 2,
    "subscriptions": 0.3,
    "invoices": 0.4,
    "refunds": 0.2,
    "products": 2,
    "days": 0,  # of today, so that all of it is told
}
MUCH: dict[str, Any] = PAST | {"customers": 150}
# The same record may be told of a payment only once in its life.
TWICE = """
    select type, record_id, count(*) from integration_outbox where type in ('payment.created',
    'payment.received', 'invoice.paid', 'checkout.completed', 'subscription.created', 'dispute.opened')
    group by 1, 2 having count(*) > 1
"""


class Processes:
    """Runs in processes of their own."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("stripe_run.py")
        self.maker = subprocess.Popen(
            [sys.executable, str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=program.parents[1],
        )

    def run(
        self, what: str, kill_at: str = "", die_after: float | None = None, **given: Any
    ) -> int:
        """One run; minus the signal that ended it, or its exit code."""
        names = ("DATABASE_URL", "ATLVS_ENCRYPTION_KEYS")
        asked = {
            "what": what,
            "given": given,
            "lease": LEASE,
            "chunk": 40,
            "die_after": die_after,
            "environment": {name: os.environ[name] for name in names} | {"ATLVS_KILL_AT": kill_at},
        }
        assert self.maker.stdin
        self.maker.stdin.write(json.dumps(asked) + "\n")
        self.maker.stdin.flush()
        assert self.maker.stdout
        return int(self.maker.stdout.readline())

    def die(self, what: str, at: str, **given: Any) -> None:
        assert self.run(what, at, **given) == -signal.SIGKILL, f"{what} did not come to {at}"

    def close(self) -> None:
        assert self.maker.stdin
        self.maker.stdin.close()
        self.maker.wait(10)


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    running = Processes()
    yield running
    running.close()


@pytest.mark.parametrize(
    "place",
    [
        "sync.page:1",
        "sync.page:7",
        "sync.before-save:1",
        "sync.before-save:9",
        "sync.in-save:1",
        "sync.in-save:12",
        "sync.after-save:1",
        "sync.after-save:10",
    ],
)
async def test_full_sync(
    processes: Processes, connected: UUID, sandbox: Sandbox, rows: Rows, place: str
) -> None:
    sandbox.seed(**PAST)
    await asyncio.to_thread(processes.die, "full", place)
    await once_free(full)
    assert_mirrored(rows, sandbox)
    assert rows(TWICE) == []
    assert rows("select state, count(*) from integration_syncs group by 1") == [("done", 1)]


@pytest.mark.parametrize("place", ["feed.page:1", "feed.page:2"])
async def test_reading_the_feed(
    processes: Processes, connected: UUID, sandbox: Sandbox, rows: Rows, place: str
) -> None:
    await full()
    sandbox.seed(**PAST, emit_events=True)
    await asyncio.to_thread(processes.die, "incremental", place)
    summary = await once_free(incremental)
    assert summary["notes"] == []
    assert_mirrored(rows, sandbox, TOLD, silent=SILENT)
    assert rows(TWICE) == []


@pytest.mark.parametrize(
    "place", ["drain.claimed:1", "drain.fetched:1", "drain.in-store:2", "drain.stored:1"]
)
async def test_draining_the_inbox(
    processes: Processes,
    connection: Stripe,
    sandbox: Sandbox,
    rows: Rows,
    call: Caller,
    place: str,
) -> None:
    paid = [call.payment(amount)["id"] for amount in range(1_000, 1_030)]
    call("POST", "/v1/refunds", {"payment_intent": paid[0], "amount": 300})
    await deliver(connection, events(sandbox))
    await asyncio.to_thread(processes.die, "drain", place)
    await asyncio.sleep(LEASE)
    await drain()
    assert rows("select count(*) from integration_inbox where state = 'waiting'") == [(0,)]
    assert_mirrored(rows, sandbox, ["payment_intent", "charge", "refund"])
    assert rows("select count(*), sum(amount_cents), sum(refunded_cents) from payments") == [
        (30, sum(range(1_000, 1_030)), 300)
    ]
    told = rows("select type, count(*) from integration_outbox group by 1 order by 1")
    assert told == [("payment.created", 30), ("payment.received", 30), ("payment.refunded", 1)]


@pytest.mark.parametrize(
    ("method", "place"),
    [
        (method, place)
        for method in ("refund_payment", "cancel_subscription", "send_invoice")
        for place in ("write.sending:1", "write.answered:1", "write.finished:1")
    ]
    + [("create_invoice", f"write.answered:{number}") for number in (1, 2, 4)]
    + [("create_invoice", "write.finished:3")],
)
async def test_writing(
    processes: Processes,
    connection: Stripe,
    sandbox: Sandbox,
    rows: Rows,
    call: Caller,
    method: str,
    place: str,
) -> None:
    case, request = Ten(sandbox, call)[method], uuid4()
    await asyncio.to_thread(processes.die, method, place, request=str(request), **case.given)
    answer = await case(connection, request)
    assert case.effects(request) == 1
    if method == "create_invoice":
        assert (answer["status"], answer["total"]) == ("open", 1_100)
        assert len(answer["lines"]["data"]) == 2
    assert await case(connection, request) == answer
    assert rows("select count(*) from integration_requests where state = 'pending'") == [(0,)]


@pytest.mark.parametrize("seed", range(6))
async def test_full_sync_at_any_moment(
    processes: Processes, connected: UUID, sandbox: Sandbox, rows: Rows, seed: int
) -> None:
    await at_a_random_moment(processes, sandbox, rows, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6, 46))
async def test_full_sync_at_many_moments(
    processes: Processes, connected: UUID, sandbox: Sandbox, rows: Rows, seed: int
) -> None:
    await at_a_random_moment(processes, sandbox, rows, seed)


async def at_a_random_moment(processes: Processes, sandbox: Sandbox, rows: Rows, seed: int) -> None:
    """Killed up to three times on its way, then left alone."""
    chance = random.Random(seed)  # noqa: S311  moments that repeat themselves
    sandbox.seed(**MUCH)
    sandbox.latency(0.02)
    for _ in range(chance.randint(1, 3)):
        await asyncio.to_thread(processes.run, "full", die_after=chance.uniform(0.1, 2))
    sandbox.latency(0)
    await once_free(full)
    assert_mirrored(rows, sandbox)
    assert rows(TWICE) == []


async def once_free(run: Any) -> dict[str, Any]:
    """A killed process's lock is gone when PostgreSQL has noticed."""
    for _ in range(600):
        try:
            return await run()
        except Unavailable as error:
            if "running already" not in error.message:
                raise
        await asyncio.sleep(0.1)
    raise AssertionError("the lock of the killed run is still held")
