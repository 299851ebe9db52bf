"""What a sync reads, and how far it has come."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from atlvs.db import connections, syncs
from atlvs.db.engine import database
from atlvs.db.syncs import Sync
from atlvs.errors import Unauthorized
from atlvs.records import Counts
from blocks.sendgrid import SendGrid
from tasks.policy import retrying
from tasks.sendgrid.lists import GROUP, LISTS, group_lists

CURSOR = "suppressions"
TEMPLATES = "templates"
OVERLAP = timedelta(minutes=10)


async def every_list(connector: SendGrid) -> list[str]:
    """The account's lists, those of its groups, and the templates."""
    return [*LISTS, *await group_lists(connector), TEMPLATES]


def chosen(names: Sequence[str], only: Sequence[str]) -> list[str]:
    """Those that are wanted; `groups` stands for all lists of groups."""
    return [
        name
        for name in names
        if not only or name in only or (name.startswith(GROUP) and "groups" in only)
    ]


async def last_time(connector: SendGrid) -> datetime | None:
    """When the last reading of all lists began; None before the first."""
    position = await syncs.read_cursor(connector.connection, CURSOR)
    return datetime.fromtimestamp(position["since"], UTC) if position else None


async def note_time(connector: SendGrid, began: datetime, joins: datetime | None = None) -> None:
    """The next reading goes on from here; not when this one left something out before it."""
    last = await last_time(connector)
    if joins and (last is None or joins > last):
        return
    async with database().org(connector.connection.org_id) as tx:
        since = max(int(began.timestamp()), int(last.timestamp()) if last else 0)
        await syncs.move_cursor(tx, connector.connection, CURSOR, {"since": since})


async def note_done(sync: Sync, name: str, counts: Counts) -> None:
    """A resumed run does not read this list again."""
    async with database().org(sync.connection.org_id) as tx:
        await syncs.save_progress(tx, sync, name, [], counts, complete=True)


async def bind_account(connector: SendGrid) -> None:
    """Make sure that the key is of the account that this connection copies, where it may tell."""
    try:
        account = await retrying()(connector.call, "GET", "/v3/user/username")
    except Unauthorized as error:
        if error.code != "forbidden":
            raise
        return
    await connections.bind(connector.connection, str(account["user_id"]), True)
