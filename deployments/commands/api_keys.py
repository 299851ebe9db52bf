"""Keys for the HTTP API."""

import importlib
from typing import Annotated

import typer

from atlvs.db import api_keys
from atlvs.db.organizations import the_organization
from atlvs.errors import Misconfigured
from blocks import CONNECTORS
from deployments.commands.around import awaited
from deployments.commands.output import AsJson, show, table

app = typer.Typer(help="Keys for the HTTP API: shown once, stored hashed.", no_args_is_help=True)
EVERYTHING, READING = "services", "services:read"


@app.command()
@awaited()
async def create(
    name: str,
    scope: Annotated[
        list[str],
        typer.Option(help="services, services:read, services:stripe, services:stripe:METHOD"),
    ],
    as_json: bool = AsJson,
) -> None:
    """Make a key. It is shown now and never again."""
    for one in scope:
        check_scope(one)
    key, made = await api_keys.create(await the_organization(), name, tuple(scope))
    show({"key": key, "id": made.id, "prefix": made.prefix, "scopes": made.scopes}, as_json, key)


@app.command("list")
@awaited()
async def list_keys(as_json: bool = AsJson) -> None:
    """The organization's keys."""
    rows = [
        {
            "id": one.id,
            "prefix": one.prefix,
            "name": one.name,
            "scopes": " ".join(one.scopes),
            "created": one.created_at,
            "used": one.used_at,
            "revoked": one.revoked_at,
        }
        for one in await api_keys.every(await the_organization())
    ]
    shown = ["prefix", "name", "scopes", "created", "used", "revoked"]
    show({"keys": rows}, as_json, table("API keys", rows, shown))


@app.command()
@awaited()
async def revoke(
    key: Annotated[str, typer.Argument(help="Its id or visible start.")], as_json: bool = AsJson
) -> None:
    """End a key: the web lets it in for ten seconds more at most."""
    if not await api_keys.revoke(await the_organization(), key):
        raise Misconfigured(f"There is no valid key {key!r}. See: atlvs api-keys list")
    show({"revoked": key}, as_json, f"{key} is revoked.")


def check_scope(scope: str) -> None:
    """A scope that allows nothing would be noticed late."""
    if scope in (EVERYTHING, READING):
        return
    provider, _, method = scope.removeprefix("services:").partition(":")
    if scope.startswith("services:") and provider in CONNECTORS:
        if not method or method in importlib.import_module(f"tasks.{provider}").SERVICE:
            return
        raise typer.BadParameter(f"{provider} has no method {method!r}; write it as in /docs.")
    raise typer.BadParameter(
        f"There is no scope {scope!r}; there are {EVERYTHING}, {READING}, "
        f"{', '.join(f'services:{slug}' for slug in CONNECTORS)}, and services:PROVIDER:METHOD."
    )
