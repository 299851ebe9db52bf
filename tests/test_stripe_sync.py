"""Full and incremental sync: our tables against the sandbox's own truth."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from stripe_fixtures import Caller
from stripe_mirror import (
    SILENT,
    assert_mirrored,
    changed,
    deliver,
    events,
    everything_stored,
    mirrored,
    reads,
    versions,
)
from stripe_run import drain, full, incremental

from atlvs.errors import Unauthorized, Unavailable
from blocks.stripe import Stripe
from tasks.stripe import feed, pages

pytest_plugins = ["mirror_fixtures", "stripe_fixtures"]

Rows = Any
PAST = {
    "customers": 40,
    "payments_per_customer": 2,
    "subscriptions": 0.3,
    "invoices": 0.4,
    "refunds": 0.2,
    "products": 3,
}
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


async def test_nothing_secret_is_stored(
    connected: UUID, sandbox: Sandbox, rows: Rows, call: Caller
) -> None:
    await everything_happens(sandbox, call)
    await full()
    set_cursor(rows, timedelta(days=10))
    await everything_happens(sandbox, call)
    await incremental()
    stored = everything_stored(rows)
    assert "evt_" in stored
    for secret in (sandbox.key, "_secret_", "whsec_"):
        assert secret not in stored


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
        sandbox.seed(**PAST | {"customers": 150})
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


class TestIncremental:
    async def test_what_changed_in_stripe_arrives(
        self, connected: UUID, sandbox: Sandbox, rows: Rows, call: Caller
    ) -> None:
        sandbox.seed(**PAST)
        await full()
        set_cursor(rows, timedelta(days=10))
        await everything_happens(sandbox, call)
        summary = await incremental()
        assert summary["events not in the inbox"] > 10
        assert summary["failed"] == summary["postponed"] == 0
        assert_mirrored(rows, sandbox, silent=SILENT)

        before = versions(rows)
        again = await incremental()
        assert again["events not in the inbox"] == again["handled"] == 0
        assert versions(rows) == before

    async def test_events_that_a_webhook_brought_are_not_handled_again(
        self, connection: Stripe, sandbox: Sandbox, rows: Rows, call: Caller
    ) -> None:
        await full()
        payment = call.payment()
        await deliver(connection, events(sandbox))
        await drain()
        path = f"/v1/payment_intents/{payment['id']}"
        asked = reads(sandbox, path)
        assert asked > 0
        summary = await incremental()
        assert summary["events read"] > 0
        assert summary["events not in the inbox"] == summary["handled"] == 0
        assert reads(sandbox, path) == asked

    async def test_the_first_run_reads_everything_and_says_so(
        self, connected: UUID, sandbox: Sandbox, rows: Rows
    ) -> None:
        sandbox.seed(**PAST)
        summary = await incremental()
        assert "this run reads everything" in summary["notes"][0]
        assert_mirrored(rows, sandbox)
        assert (await incremental())["notes"] == []

    async def test_a_cursor_older_than_28_days_reads_everything_and_says_so(
        self, connected: UUID, sandbox: Sandbox, rows: Rows
    ) -> None:
        await full()
        sandbox.seed(**PAST)
        set_cursor(rows, timedelta(days=28, minutes=1))
        summary = await incremental()
        assert "older than the 28 days" in summary["notes"][0]
        assert_mirrored(rows, sandbox)
        assert (await incremental())["notes"] == []

    async def test_too_many_events_read_everything_and_say_so(
        self,
        connected: UUID,
        sandbox: Sandbox,
        rows: Rows,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await full()
        sandbox.seed(**PAST, emit_events=True, days=2)
        set_cursor(rows, timedelta(days=2))
        monkeypatch.setattr(feed, "MOST_EVENTS", 100)
        summary = await incremental()
        assert "reading everything is quicker" in summary["notes"][0]
        assert_mirrored(rows, sandbox)
        assert (await incremental())["notes"] == []

    async def test_some_kinds_alone_leave_the_cursor_where_it_is(
        self, connected: UUID, sandbox: Sandbox, rows: Rows, call: Caller
    ) -> None:
        await full()
        set_cursor(rows, timedelta(days=5))
        before = rows("integration_cursors", "position")
        call.payment()
        await full(only=["customer"])
        assert rows("integration_cursors", "position") == before
        await incremental()
        assert_mirrored(rows, sandbox)

    async def test_a_later_beginning_leaves_no_gap(
        self, connected: UUID, sandbox: Sandbox, rows: Rows, call: Caller
    ) -> None:
        """Asking for the last hour must not move the cursor over what lies before it."""
        await full()
        set_cursor(rows, timedelta(days=7))
        sandbox.clock(advance=-5 * 86_400)
        call.payment()
        sandbox.clock(real=True)
        await incremental(since=datetime.now(UTC) - timedelta(hours=1))
        await incremental()
        assert_mirrored(rows, sandbox)


async def test_a_dry_run_tells_and_stores_nothing(
    connected: UUID, sandbox: Sandbox, rows: Rows, call: Caller
) -> None:
    sandbox.seed(**PAST)
    dry = await full(dry_run=True)
    assert dry["streams"]["customer"]["created"] == 40
    assert not mirrored(rows, "customer")
    wet = await full()
    assert {k: c["created"] for k, c in dry["streams"].items()} == {
        k: c["created"] for k, c in wet["streams"].items()
    }
    call.customer()
    told = await incremental(dry_run=True)
    assert told["events not in the inbox"] == 1
    assert rows("integration_inbox", "id") == []
    await incremental()
    assert_mirrored(rows, sandbox)


def set_cursor(rows: Rows, back: timedelta) -> None:
    """The last reading of the feed was so long ago."""
    created = int((datetime.now(UTC) - back).timestamp())
    rows("update integration_cursors set position = %s::jsonb", f'{{"created": {created}}}')


def tombstones(rows: Rows) -> list[str]:
    found = rows("select stripe_customer_id from stripe_customers where deleted_at is not null")
    return sorted(key for (key,) in found)


def refuse(sandbox: Sandbox, path: str, **rule: Any) -> None:
    """The key loses a right in the middle: nothing that a later try would mend."""
    sandbox.fault("status", provider="stripe", path=path, status=401, **rule)


async def everything_happens(sandbox: Sandbox, call: Caller) -> None:
    """Something of every kind: paid, refunded, disputed, subscribed, invoiced, paid out."""
    sandbox.clock(advance=-9 * 86_400)
    customer = call.customer(email="grace@example.com")["id"]
    paid, refunded, disputed = (call.payment(amount) for amount in (1_000, 2_000, 3_000))
    call("POST", "/v1/refunds", {"payment_intent": refunded["id"], "amount": 500})
    sandbox.act("open_dispute", disputed["id"])
    product = call("POST", "/v1/products", {"name": "Crew plan"}).json()["id"]
    once = {"product": product, "currency": "usd", "unit_amount": 900}
    price = call("POST", "/v1/prices", once | {"recurring[interval]": "month"}).json()["id"]
    subscribed = {"customer": customer, "items[0][price]": price}
    subscription = call(
        "POST", "/v1/subscriptions", subscribed | {"payment_behavior": "default_incomplete"}
    )
    sandbox.act("pay_invoice", subscription.json()["latest_invoice"])
    session = {
        "mode": "payment",
        "success_url": "https://example.com/ok",
        "line_items[0][quantity]": 2,
        "line_items[0][price]": call("POST", "/v1/prices", once).json()["id"],
    }
    sandbox.act("pay_checkout", call("POST", "/v1/checkout/sessions", session).json()["id"])
    call("POST", f"/v1/customers/{customer}", {"name": "Grace Hughes"})
    sandbox.clock(real=True)  # the money is there
    sandbox.act("payout")
    assert paid["status"] == "succeeded"
