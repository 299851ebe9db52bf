"""Connections: copying blocks into sealed rows, taking them from the environment, checking them.

A block is what people edit; the sealed row is its copy, with which webhooks and the service door work
while Prefect is away. Secrets that a provider told us (`keep_fields`) go into both.
"""

import importlib
import re
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from pydantic import SecretStr, ValidationError

from atlvs.db import connections
from atlvs.db.organizations import the_organization
from atlvs.errors import IntegrationError, Misconfigured
from atlvs.records import Check, Connection, Finding
from blocks import CONNECTORS
from blocks.base import DEFAULT, Connector

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")  # what Prefect allows for a block


async def refresh_connections() -> list[str]:
    """Copy every saved connector block into its sealed row, and make those that are missing.

    Asks the Prefect server. Tells what could not be copied: one wrong block does not keep the others
    out.
    """
    problems: list[str] = []
    for kind in CONNECTORS.values():
        names = await block_names(kind)
        for name in names:
            try:
                await save_connection(name, await kind.aload(name))
            except Misconfigured as error:
                problems.append(f"{kind.slug}: block {name!r} was not taken over: {error}")
            except ValidationError:
                problems.append(f"{kind.slug}: block {name!r} was not taken over: it lacks fields")
            except ValueError:
                continue  # somebody deleted it meanwhile
        await _make_blocks(kind, names)
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
    """Seal a block's fields, for the organization it names or the only one there is.

    A secret that the row has and the block lacks came while no Prefect server answered: it is kept.
    """
    org_id = block.organization or await the_organization()
    found = await connections.find(block.slug, name)
    stored = found[1] if found and found[0].org_id == org_id else {}
    kept = {
        field: value
        for field, value in stored.items()
        if isinstance(value, str) and is_secret(block, field) and getattr(block, field) is None
    }
    fields = block.stored_fields() | kept
    await connections.save(org_id, block.slug, name, fields, revive=False)
    if kept:
        whole = block.stored_fields() | kept
        await _save_block(type(block), name, block.organization, whole)


def is_secret(connector: Connector, field: str) -> bool:
    """Whether a field's value is not to be shown."""
    known = type(connector).model_fields.get(field)
    return known is not None and SecretStr.__name__ in str(known.annotation)


async def connection_from_environment(slug: str) -> str | None:
    """Make the default connection, if the environment sets its fields; tells what was done."""
    if not CONNECTORS[slug].from_environment():
        return None
    if await connections.find(slug, DEFAULT) is None:
        try:
            await connections.save(await the_organization(), slug, DEFAULT, {})
        except Misconfigured as error:  # the rest can be set up all the same
            return f"{slug}: not connected: {error}"
    return f"{slug}: connection {DEFAULT!r} takes fields from the environment."


async def block_from_environment(slug: str) -> str | None:
    """Show the environment's fields as a block in Prefect, unless there is one of that name already."""
    kind, fields = CONNECTORS[slug], CONNECTORS[slug].from_environment()
    found = await connections.find(slug, DEFAULT)
    if not fields or found is None or DEFAULT in await block_names(kind):
        return None
    connection, stored = found
    if not connection.enabled:
        return (
            f"{slug}: connection {DEFAULT!r} is disconnected; to use it again: atlvs connect {slug}"
        )
    try:
        block = kind(**{**stored, **fields}, organization=connection.org_id)
    except ValidationError as error:
        lacking = ", ".join(str(part["loc"][0]) for part in error.errors())
        return f"{slug}: connection {DEFAULT!r} lacks: {lacking}."
    await block.asave(DEFAULT)
    return f"{slug}: block {DEFAULT!r} made from the environment."


async def _make_blocks(kind: type[Connector], names: list[str]) -> None:
    """Blocks of connections that were made while no Prefect server answered."""
    for connection in await connections.every(kind.slug):
        found = await connections.find(kind.slug, connection.name)
        if connection.enabled and connection.name not in names and found and found[1]:
            await _save_block(kind, connection.name, connection.org_id, found[1])


async def prepare_connections() -> list[str]:
    """Set up at each provider what its connections need, and keep what comes of it."""
    lines: list[str] = []
    for connection in await connections.every():
        if connection.enabled and connection.provider in CONNECTORS:
            lines.append(await prepare_connection(connection))
    return [line for line in lines if line]


async def prepare_connection(connection: Connection) -> str:
    """Set up at the provider what a connection needs; tells what was done."""
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
    # The block first: who copies it meanwhile brings nothing old back.
    await save_block(connector, whose.name, fields)
    await connections.save(
        whose.org_id, whose.provider, whose.name, connector.stored_fields() | fields
    )


async def save_block(connector: Connector, name: str, fields: dict[str, Any]) -> None:
    """Put fields into a connection's block, or make it of all of them; nothing where no Prefect
    server answers: the next bootstrap does it."""
    kind = type(connector)
    if not PREFECT_API_URL.value():
        return  # else Prefect would start a server of its own in here
    try:
        known = name in await block_names(kind)
        stored = (await kind.aload(name) if known else connector).stored_fields()
        await _save_block(kind, name, connector.organization, stored | fields)
    except (RuntimeError, httpx.HTTPError):
        return


async def _save_block(
    kind: type[Connector], name: str, org_id: UUID | None, fields: dict[str, Any]
) -> None:
    await kind(**fields, organization=org_id).asave(name, overwrite=True)


async def connect(kind: type[Connector], org_id: UUID, name: str, fields: dict[str, Any]) -> str:
    """Save a connection of these fields, and set up at the provider what it needs; what was done."""
    if not NAME.fullmatch(name):
        raise Misconfigured("A connection's name has lowercase letters, digits and dashes only.")
    fields |= kind.from_environment() if name == DEFAULT else {}
    try:
        connector = kind(**fields, organization=org_id)
    except ValidationError as error:
        lacking = ", ".join(str(part["loc"][0]) for part in error.errors())
        raise Misconfigured(f"The {kind.slug} connection lacks: {lacking}.") from None
    if not connector.is_configured():
        raise Misconfigured(f"That is no key of {kind.slug}: nothing was saved.")
    await save_block(connector, name, connector.stored_fields())
    connection = await connections.save(org_id, kind.slug, name, connector.stored_fields())
    return await prepare_connection(connection)


async def disconnect(kind: type[Connector], name: str) -> None:
    """Wipe a connection's secrets, here and in its block. Done again, it looks at the block only."""
    found = await connections.find(kind.slug, name)
    if found is None and not (name == DEFAULT and await kind.is_used()):
        raise Misconfigured(f"There is no {kind.slug} connection {name!r}.")
    if found is None or found[0].enabled:
        try:
            async with kind.opened(name) as connector:
                await connector.disconnect()
            return
        except Misconfigured:  # it lacks a field, and nothing could be said to the provider
            if found is None:
                raise
            await connections.wipe(found[0])
    if PREFECT_API_URL.value() and name in await block_names(kind):
        await kind.adelete(name)


async def check(slug: str, name: str = DEFAULT) -> Check:
    """What `atlvs check` says of one connection; one that cannot be opened is a finding too."""
    try:
        async with CONNECTORS[slug].opened(name) as connector:
            return await connector.test_connection()
    except (Misconfigured, IntegrationError) as error:
        return Check(slug, name, (Finding(False, str(error), f"Run: atlvs connect {slug}"),))
