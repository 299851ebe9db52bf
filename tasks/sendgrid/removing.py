"""Taking an address off SendGrid's lists, because a person decided so.

Addresses are asked for and sent in queries and bodies where SendGrid allows it, not in paths, which
stand in logs.
"""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from pydantic import Field

from atlvs.db import consents
from atlvs.db.bulk import mark_deleted
from atlvs.db.engine import database
from atlvs.db.sendgrid import SUPPRESSIONS
from atlvs.errors import Rejected
from blocks.sendgrid import SendGrid
from tasks.once import once
from tasks.sendgrid.lists import GROUP, LISTS, group_lists, normal
from tasks.sendgrid.suppressions import (
    free_scopes,
    other_lists,
    words_off,
)

Json = dict[str, Any]
ListName = Annotated[
    str,
    Field(
        pattern=r"^(bounces|blocks|spam_reports|invalid_emails|unsubscribes|group:\d{1,12})$",
        description=f"One of {', '.join(LISTS)}, or group:<id>.",
    ),
]


async def lists_with(connector: SendGrid, email: str) -> list[Json]:
    """The lists on which an address stands, with what they say of it."""
    found: list[Json] = []
    for name in LISTS:
        listed = await connector.call("GET", f"/v3/suppression/{name}", email=normal(email))
        found += [
            {"list": name} | {key: one.get(key) for key in ("created", "reason", "status")}
            for one in listed or []
            if normal(one["email"]) == normal(email)
        ]
    for name in await group_lists(connector):
        path = f"/v3/asm/groups/{name.removeprefix(GROUP)}/suppressions"
        if normal(email) in map(normal, await connector.call("GET", path) or []):
            found.append({"list": name})
    return found


async def remove(connector: SendGrid, request: UUID, email: str, lists: list[str] | None) -> Json:
    """Take an address off these lists, or all on which it stands; tells which."""

    async def work() -> Json:
        there = [one["list"] for one in await lists_with(connector, email)]
        wanted = [name for name in there if lists is None or name in lists]
        for name in wanted:
            await _take_off(connector, name, email)
        await _told(connector, request, email, wanted)
        return {"removed": wanted}

    async def look(_since: datetime) -> None:
        return None  # what is off the list already stays off it

    return await once(connector, request, {"email": normal(email), "lists": lists}, work, look)


async def _take_off(connector: SendGrid, name: str, email: str) -> None:
    address = quote(normal(email), safe="")
    try:
        if name.startswith(GROUP):
            group = name.removeprefix(GROUP)
            await connector.call("DELETE", f"/v3/asm/groups/{group}/suppressions/{address}")
        elif name == "unsubscribes":
            await connector.call("DELETE", f"/v3/asm/suppressions/global/{address}")
        else:
            await connector.call("DELETE", f"/v3/suppression/{name}", {"emails": [normal(email)]})
    except Rejected as error:
        if error.code != "not_found":
            raise


async def _told(connector: SendGrid, request: UUID, email: str, lists: list[str]) -> None:
    """Our copy and the ledger: the newest word is that mail may go there again."""
    whose, address = connector.connection, normal(email)
    for name in lists:
        others = await other_lists(connector, name)
        free = free_scopes(connector, name, address, others)
        async with database().org(whose.org_id) as tx:
            mark = f"removed:{request}:{name}"
            words = await words_off(tx, free, address, mark, "person")
            await consents.record(tx, whose.org_id, words)
            await mark_deleted(tx, SUPPRESSIONS, [f"{name}:{address}"], whose)
