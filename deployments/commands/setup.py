"""Set it up: database, connections, keys."""

import asyncio
from typing import Annotated

import typer
from pydantic import SecretStr

import tasks.connections
from atlvs.db import api_keys, connections, platform
from atlvs.db.engine import owner_url
from atlvs.db.organizations import the_organization
from atlvs.errors import Misconfigured
from atlvs.settings import settings
from blocks import CONNECTORS
from blocks.base import DEFAULT, Connector
from deployments.commands.output import AsJson, awaited, console, show, table

app = typer.Typer()
keys = typer.Typer(help="Encryption keys.")
api = typer.Typer(help="Keys for the HTTP API: shown once, stored hashed.")
app.add_typer(keys, name="keys")
app.add_typer(api, name="api-keys")


@app.command()
def bootstrap(
    adopt: Annotated[
        bool, typer.Option(help="Take tables of an existing platform on: rights, row security.")
    ] = False,
    release: Annotated[bool, typer.Option(help="Undo --adopt.")] = False,
    as_json: bool = AsJson,
) -> None:
    """Migrations, block types, connections, automations, deployments. Twice changes nothing."""
    from deployments.bootstrap import bootstrap as run

    done = asyncio.run(run(settings()))
    if adopt:
        done += [f"{one.text} {one.mend}".strip() for one in platform.adopt(owner_url(settings()))]
    if release:
        done += [f"released: {name}" for name in platform.release(owner_url(settings()))]
    show({"done": done}, as_json, *done)


@app.command()
@awaited
async def check(
    providers: Annotated[list[str] | None, typer.Argument()] = None, as_json: bool = AsJson
) -> None:
    """Is it configured, does the connection work, what is missing, how to mend it."""
    for slug in providers or []:
        known(slug)
    wanted = [
        one for one in await connections.every() if not providers or one.provider in providers
    ]
    checks = [await tasks.connections.check(one.provider, one.name) for one in wanted]
    rows = [
        {
            "connection": f"{one.provider} {one.connection}",
            "well": "yes" if finding.ok else "no",
            "found": finding.text,
            "mend": finding.mend,
        }
        for one in checks
        for finding in one.findings
    ]
    missing = sorted(set(providers or CONNECTORS) - {one.provider for one in wanted})
    rows += [
        {
            "connection": slug,
            "well": "-",
            "found": "Not connected.",
            "mend": f"atlvs connect {slug}",
        }
        for slug in missing
    ]
    well = all(one.ok for one in checks)
    show({"ok": well, "findings": rows}, as_json, table("Connections", rows))
    if not well or (providers and missing):
        raise typer.Exit(1)


@app.command()
@awaited
async def connect(provider: str, name: str = DEFAULT) -> None:
    """Save a connection: asks for its keys."""
    kind = known(provider)
    org_id = await the_organization()
    given = {field: _asked(kind, field) for field in kind.environment}
    fields = {field: value for field, value in given.items() if value}
    connection = await connections.save(org_id, provider, name, fields)
    connector = kind.assembled(connection, fields)
    if not connector.is_configured():
        raise Misconfigured(f"That is not a {provider} key. Nothing works with it; connect again.")
    found = await tasks.connections.check(provider, name)
    for finding in found.findings:
        console.print(f"{'ok  ' if finding.ok else 'FAIL'} {finding.text} {finding.mend}")
    await tasks.connections.save_block(connector, fields)
    if not found.ok:
        raise typer.Exit(1)


@app.command()
@awaited
async def disconnect(provider: str, name: str = DEFAULT) -> None:
    """Wipe a connection's secrets. Records stay."""
    async with known(provider).opened(name) as connector:
        await connector.disconnect()
    console.print(f"{provider} {name}: secrets wiped.")


@keys.command("rotate")
@awaited
async def rotate(as_json: bool = AsJson) -> None:
    """Wrap every stored secret with the newest of ATLVS_ENCRYPTION_KEYS."""
    count = await connections.reseal()
    show({"secrets": count}, as_json, f"{count} secrets are under the newest key.")


@api.command("create")
@awaited
async def create_key(
    name: str,
    scope: Annotated[list[str], typer.Option(help="services, services:read, services:stripe…")],
    as_json: bool = AsJson,
) -> None:
    """Make a key. It is shown now and never again."""
    key, made = await api_keys.create(await the_organization(), name, tuple(scope))
    show({"key": key, "id": made.id, "scopes": made.scopes}, as_json, key)


@api.command("list")
@awaited
async def list_keys(as_json: bool = AsJson) -> None:
    """The organization's keys."""
    rows = [
        {
            "prefix": one.prefix,
            "name": one.name,
            "scopes": " ".join(one.scopes),
            "created": one.created_at,
            "used": one.used_at,
            "revoked": one.revoked_at,
        }
        for one in await api_keys.every(await the_organization())
    ]
    show({"keys": rows}, as_json, table("API keys", rows))


@api.command("revoke")
@awaited
async def revoke_key(key: Annotated[str, typer.Argument(help="Its id or visible start.")]) -> None:
    """End a key at once."""
    if not await api_keys.revoke(await the_organization(), key):
        raise Misconfigured(f"There is no valid key {key!r}.")
    console.print(f"{key} is revoked.")


def known(provider: str) -> type[Connector]:
    """The connector of a provider."""
    if provider not in CONNECTORS:
        raise Misconfigured(f"There is no {provider!r}; there are: {', '.join(CONNECTORS)}.")
    return CONNECTORS[provider]


def _asked(kind: type[Connector], field: str) -> str:
    about = kind.model_fields[field]
    secret = "SecretStr" in str(about.annotation)
    default = about.default if isinstance(about.default, str) else ""
    if isinstance(about.default, SecretStr):
        default = ""
    return typer.prompt(
        f"{field} ({about.description})",
        default=default,
        hide_input=secret,
        show_default=bool(default),
    )
