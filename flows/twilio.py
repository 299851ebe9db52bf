"""Twilio's scheduled flows: full and incremental sync of the log of messages and calls."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from atlvs.db import syncs
from blocks.twilio import Twilio
from flows.alone import alone
from flows.report import Report, reported
from tasks.twilio.reading import (
    compare_all,
    read_all,
    read_new,
    settle_stale,
    settle_vanished,
    start_new,
)

Connection = Annotated[
    str, Field(title="Connection", description="Name of the saved Twilio connection.")
]
Kind = Literal["message", "call"]
KINDS: tuple[Kind, ...] = ("message", "call")


@flow(name="twilio-full-sync", persist_result=False)
async def full_sync(
    connection: Connection = "default",
    only: list[Kind] | None = None,
    allow_deletes: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Read all messages and calls that Twilio has, and make our copy equal to it.

    Args:
        connection: Name of the saved Twilio connection.
        only: Kinds of records to read; all of them when left empty.
        allow_deletes: Accept that a large share of the records has vanished at Twilio.
        dry_run: Read and compare, and store nothing.
    """
    async with reported("Twilio full sync", f"twilio-full-sync-{connection}") as report:
        async with Twilio.opened(connection) as twilio, alone(twilio, "full"):
            if dry_run:
                await compare_everything(twilio, report, only or KINDS)
            else:
                await read_everything(twilio, report, only or KINDS, allow_deletes)
            report.calls_of(twilio)
        return report.summary


@flow(name="twilio-incremental-sync", persist_result=False)
async def incremental_sync(
    connection: Connection = "default",
    since: datetime | None = None,
    stale_hours: Annotated[float, Field(gt=0)] = 11,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Read new messages and calls, what may have changed of the last hours, and deliveries of which
    nobody told how they ended.

    Args:
        connection: Name of the saved Twilio connection.
        since: Read what was made from this time on; empty for the last run.
        stale_hours: Ask for deliveries that were sent so long ago and have not come to an end.
        dry_run: Count what would be brought, and store nothing.
    """
    async with reported(
        "Twilio incremental sync", f"twilio-incremental-sync-{connection}"
    ) as report:
        async with Twilio.opened(connection) as twilio, alone(twilio, "incremental"):
            await read_what_is_new(twilio, report, since, dry_run)
            report.count("stale delivery", await settle_stale(twilio, stale_hours, dry_run))
            report.calls_of(twilio)
        return report.summary


async def read_what_is_new(
    twilio: Twilio, report: Report, since: datetime | None, dry_run: bool
) -> None:
    """Each kind from where the last run ended; everything where there was none."""
    for kind in KINDS:
        counts = await read_new(twilio, kind, since, dry_run)
        if counts is not None:
            report.count(kind, counts)
            continue
        report.notes.append(f"No {kind} was ever read: this run reads all of them.")
        if dry_run:
            report.count(kind, await compare_all(twilio, kind))
            continue
        async with alone(twilio, "full"):
            await read_everything(twilio, report, [kind])


async def read_everything(
    twilio: Twilio, report: Report, kinds: Sequence[Kind], allow_deletes: bool = False
) -> None:
    """A complete reading, which goes on where it was interrupted."""
    sync = await syncs.begin(twilio.connection, "full")
    if sync.resumed:
        report.notes.append(f"Goes on with the run begun at {sync.started_at:%F %T} UTC.")
    held: list[str] = []
    for kind in kinds:
        report.count(kind, await read_all(twilio, sync, kind))
        counts, note = await settle_vanished(sync, kind, allow_deletes)
        report.count(kind, counts)
        held += [note] if note else []
        await start_new(twilio, kind, sync.started_at)
    await syncs.end(sync, "held" if held else "done", " ".join(held) or None)
    report.notes += held


async def compare_everything(twilio: Twilio, report: Report, kinds: Sequence[Kind]) -> None:
    """The same reading, of which nothing is kept."""
    report.notes.append("A dry run: nothing was stored.")
    for kind in kinds:
        report.count(kind, await compare_all(twilio, kind))
