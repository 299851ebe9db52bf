"""Keys for the HTTP API."""

import importlib
import re
from collections.abc import Collection
from typing import Annotated

import typer

from atlvs.db import api_keys
from atlvs.db.organizations import the_organization
from atlvs.errors import Misconfigured
from blocks import CONNECTORS
from deployments.commands.around import awaited
from deployments.commands.output import AsJson, show, table

ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")

app = typer.Typer(help="Keys for the HTTP API: shown once, stored hashed.", no_args_is_help=True)
EVERYTHING, READING = "services", "services:read"
ALONE = (  # scopes that are whole words
    *(EVERYTHING, READING, "notifications", "notifications:read"),
    *("zapier", "zapier:triggers", "zapier:actions"),
)


@app.command()
@awaited()
async def create(
    name: str,
    scope: Annotated[
        list[str],
        typer.Option(
            help="services, services:read, services:stripe, services:stripe:METHOD, notifications, "
            "notifications:read, zapier, zapier:triggers, zapier:actions"
        ),
    ],
    signed: Annotated[
        bool, typer.Option("--signed", help="Zapier's paths want each of its requests signed.")
    ] = False,
    owner_email: Annotated[
        str | None, typer.Option(help="Who hears when a subscription made with it has stopped.")
    ] = None,
    as_json: bool = AsJson,
) -> None:
    """Make a key. It is shown now and never again, and so is its signing secret."""
    for one in scope:
        check_scope(one)
    secret = api_keys.new_signing_secret() if signed else None
    key, made = await api_keys.create(
        await the_organization(),
        name,
        tuple(scope),
        signing_secret=secret,
        owner_email=checked(owner_email),
    )
    told = {"key": key, "id": made.id, "prefix": made.prefix, "scopes": made.scopes}
    told |= {"signed": signed, "signing_secret": secret} if secret else {"signed": False}
    show(told, as_json, key, *([f"signing secret: {secret}"] if secret else []))


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
            "signed": one.signed,
            "created": one.created_at,
            "used": one.used_at,
            "revoked": one.revoked_at,
        }
        for one in await api_keys.every(await the_organization())
    ]
    shown = ["prefix", "name", "scopes", "signed", "created", "used", "revoked"]
    show({"keys": rows}, as_json, table("API keys", rows, shown))


@app.command()
@awaited()
async def revoke(
    key: Annotated[str, typer.Argument(help="Its id or visible start.")], as_json: bool = AsJson
) -> None:
    """End a key and its subscriptions: the web lets it in for ten seconds more at most."""
    if not await api_keys.revoke(await the_organization(), key):
        raise Misconfigured(f"There is no valid key {key!r}. See: atlvs api-keys list")
    show({"revoked": key}, as_json, f"{key} is revoked.")


def checked(owner_email: str | None) -> str | None:
    """An address that cannot be one would be noticed late."""
    if owner_email is not None and not ADDRESS.fullmatch(owner_email.strip()):
        raise typer.BadParameter("--owner-email is no e-mail address.")
    return owner_email.strip() if owner_email else None


def check_scope(scope: str) -> None:
    """A scope that allows nothing would be noticed late."""
    if scope in ALONE:
        return
    provider, _, method = scope.removeprefix("services:").partition(":")
    if scope.startswith("services:") and (methods := methods_of(provider)):
        if not method or method in methods:
            return
        raise typer.BadParameter(f"{provider} has no method {method!r}; write it as in /docs.")
    raise typer.BadParameter(
        f"There is no scope {scope!r}; there are {', '.join(ALONE)}, "
        f"{', '.join(f'services:{slug}' for slug in CONNECTORS if methods_of(slug))}, and "
        "services:PROVIDER:METHOD."
    )


def methods_of(provider: str) -> Collection[str]:
    """What can be called behind the door; nothing where there is no such provider."""
    return importlib.import_module(f"tasks.{provider}").SERVICE if provider in CONNECTORS else ()
