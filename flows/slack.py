"""Slack's scheduled flows: the workspace's people and channels, as they are."""

from datetime import datetime
from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from atlvs.db import syncs
from atlvs.db.syncs import Sync
from blocks.slack import Slack
from flows.alone import alone
from flows.report import Report, reported
from tasks.slack.reading import Read, learn_workspace, read_channels, read_people

Connection = Annotated[
    str, Field(title="Connection", description="Name of the saved Slack connection.")
]
Kind = Literal["users", "channels"]


@flow(name="slack-full-sync", persist_result=False)
async def full_sync(
    connection: Connection = "default",
    only: list[Kind] | None = None,
    allow_deletes: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Read all people and channels of the workspace and make our copy equal to it.

    Args:
        connection: Name of the saved Slack connection.
        only: Kinds of records to read; all of them when left empty.
        allow_deletes: Accept that a large share of the channels has vanished in Slack.
        dry_run: Read and compare, and store nothing.
    """
    async with reported("Slack full sync", f"slack-full-sync-{connection}") as report:
        async with Slack.opened(connection) as slack, alone(slack, "full"):
            deletes = "any" if allow_deletes else "few"
            await read_workspace(
                slack, report, "full", only or ["users", "channels"], deletes, dry_run
            )
            report.calls_of(slack)
        return report.summary


@flow(name="slack-incremental-sync", persist_result=False)
async def incremental_sync(
    connection: Connection = "default",
    since: datetime | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Bring every person and channel that changed and that no event told of.

    Slack tells no changes since a time, so this reads all of them too: what is equal is not written,
    and what has vanished is left to the full sync.

    Args:
        connection: Name of the saved Slack connection.
        since: Has no meaning in Slack; everything is read.
        dry_run: Count what would be brought, and store nothing.
    """
    async with reported("Slack incremental sync", f"slack-incremental-sync-{connection}") as report:
        async with Slack.opened(connection) as slack, alone(slack, "incremental"):
            if since:
                report.notes.append("Slack tells no changes since a time: everything was read.")
            await read_workspace(slack, report, "incremental", ["users", "channels"], "no", dry_run)
            report.calls_of(slack)
        return report.summary


async def read_workspace(
    slack: Slack, report: Report, kind: str, only: list[Kind], deletes: str, dry_run: bool
) -> None:
    """A complete reading. An interrupted one begins anew: what is stored already is not written again."""
    if not slack.has_bot:
        report.notes.append("There is no bot token: nothing can be read.")
        return
    await learn_workspace(slack)
    sync = None if dry_run else await syncs.begin(slack.connection, kind)
    if sync is None:
        report.notes.append("A dry run: nothing was stored.")
    held = await _read(slack, report, sync, only, deletes)
    if sync:
        await syncs.end(sync, "held" if held else "done", " ".join(held) or None)


async def _read(
    slack: Slack, report: Report, sync: Sync | None, only: list[Kind], deletes: str
) -> list[str]:
    held: list[str] = []
    for kind in only:
        reading = (
            read_people(slack, sync) if kind == "users" else read_channels(slack, sync, deletes)
        )
        read: Read = await reading
        report.count(kind, read.counts)
        report.notes += read.notes
        held += read.notes if "vanished, held" in read.counts.skipped else []
    return held
