"""Full sync: our tables against the sandbox's own truth."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from stripe_fixtures import Caller
from stripe_mirror import (
    assert_mirrored,
    changed,
    mirrored,
    reads,
    versions,
)
from stripe_run import full, incremental
from stripe_world import everything_happens

from atlvs.errors import Unauthorized, Unavailable
from tasks.stripe import pages

pytest_plugins = ["mirror_fixtures", "stripe_fixtures"]

Rows = Any
PAST: dict[str, Any] = {
    "customers": 40,
    "payments_per_customer": 2,
    "subscriptions": 0.3,
    "invoices": 0.4,
    "refunds": 0.2,
    "products": 3,
}
MUCH: dict[str, Any] = PAST | {"customers": 150}
SEEDS: dict[str, list[dict[str, Any]]] = {
    "empty": [],
    "one object": [{"customers": 1}],
    "a past": [PAST],
    "skewed": [{"customers": 700, "skew": 30, "days": 400}],
    "many in one second among others": [
        {"customers": 130, "days": 0, "rng": 2},
        {"customers": 130, "days": 60, "rng": 3},
        {"customers": 105, "days": 0, "rng": 4},
    ],
    "all in one second": [{"customers": 250, "days": 0}],
}


@pytest.mark.parametrize("seeds", SEEDS.values(), ids=SEEDS)
async def test_full_sync_makes_our_tables_equal_and_a_second_writes_nothing(
    connected: UUID, sandbox: Sandbox, rows: Rows, seeds: list[dict[str, Any]]
) -> None:
    for seed in seeds:
        sandbox.seed(**seed)
    first = await full()
    assert_mirrored(rows, sandbox)
    for kind, counts in first["streams"].items():
        assert counts["created"] == counts["read"] - counts["unchanged"] == sandbox.count(kind)

    before = versions(rows)
    second = await full()
    assert changed(second) == 0
    assert versions(rows) == before
    assert second["notes"] == []


async def test_every_kind_of_object_is_mirrored(
    connected: UUID, sandbox: Sandbox, rows: Rows, call: Caller
) -> None:
    await everything_happens(sandbox, call)
    await full()
    assert_mirrored(rows, sandbox)
    assert all(mirrored(rows, kind) for kind in pages.STREAMS)


class TestVanished:
    async def test_deleted_customer_becomes_a_tombstone_after_a_full_sync(
        self, connected: UUID, sandbox: Sandbox, rows: Rows
    ) -> None:
        sandbox.seed(**PAST)
        await full()
        gone = sandbox.dump("customer")[7]["id"]
        sandbox.act("delete_customer", gone)
        assert tombstones(rows) == []

        summary = await full()
        assert summary["streams"]["customer"]["deleted"] == 1
        assert tombstones(rows) == [gone]
        assert_mirrored(rows, sandbox)
        before = versions(rows)
        await full()
        assert versions(rows) == before

    async def test_many_readers_and_saves_miss_none(
        self, connected: UUID, sandbox: Sandbox, rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pages, "CHUNK", 60)
        sandbox.seed(customers=2000)
        await full(only=["customer"])
        gone = [one["id"] for one in sandbox.dump("customer")[::33]]
        for identifier in gone:
            sandbox.act("delete_customer", identifier)
        sandbox.latency(0.01)
        await full(only=["customer"])
        assert tombstones(rows) == sorted(gone)

    async def test_a_mass_vanishing_is_held_until_a_person_allows_it(
        self, connected: UUID, sandbox: Sandbox, rows: Rows
    ) -> None:
        sandbox.seed(customers=100)
        await full()
        gone = [one["id"] for one in sandbox.dump("customer")[:20]]
        for identifier in gone:
            sandbox.act("delete_customer", identifier)

        held = await full()
        assert tombstones(rows) == []
        assert held["streams"]["customer"]["skipped"] == {"vanished, held": 20}
        assert held["notes"] == [
            "20 of 100 customer records are no longer in Stripe. Nothing was deleted. "
            "If that is right, run the full sync again with allow_deletes."
        ]
        assert rows("select state from integration_syncs order by started_at desc limit 1") == [
            ("held",)
        ]

        allowed = await full(allow_deletes=True)
        assert allowed["streams"]["customer"]["deleted"] == 20
        assert tombstones(rows) == sorted(gone)
        assert_mirrored(rows, sandbox)


class TestInterrupted:
    async def test_finished_streams_are_not_read_again(
        self, connected: UUID, sandbox: Sandbox, rows: Rows
    ) -> None:
        sandbox.seed(**PAST)
        refuse(sandbox, "^/v1/charges$")
        with pytest.raises(Unauthorized):
            await full()
        sandbox.clear_faults()
        sandbox.clear_requests()

        summary = await full()
        assert summary["notes"][0].startswith("Goes on with the run begun at")
        assert reads(sandbox, "/v1/customers") == 0
        assert reads(sandbox, "/v1/charges") > 0
        assert_mirrored(rows, sandbox)
        assert {c["read"] for k, c in summary["streams"].items() if k == "customer"} == {40}

    async def test_a_stream_goes_on_where_its_last_transaction_ended(
        self, connected: UUID, sandbox: Sandbox, rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pages, "CHUNK", 300)
        sandbox.seed(customers=2500, days=900)
        refuse(sandbox, "^/v1/customers$", skip=20)
        with pytest.raises(Unauthorized):
            await full(only=["customer"])
        interrupted = len(mirrored(rows, "customer"))
        assert 0 < interrupted < 2500
        sandbox.clear_faults()
        sandbox.clear_requests()

        await full(only=["customer"])
        resumed = reads(sandbox, "/v1/customers")
        assert_mirrored(rows, sandbox, ["customer"])
        sandbox.clear_requests()
        await full(only=["customer"])
        assert resumed < reads(sandbox, "/v1/customers")

    async def test_a_second_run_at_the_same_time_is_refused(
        self, connected: UUID, sandbox: Sandbox
    ) -> None:
        sandbox.seed(customers=5)
        sandbox.latency(0.1)
        first = asyncio.create_task(full())
        while not reads(sandbox):
            await asyncio.sleep(0.02)
        with pytest.raises(Unavailable, match="running already"):
            await full()
        await first


class TestMeanwhile:
    async def test_what_is_made_and_deleted_during_a_run_is_right_after_the_next(
        self, connected: UUID, sandbox: Sandbox, rows: Rows, call: Caller
    ) -> None:
        sandbox.seed(**MUCH)
        sandbox.latency(0.03)
        running = asyncio.create_task(full())
        deleted = 0
        while not running.done():
            await asyncio.to_thread(call.customer)
            await asyncio.to_thread(call.payment)
            known = await asyncio.to_thread(sandbox.dump, "customer")
            await asyncio.to_thread(sandbox.act, "delete_customer", known[-1]["id"])
            deleted += 1
        await running
        sandbox.latency(0)
        await incremental()
        assert deleted > 2
        assert_mirrored(rows, sandbox)

    async def test_the_object_that_a_page_follows_may_vanish(
        self, connected: UUID, sandbox: Sandbox, rows: Rows
    ) -> None:
        sandbox.seed(customers=250, days=0)
        last = sandbox.dump("customer")[99]["id"]
        sandbox.latency(0.4)
        running = asyncio.create_task(full())
        while not reads(sandbox, "/v1/customers"):
            await asyncio.sleep(0.02)
        sandbox.latency(0)
        sandbox.act("delete_customer", last)
        await running
        assert 400 in {
            one["status"]
            for one in sandbox.requests()
            if one["params"].get("starting_after") == last
        }
        await incremental()
        assert_mirrored(rows, sandbox)
        assert tombstones(rows) == [last]


def tombstones(rows: Rows) -> list[str]:
    found = rows("select stripe_customer_id from stripe_customers where deleted_at is not null")
    return sorted(key for (key,) in found)


def refuse(sandbox: Sandbox, path: str, **rule: Any) -> None:
    """The key loses a right in the middle: nothing that a later try would mend."""
    sandbox.fault("status", provider="stripe", path=path, status=401, **rule)
