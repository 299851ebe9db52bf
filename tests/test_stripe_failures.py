"""What else goes wrong: the database goes away, answers are garbled, rights and limits are missing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from sandbox_client import Sandbox
from stripe_fixtures import Caller
from stripe_mirror import assert_mirrored, deliver, events, fields, reads
from stripe_run import drain, full
from stripe_ten import Ten

from atlvs.db import connections, engine, inbox, requests
from atlvs.db.engine import database
from atlvs.errors import Rejected, Unauthorized, Unavailable
from blocks.stripe import Stripe
from tasks import policy
from tasks.stripe import service

pytest_plugins = ["mirror_fixtures", "stripe_fixtures"]

Rows = Any
PAST: dict[str, Any] = {
    "customers": 60,
    "payments_per_customer": 2,
    "subscriptions": 0.2,
    "invoices": 0.3,
    "refunds": 0.2,
}


class TestDatabaseAway:
    @pytest.mark.parametrize("after", [1, 5, 14])
    async def test_connections_cut_during_a_full_sync(
        self, connected: UUID, sandbox: Sandbox, rows: Rows, after: int
    ) -> None:
        sandbox.seed(**PAST)
        sandbox.latency(0.03)
        running = asyncio.create_task(full())
        while reads(sandbox) < after:
            await asyncio.sleep(0.01)
        cut(rows)
        outcome = (await asyncio.gather(running, return_exceptions=True))[0]
        assert isinstance(outcome, dict | Unavailable)
        assert "PostgreSQL did not answer" in str(outcome) or isinstance(outcome, dict)
        await full()
        assert_mirrored(rows, sandbox)

    async def test_no_connection_for_a_while(
        self, connection: Stripe, sandbox: Sandbox, rows: Rows, postgres: str, call: Caller
    ) -> None:
        for _ in range(3):
            call.payment()
        await deliver(connection, events(sandbox))
        request = uuid4()
        with closed(postgres, rows), quick_pools(), patch.object(policy, "MOST_ATTEMPTS", 1):
            await database().close()
            with pytest.raises(Unavailable, match="not currently accepting connections"):
                await drain()
            with pytest.raises(Unavailable, match="not currently accepting connections"):
                await service.create_customer.fn(connection, request, "a@example.com", "Ada")
        await service.create_customer.fn(connection, request, "a@example.com", "Ada")
        assert len(sandbox.dump("customer")) == 1
        rows("update integration_inbox set lease_until = null, due_at = now()")
        await drain()
        assert rows("select count(*) from integration_inbox where state = 'waiting'") == [(0,)]
        assert_mirrored(rows, sandbox, ["payment_intent", "charge"])

    async def test_connections_cut_while_stripe_answers_a_write(
        self,
        connection: Stripe,
        sandbox: Sandbox,
        rows: Rows,
        call: Caller,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(requests, "LEASE_SECONDS", 1)
        case, request = Ten(sandbox, call)["refund_payment"], uuid4()
        sandbox.fault("slow", path="^/v1/refunds$", times=1, seconds=0.6)
        writing = asyncio.create_task(case(connection, request))
        await asyncio.sleep(0.3)
        cut(rows)
        answer = await writing
        assert case.effects(request) == 1
        assert rows("stripe_refunds", "stripe_refund_id") == [(answer["id"],)]

    async def test_connections_cut_while_events_are_fetched(
        self, connection: Stripe, sandbox: Sandbox, rows: Rows, call: Caller
    ) -> None:
        for _ in range(5):
            call.payment()
        await deliver(connection, events(sandbox))
        sandbox.latency(0.3)
        draining = asyncio.create_task(drain())
        await asyncio.sleep(0.4)
        cut(rows)
        outcome = (await asyncio.gather(draining, return_exceptions=True))[0]
        assert isinstance(outcome, dict | Unavailable)
        sandbox.latency(0)
        rows("update integration_inbox set lease_until = null, due_at = now()")
        await drain()
        assert rows("select count(*) from integration_inbox where state = 'waiting'") == [(0,)]
        assert_mirrored(rows, sandbox, ["payment_intent", "charge"])


class TestGarbled:
    @pytest.mark.parametrize(
        ("kind", "rule"),
        [
            ("truncate", {}),
            ("reset", {}),
            ("500_before", {}),
            ("409", {}),
            ("status", {"status": 200, "body": "<html>Welcome to the hotel</html>"}),
            ("status", {"status": 200, "body": []}),
            ("status", {"status": 200, "body": {"welcome": True}}),
            ("status", {"status": 502, "body": "<html>Bad gateway</html>"}),
        ],
    )
    async def test_a_page_is_asked_for_again(
        self, connected: UUID, sandbox: Sandbox, rows: Rows, kind: str, rule: dict[str, Any]
    ) -> None:
        sandbox.seed(customers=150)
        sandbox.fault(kind, path="^/v1/customers$", times=2, **rule)
        await full()
        assert_mirrored(rows, sandbox)

    async def test_a_page_that_is_never_whole_ends_the_run_with_words(
        self, connected: UUID, sandbox: Sandbox, rows: Rows
    ) -> None:
        sandbox.seed(**PAST)
        for kind, rule, words in (
            ("truncate", {}, "no answer to GET /stripe/v1/charges"),
            ("status", {"status": 200, "body": "<html>"}, "cut off or is not JSON"),
            ("status", {"status": 503}, "An unknown error occurred"),
        ):
            sandbox.fault(kind, path="^/v1/charges$", **rule)
            with patch.object(policy, "MOST_ATTEMPTS", 2), pytest.raises(Unavailable, match=words):
                await full()
            sandbox.clear_faults()
        summary = await full()
        assert summary["notes"][0].startswith("Goes on with")
        assert_mirrored(rows, sandbox)


class TestRights:
    async def test_a_key_without_rights_is_told_which(
        self, connected: UUID, sandbox: Sandbox
    ) -> None:
        name = sandbox.key.removeprefix("sk_test_")
        await save(connected, sandbox, secret_key=f"rk_test_{name}_norights")
        with pytest.raises(Unauthorized, match=r"'rak_\w+_read' permission"):
            await full()

    async def test_a_key_that_may_read_is_enough_for_a_sync(
        self, connected: UUID, sandbox: Sandbox, rows: Rows
    ) -> None:
        sandbox.seed(**PAST)
        name = sandbox.key.removeprefix("sk_test_")
        await save(connected, sandbox, secret_key=f"rk_test_{name}_readonly")
        await full()
        assert_mirrored(rows, sandbox)

    async def test_a_wrong_key_is_not_repeated(self, connected: UUID, sandbox: Sandbox) -> None:
        await save(connected, sandbox, secret_key="sk_nonsense_4242424242")
        with pytest.raises(Unauthorized) as refused:
            await full()
        assert str(refused.value) == "stripe: Invalid API Key provided: (key)"

    @pytest.mark.parametrize("key", ["sk_test_another", "sk_live_{name}"])
    async def test_a_key_of_another_account_or_mode_touches_nothing(
        self, connected: UUID, sandbox: Sandbox, rows: Rows, key: str
    ) -> None:
        sandbox.seed(customers=3)
        await full()
        other = key.format(name=sandbox.key.removeprefix("sk_test_"))
        sandbox.with_key(other).seed(customers=2)
        await save(connected, sandbox, secret_key=other)
        with pytest.raises(Rejected, match="Make another connection for it"):
            await full()
        assert_mirrored(rows, sandbox)


class TestLimits:
    async def test_all_runs_share_one_budget_below_the_limit(
        self, connected: UUID, sandbox: Sandbox, rows: Rows, call: Caller
    ) -> None:
        sandbox.seed(**PAST)
        for _ in range(12):
            call.customer()
        await save(connected, sandbox, reads_per_second=20)
        async with Stripe.opened() as connection:
            await deliver(connection, events(sandbox))
        sandbox.limits(reads=25)
        sandbox.clear_requests()
        before, began = sandbox.stats().get("too_many", 0), monotonic()
        await asyncio.gather(full(), drain())
        asked, took = reads(sandbox), monotonic() - began
        assert asked > 30
        assert asked / took < 24
        assert sandbox.stats().get("too_many", 0) == before
        assert_mirrored(rows, sandbox)

    async def test_a_storm_of_429_is_waited_out(
        self, connected: UUID, sandbox: Sandbox, rows: Rows
    ) -> None:
        sandbox.seed(**PAST)
        sandbox.fault("429", rate=0.25, headers={"Retry-After": "0.1"})
        summary = await full()
        sandbox.clear_faults()
        assert_mirrored(rows, sandbox)
        assert summary["answered_429"] > 2
        assert rows("select count(*) from integration_calls where status = 429") == [
            (summary["answered_429"],)
        ]


async def test_a_lane_that_failed_waits_longer_each_time(
    connection: Stripe, sandbox: Sandbox, rows: Rows, call: Caller
) -> None:
    one = call.customer()["id"]
    await deliver(connection, events(sandbox))
    sandbox.fault("status", path=f"^/v1/customers/{one}$", status=400)
    waits: list[float] = []
    for _ in range(inbox.MOST_ATTEMPTS - 1):
        await drain()
        ((seconds,),) = rows(
            "select extract(epoch from due_at - now())::float from integration_inbox"
        )
        waits.append(seconds)
        rows("update integration_inbox set due_at = now()")
    assert waits == pytest.approx([2, 4, 8, 16, 32, 64, 128], abs=1.5)


async def save(org: UUID, sandbox: Sandbox, **changed: Any) -> None:
    await connections.save(org, "stripe", "default", fields(sandbox, **changed))


def cut(rows: Rows) -> None:
    """End every connection to the test's database."""
    rows(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )


def quick_pools() -> AbstractContextManager[Any]:
    """Pools that wait a second for a connection, not ten."""

    class Quick(AsyncConnectionPool[Any]):
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options | {"timeout": 1})

    return patch.object(engine, "AsyncConnectionPool", Quick)


@contextmanager
def closed(postgres: str, rows: Rows) -> Iterator[None]:
    """The database takes no connections meanwhile."""
    name = urlsplit(rows.url).path.removeprefix("/")
    assert re.fullmatch(r"\w+", name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'alter database "{name}" with allow_connections false'.encode())
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
        )
        try:
            yield
        finally:
            connection.execute(f'alter database "{name}" with allow_connections true'.encode())
