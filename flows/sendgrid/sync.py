"""SendGrid's scheduled flows: full and incremental sync of suppressions and templates."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from atlvs.db import syncs
from atlvs.db.engine import database
from atlvs.db.syncs import Sync
from blocks.sendgrid import SendGrid
from flows.alone import alone
from flows.report import Report, reported
from flows.webhooks import tell
from tasks.inbox import drain
from tasks.sendgrid import reading
from tasks.sendgrid.suppressions import read_list
from tasks.sendgrid.templates import read_templates

Connection = Annotated[
    str, Field(title="Connection", description="Name of the saved SendGrid connection.")
]
Kind = Literal[
    "bounces", "blocks", "spam_reports", "invalid_emails", "unsubscribes", "groups", "templates"
]


@flow(name="sendgrid-full-sync", persist_result=False)
async def full_sync(
    connection: Connection = "default",
    only: list[Kind] | None = None,
    allow_deletes: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Read all of SendGrid's suppression lists and templates, and make our copy equal to them.

    Args:
        connection: Name of the saved SendGrid connection.
        only: Lists to read; all of them when left empty.
        allow_deletes: Accept that a large share of the addresses was taken off a list.
        dry_run: Read and compare, and store nothing.
    """
    async with reported("SendGrid full sync", f"sendgrid-full-sync-{connection}") as report:
        async with SendGrid.opened(connection) as sendgrid, alone(sendgrid, "full or incremental"):
            await read_everything(sendgrid, report, only or [], allow_deletes, dry_run)
            report.calls_of(sendgrid)
        return report.summary


@flow(name="sendgrid-incremental-sync", persist_result=False)
async def incremental_sync(
    connection: Connection = "default",
    since: datetime | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Bring who came onto SendGrid's suppression lists since the last run, and the templates.

    Args:
        connection: Name of the saved SendGrid connection.
        since: Read what was added from this time on; empty for the last run.
        dry_run: Count what would be brought, and store nothing.
    """
    async with reported(
        "SendGrid incremental sync", f"sendgrid-incremental-sync-{connection}"
    ) as report:
        async with SendGrid.opened(connection) as sendgrid, alone(sendgrid, "full or incremental"):
            begin = since.replace(tzinfo=since.tzinfo or UTC) if since else None
            begin = begin or await reading.last_time(sendgrid)
            if begin is None:
                report.notes.append("There is no reading to go on from: this run reads everything.")
                await read_everything(sendgrid, report, [], allow_deletes=False, dry_run=dry_run)
            else:
                await read_new(sendgrid, report, begin, dry_run)
            if not dry_run:
                tell(report, await drain(60.0))
            report.calls_of(sendgrid)
        return report.summary


async def read_everything(
    sendgrid: SendGrid, report: Report, only: Sequence[str], allow_deletes: bool, dry_run: bool
) -> None:
    """A complete reading: each list is one task, which an interrupted run does not read again."""
    await reading.bind_account(sendgrid)
    began = await database().now()
    sync = None if dry_run else await syncs.begin(sendgrid.connection, "full")
    if dry_run:
        report.notes.append("A dry run: nothing was stored.")
    if sync and sync.resumed:
        report.notes.append(f"Goes on with the run begun at {sync.started_at:%F %T} UTC.")
        began = sync.started_at
    held: list[str] = []
    for name in reading.chosen(await reading.every_list(sendgrid), only):
        if not (sync and sync.finished(name)):
            held += await read_one(sendgrid, report, sync, name, allow_deletes, dry_run)
    if sync:
        if not only:
            await reading.note_time(sendgrid, began)
        await syncs.end(sync, "held" if held else "done", " ".join(held) or None)
    report.notes += held


async def read_one(
    sendgrid: SendGrid,
    report: Report,
    sync: Sync | None,
    name: str,
    allow_deletes: bool,
    dry_run: bool,
) -> list[str]:
    """One list, or the templates, read whole; what is held for a person."""
    if name == reading.TEMPLATES:
        read = await read_templates(sendgrid, allow_deletes, dry_run)
    else:
        read = await read_list(sendgrid, name, None, allow_deletes, dry_run)
    report.count(name, read.counts)
    if sync:
        await reading.note_done(sync, name, read.counts)
    return read.notes


async def read_new(sendgrid: SendGrid, report: Report, since: datetime, dry_run: bool) -> None:
    """What was added to each list. SendGrid tells of groups and templates only as a whole."""
    await reading.bind_account(sendgrid)
    began = await database().now()
    if dry_run:
        report.notes.append("A dry run: nothing was stored.")
    for name in await reading.every_list(sendgrid):
        if name == reading.TEMPLATES:
            read = await read_templates(sendgrid, dry_run=dry_run)
        else:
            read = await read_list(
                sendgrid, name, int((since - reading.OVERLAP).timestamp()), dry_run=dry_run
            )
        report.count(name, read.counts)
        report.notes += read.notes
    if not dry_run:
        await reading.note_time(sendgrid, began, joins=since)
