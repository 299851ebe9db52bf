"""Connections: copying blocks into sealed rows, checking them, and what Prefect's absence means."""

import logging
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import BlockDocumentFilter, BlockDocumentFilterBlockTypeId

from atlvs.db import connections
from atlvs.db.organizations import the_organization
from atlvs.errors import Misconfigured
from atlvs.records import Check
from blocks import CONNECTORS
from blocks.base import DEFAULT, Connector
from tasks.policy import call

log = logging.getLogger(__name__)


async def refresh_connections() -> int:
    """Copy every saved connector block into its sealed row; returns how many. Needs the Prefect server."""
    copied = 0
    for slug, kind in CONNECTORS.items():
        for name in await block_names(kind):
            block = await kind.aload(name)
            await save_connection(slug, name, block)
            copied += 1
    return copied


async def save_connection(slug: str, name: str, block: Connector) -> None:
    """Seal a block's fields, for the organization it names or the only one there is."""
    org_id = block.organization or await the_organization()
    await connections.save(org_id, slug, name, block.secret_fields())


async def block_names(kind: type[Connector]) -> list[str]:
    """The names of the saved blocks of one connector."""
    async with get_client() as client:
        try:
            found = await client.read_block_type_by_slug(kind.get_block_type_slug())
        except Exception as error:
            if type(error).__name__ == "ObjectNotFound":
                return []
            raise
        documents = await client.read_block_documents_by_type(found.slug, include_secrets=False)
    return [document.name for document in documents if document.name]


async def connection_from_environment(slug: str) -> str | None:
    """Make the default connection from the environment, if it is set there; tells what was done."""
    kind = CONNECTORS[slug]
    fields = kind.from_environment()
    if not fields:
        return None
    org_id = await the_organization()
    found = await connections.find(slug, DEFAULT)
    if found is None:
        await connections.save(org_id, slug, DEFAULT, {})
        return f"{slug}: connection {DEFAULT!r} takes its fields from the environment."
    return f"{slug}: connection {DEFAULT!r} is there."


@call("atlvs")
async def check_connection(connection: Connector) -> Check:
    """Whether a connection works, and what is missing."""
    return await connection.test_connection()


async def check(slug: str, name: str) -> Check:
    """The same from a name; a connection that cannot be opened is a finding too."""
    from atlvs.records import Finding

    try:
        async with CONNECTORS[slug].opened(name) as connector:
            return await connector.test_connection()
    except Misconfigured as error:
        return Check(slug, name, (Finding(False, str(error), f"atlvs connect {slug}"),))


def organization_of(block: Connector) -> UUID | None:
    """Whose connection a block says it is."""
    return block.organization
