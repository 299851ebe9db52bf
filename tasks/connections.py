"""Connections: copying blocks into sealed rows, taking them from the environment, checking them."""

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from atlvs.db import connections
from atlvs.db.organizations import the_organization
from atlvs.errors import IntegrationError, Misconfigured
from atlvs.records import Check, Finding
from blocks import CONNECTORS
from blocks.base import DEFAULT, Connector


async def refresh_connections() -> int:
    """Copy every saved connector block into its sealed row; returns how many. Asks the Prefect server."""
    copied = 0
    for kind in CONNECTORS.values():
        for name in await block_names(kind):
            await save_connection(name, await kind.aload(name))
            copied += 1
    return copied


async def block_names(kind: type[Connector]) -> list[str]:
    """The names of the saved blocks of one connector."""
    async with get_client() as client:
        try:
            documents = await client.read_block_documents_by_type(kind.get_block_type_slug())
        except ObjectNotFound:
            return []
    return [document.name for document in documents if document.name]


async def save_connection(name: str, block: Connector) -> None:
    """Seal a block's fields, for the organization it names or the only one there is."""
    org_id = block.organization or await the_organization()
    await connections.save(org_id, block.slug, name, block.stored_fields())


async def connection_from_environment(slug: str) -> str | None:
    """Make the default connection, if the environment sets its fields; tells what was done."""
    if not CONNECTORS[slug].from_environment():
        return None
    if await connections.find(slug, DEFAULT) is None:
        await connections.save(await the_organization(), slug, DEFAULT, {})
    return f"{slug}: connection {DEFAULT!r} takes fields from the environment."


async def check(slug: str, name: str = DEFAULT) -> Check:
    """What `atlvs check` says of one connection; one that cannot be opened is a finding too."""
    try:
        async with CONNECTORS[slug].opened(name) as connector:
            return await connector.test_connection()
    except (Misconfigured, IntegrationError) as error:
        return Check(slug, name, (Finding(False, str(error), f"atlvs connect {slug}"),))
