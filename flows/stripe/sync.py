"""Stripe's scheduled flows: full and incremental sync."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from atlvs.db import syncs
from blocks.stripe import Stripe
from flows.alone import alone
from flows.report import Report, reported
from flows.webhooks import tell
from tasks.inbox import drain
from tasks.stripe import feed
from tasks.stripe.feed import FeedRead
from tasks.stripe.pages import (
    STREAMS,
    bind_account,
    compare_stream,
    read_stream,
    settle_vanished,
)

Connection = Annotated[
    str, Field(title="Connection", description="Name of the saved Stripe connection.")
]
Kind = Literal[
    "customer",
    "product",
    "price",
    "subscription",
    "invoice",
    "invoice_payment",
    "payment_intent",
    "charge",
    "refund",
    "dispute",
    "checkout.session",
    "balance_transaction",
    "payout",
]


@flow(name="stripe-full-sync", persist_result=False)
async def full_sync(
    connection: Connection = "default",
    only: list[Kind] | None = None,
    allow_deletes: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Read everything in Stripe and make our copy equal to it.

    Args:
        connection: Name of the saved Stripe connection.
        only: Kinds of records to read; all of them when left empty.
        allow_deletes: Accept that a large share of the records has vanished in Stripe.
        dry_run: Read and compare, and store nothing.
    """
    async with reported("Stripe full sync", f"stripe-full-sync-{connection}") as report:
        async with Stripe.opened(connection) as stripe, alone(stripe, "full"):
            if dry_run:
                await compare_everything(stripe, report, only or list(STREAMS))
            else:
                await read_everything(stripe, report, only or list(STREAMS), allow_deletes)
            report.calls_of(stripe)
        return report.summary


@flow(name="stripe-incremental-sync", persist_result=False)
async def incremental_sync(
    connection: Connection = "default",
    since: datetime | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Bring everything that changed in Stripe since the last run, and that no webhook brought.

    Args:
        connection: Name of the saved Stripe connection.
        since: Read the changes from this time on, at most 28 days back; empty for the last run.
        dry_run: Count what would be brought, and store nothing.
    """
    async with reported(
        "Stripe incremental sync", f"stripe-incremental-sync-{connection}"
    ) as report:
        async with Stripe.opened(connection) as stripe, alone(stripe, "incremental"):
            begin = await feed.events_since(stripe, since)
            found = await feed.read_feed(stripe, begin, dry_run) if begin else None
            if (found is None or found.too_much) and not dry_run:
                report.notes.append(why_full(found))
                async with alone(stripe, "full"):
                    await read_everything(stripe, report, list(STREAMS), allow_deletes=False)
            elif found:
                report.facts |= {"events read": found.read, "events not in the inbox": found.new}
            if found and not dry_run:
                tell(report, await drain(120.0))
            report.calls_of(stripe)
        return report.summary


async def read_everything(
    stripe: Stripe, report: Report, kinds: Sequence[str], allow_deletes: bool = False
) -> None:
    """A complete reading: each stream is one task, which goes on where it was interrupted."""
    await bind_account(stripe)
    sync = await syncs.begin(stripe.connection, "full")
    if sync.resumed:
        report.notes.append(f"Goes on with the run begun at {sync.started_at:%F %T} UTC.")
    held: list[str] = []
    for kind in kinds:
        report.count(kind, await read_stream(stripe, sync, kind))
        vanished = await settle_vanished(sync, kind, allow_deletes)
        report.count(kind, vanished.counts)
        held += vanished.notes
    if set(kinds) == set(STREAMS):
        await feed.start_feed(stripe, sync.started_at)
        if not held:
            await syncs.settle_events(sync)
    await syncs.end(sync, "held" if held else "done", " ".join(held) or None)
    report.notes += held


async def compare_everything(stripe: Stripe, report: Report, kinds: Sequence[str]) -> None:
    """The same reading, of which nothing is kept."""
    report.notes.append("A dry run: nothing was stored.")
    for kind in kinds:
        report.count(kind, await compare_stream(stripe, kind))


def why_full(found: FeedRead | None) -> str:
    """Why an incremental run reads everything."""
    if found is None:
        return (
            "There is no reading to go on from, or it is older than the 28 days that Stripe's event "
            "feed is relied on: this run reads everything."
        )
    return f"More than {found.read:,} events since the last run: reading everything is quicker."
