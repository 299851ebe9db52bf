"""Connections: copying blocks into sealed rows, taking them from the environment, checking them."""

import importlib

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from pydantic import ValidationError

from atlvs.db import connections
from atlvs.db.organizations import the_organization
from atlvs.errors import IntegrationError, Misconfigured
from atlvs.records import Check, Connection, Finding
from blocks import CONNECTORS
from blocks.base import DEFAULT, Connector


async def refresh_connections() -> list[str]:
    """Copy every saved connector block into its sealed row. Asks the Prefect server.

    Tells what could not be copied: one wrong block does not keep the others out.
    """
    problems: list[str] = []
    for kind in CONNECTORS.values():
        for name in await block_names(kind):
            try:
                await save_connection(name, await kind.aload(name))
            except (Misconfigured, ValidationError) as error:
                told = str(error) if isinstance(error, Misconfigured) else "lacks fields"
                problems.append(f"{kind.slug}: block {name!r} was not taken over: {told}")
    return problems


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


async def block_from_environment(slug: str) -> str | None:
    """Show the environment's fields as a block in Prefect, unless there is one of that name already."""
    kind, fields = CONNECTORS[slug], CONNECTORS[slug].from_environment()
    found = await connections.find(slug, DEFAULT)
    if not fields or found is None or DEFAULT in await block_names(kind):
        return None
    connection, stored = found
    await kind(**{**stored, **fields}, organization=connection.org_id).asave(DEFAULT)
    return f"{slug}: block {DEFAULT!r} made from the environment."


async def prepare_connections() -> list[str]:
    """Set up at each provider what its connections need, and keep what comes of it."""
    lines: list[str] = []
    for connection in await connections.every():
        if connection.enabled and connection.provider in CONNECTORS:
            lines.append(await _prepared(connection))
    return [line for line in lines if line]


async def _prepared(connection: Connection) -> str:
    prepare = getattr(importlib.import_module(f"tasks.{connection.provider}"), "prepare", None)
    if prepare is None:
        return ""
    try:
        async with CONNECTORS[connection.provider].opened(connection.name) as connector:
            done = await prepare.fn(connector)
            if done.fields:
                await keep_fields(connector, done.fields)
    except (Misconfigured, IntegrationError) as error:
        return f"{connection.provider} {connection.name}: {error}"
    return done.line


async def keep_fields(connector: Connector, fields: dict[str, str]) -> None:
    """Add fields to a connection: to its sealed row, and to its block where Prefect answers."""
    whose = connector.connection
    await connections.save(
        whose.org_id, whose.provider, whose.name, connector.stored_fields() | fields
    )
    await save_block(connector, fields)


async def save_block(connector: Connector, fields: dict[str, str]) -> None:
    """Put fields into a connection's block, or make it; nothing where no Prefect server answers."""
    kind, whose = type(connector), connector.connection
    if not PREFECT_API_URL.value():
        return  # else Prefect would start a server of its own in here
    try:
        known = whose.name in await block_names(kind)
        stored = (await kind.aload(whose.name)).stored_fields() if known else {}
        await kind(**{**stored, **fields}, organization=whose.org_id).asave(
            whose.name, overwrite=True
        )
    except (RuntimeError, httpx.HTTPError):
        return  # the sealed row has them; the next bootstrap with a server makes the block


async def check(slug: str, name: str = DEFAULT) -> Check:
    """What `atlvs check` says of one connection; one that cannot be opened is a finding too."""
    try:
        async with CONNECTORS[slug].opened(name) as connector:
            return await connector.test_connection()
    except (Misconfigured, IntegrationError) as error:
        return Check(slug, name, (Finding(False, str(error), f"atlvs connect {slug}"),))
