"""Which organization a connection belongs to when nothing says so."""

from uuid import UUID

import psycopg

from atlvs.db.engine import database
from atlvs.errors import Misconfigured
from atlvs.settings import settings


async def the_organization() -> UUID:
    """The organization of ATLVS_ORG (id, slug or name), else the only one there is."""
    wanted = settings().organization
    async with database().system() as tx:
        cursor = await tx.execute(
            "select id, name from organizations where %(wanted)s::text is null"
            " or %(wanted)s in (id::text, slug, name) order by created_at limit 3",
            {"wanted": wanted},
        )
        found = await cursor.fetchall()
    if len(found) == 1:
        return found[0]["id"]
    if wanted:
        raise Misconfigured(f"ATLVS_ORG={wanted!r} names {len(found) or 'no'} organization(s).")
    if found:
        raise Misconfigured("There are several organizations: set ATLVS_ORG to the id of one.")
    raise Misconfigured(
        "There is no organization yet. Create one in ATLVS, then run: atlvs bootstrap"
    )


async def ensure_first(owner_url: str) -> None:
    """On our own embedded database: an organization to begin with."""
    async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as connection:
        await connection.execute(
            # always the same id: blocks that outlive the database still name it
            "insert into organizations (id, name, slug)"
            " select '6d796f72-6761-4e69-8a61-74696f6e0001', 'My organization', 'mine'"
            " where not exists (select from organizations)"
        )
