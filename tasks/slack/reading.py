"""Reading a workspace whole: its people and its channels, page by page, each page stored as it comes.

Slack tells no changes since a time: every reading reads all, and writes what differs. People never vanish,
they are deactivated; channels do. https://docs.slack.dev/apis/web-api/pagination
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from atlvs.checkpoints import checkpoint
from atlvs.db import syncs
from atlvs.db.bulk import mark_deleted
from atlvs.db.engine import Transaction, database
from atlvs.db.slack import CHANNELS, unseen
from atlvs.db.syncs import MOST_MISSING, Sync
from atlvs.records import Counts
from blocks.slack import Slack
from blocks.slack_events import person_from
from tasks.policy import retriable, retrying
from tasks.slack.mirror import Changes, channel_row, person_row, store

Json = dict[str, Any]
PAGE = 500  # Slack recommends no more than 200, and takes up to 999; a page costs three seconds of pace
FEW = 10  # so many may always vanish


@dataclass
class Read:
    """What a reading of one stream did."""

    counts: Counts = field(default_factory=Counts)
    notes: list[str] = field(default_factory=list[str])


@retriable("slack.read_people", "read users")
async def read_people(slack: Slack, sync: Sync | None) -> Read:
    """All people; without a sync they are compared only."""
    slack.need("users:read")
    read = Read()
    async for page, more in _pages(slack, "users.list", {}):
        asked_at, people = page["asked_at"], [person_from(one) for one in page["members"]]
        rows = {one["id"]: person_row(one, asked_at) for one in people}
        async with database().org(slack.connection.org_id) as tx:
            found = await store(tx, slack.connection, Changes(people=rows))
            read.counts += found.get("users", Counts())
            await _save(tx, sync, "users", read.counts, complete=not more)
        checkpoint("sync.page")
    return read


@retriable("slack.read_channels", "read channels")
async def read_channels(slack: Slack, sync: Sync | None, deletes: str = "few") -> Read:
    """All channels that the bot can see. `deletes`: what becomes of those that are not found, "no",
    "few" (more wait for a person) or "any"."""
    read, seen = Read(), list[str]()
    kinds = _kinds(slack)
    if "private_channel" not in kinds:
        read.notes.append("Private channels were not read: scope groups:read is missing.")
        deletes = "no"  # those that were stored before are not looked at
    async for page, more in _pages(slack, "conversations.list", {"types": ",".join(kinds)}):
        rows = {one["id"]: channel_row(one, page["asked_at"]) for one in page["channels"]}
        seen += rows
        async with database().org(slack.connection.org_id) as tx:
            found = await store(tx, slack.connection, Changes(channels=rows))
            read.counts += found.get("channels", Counts())
            if not more and deletes != "no":
                await _settle(tx, slack, read, seen, deletes)
            await _save(tx, sync, "channels", read.counts, complete=not more)
        checkpoint("sync.page")
    return read


async def learn_workspace(slack: Slack) -> None:
    """Make sure that the token is of the workspace that this connection mirrors."""
    await retrying()(slack.learn)


def _kinds(slack: Slack) -> list[str]:
    slack.need("channels:read")
    private = slack.may("groups:read")
    return ["public_channel", *(["private_channel"] if private else [])]


async def _pages(slack: Slack, method: str, asked: Json) -> AsyncGenerator[tuple[Json, bool]]:
    """Every page with the moment before it was asked for, and whether there is another."""
    cursor = ""
    while True:
        asked_at = await database().now()
        page = await retrying()(_page, slack, method, asked, cursor)
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        yield page | {"asked_at": asked_at}, bool(cursor)
        if not cursor:
            return


async def _page(slack: Slack, method: str, asked: Json, cursor: str) -> Json:
    return await slack.api(method, reading=True, limit=PAGE, cursor=cursor or None, **asked)


async def _settle(tx: Transaction, slack: Slack, read: Read, seen: list[str], deletes: str) -> None:
    """Tombstones for what a complete reading did not find; too many at once wait for a person."""
    gone, stored = await unseen(tx, slack.connection, seen)
    if len(gone) > max(FEW, MOST_MISSING * stored) and deletes != "any":
        read.counts.skip("vanished, held", len(gone))
        read.notes.append(
            f"{len(gone):,} of {stored:,} channels are no longer in Slack. Nothing was deleted. If that "
            "is right, run the full sync again with allow_deletes."
        )
        return
    read.counts.deleted += await mark_deleted(tx, CHANNELS, gone, slack.connection)


async def _save(
    tx: Transaction, sync: Sync | None, stream: str, counts: Counts, *, complete: bool
) -> None:
    if sync is None:  # a dry run
        await tx.rollback()
        return
    await syncs.save_progress(tx, sync, stream, [], counts, complete=complete)
    if complete:
        at = {"read_at": sync.started_at.isoformat()}
        await syncs.move_cursor(tx, sync.connection, stream, at)
