"""Incremental sync: what changed in Stripe arrives, once, and without a gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from stripe_fixtures import Caller
from stripe_mirror import (
    SILENT,
    assert_mirrored,
    deliver,
    events,
    everything_stored,
    mirrored,
    reads,
    versions,
)
from stripe_run import drain, full, incremental
from stripe_world import everything_happens

from blocks.stripe import Stripe
from tasks.stripe import feed

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


async def test_what_changed_in_stripe_arrives(
    connected: UUID, sandbox: Sandbox, rows: Rows, call: Caller
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
    connection: Stripe, sandbox: Sandbox, rows: Rows, call: Caller
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
    connected: UUID, sandbox: Sandbox, rows: Rows
) -> None:
    sandbox.seed(**PAST)
    summary = await incremental()
    assert "this run reads everything" in summary["notes"][0]
    assert_mirrored(rows, sandbox)
    assert (await incremental())["notes"] == []


async def test_a_cursor_older_than_28_days_reads_everything_and_says_so(
    connected: UUID, sandbox: Sandbox, rows: Rows
) -> None:
    await full()
    sandbox.seed(**PAST)
    set_cursor(rows, timedelta(days=28, minutes=1))
    summary = await incremental()
    assert "older than the 28 days" in summary["notes"][0]
    assert_mirrored(rows, sandbox)
    assert (await incremental())["notes"] == []


async def test_too_many_events_read_everything_and_say_so(
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
    connected: UUID, sandbox: Sandbox, rows: Rows, call: Caller
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
    connected: UUID, sandbox: Sandbox, rows: Rows, call: Caller
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


def set_cursor(rows: Rows, back: timedelta) -> None:
    """The last reading of the feed was so long ago."""
    created = int((datetime.now(UTC) - back).timestamp())
    rows("update integration_cursors set position = %s::jsonb", f'{{"created": {created}}}')
