"""Do something: sync, replay."""

import sys
from datetime import datetime
from typing import Annotated, Any

import typer

from atlvs.db import inbox
from atlvs.db.inbox import Selection
from atlvs.errors import Misconfigured
from atlvs.settings import settings
from blocks.base import DEFAULT
from deployments.commands.output import AsJson, awaited, show, table
from deployments.commands.setup import known
from deployments.prefect_client import prefect_answers, quiet_console

app = typer.Typer()
webhooks = typer.Typer(help="The inbox of webhooks.")
app.add_typer(webhooks, name="webhooks")
Time = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])]


@app.command()
@awaited
async def sync(
    provider: str,
    full: Annotated[bool, typer.Option(help="Read everything.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only this kind of record.")] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Read changes since then, whatever was read before.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Only tell what would be read.")] = False,
    allow_deletes: Annotated[bool, typer.Option(help="Accept a mass deletion.")] = False,
    connection: str = DEFAULT,
    as_json: bool = AsJson,
) -> None:
    """Run a sync here and now: the same flow that the deployments run."""
    from flows import sync_flow

    known(provider)
    if not sys.stderr.isatty():
        quiet_console()
    parameters: dict[str, Any] = {"connection": connection, "dry_run": dry_run}
    if full or only:
        parameters |= {"only": only or None, "allow_deletes": allow_deletes}
    elif since:
        parameters |= {"since": since}
    async with prefect_answers(settings()) as answers:
        if not answers:
            raise Misconfigured("No Prefect server answers. Start one: atlvs up")
        summary = await sync_flow(provider, full=bool(full or only))(**parameters)
    rows = [{"stream": name, **counts} for name, counts in summary["streams"].items()]
    told = [
        f"{name}: {value}" for name, value in summary.items() if name not in ("streams", "notes")
    ]
    show(summary, as_json, *summary["notes"], table("Records", rows), ", ".join(told))


@webhooks.command("list")
@awaited
async def list_webhooks(
    provider: str | None = None,
    state: Annotated[str | None, typer.Option(help="waiting, done, ignored, dead")] = None,
    type: Annotated[str | None, typer.Option(help="As payment_intent.succeeded.")] = None,
    since: Time = None,
    until: Time = None,
    limit: int = 50,
    as_json: bool = AsJson,
) -> None:
    """The newest events in the inbox."""
    chosen = Selection(provider=provider, state=state, type=type, since=since, until=until)
    rows = await inbox.read(chosen, limit)
    columns = ["event_id", "type", "lane", "state", "attempts", "received_at", "error"]
    show({"webhooks": rows}, as_json, table("Webhooks", rows, columns))


@webhooks.command("show")
@awaited
async def show_webhook(event_id: str) -> None:
    """One event whole, as JSON."""
    found = await inbox.show(event_id)
    if found is None:
        raise Misconfigured(f"There is no event {event_id!r} in the inbox.")
    show(found, as_json=True)


@webhooks.command("replay")
@awaited
async def replay(
    event_ids: Annotated[list[str] | None, typer.Argument()] = None,
    type: str | None = None,
    state: Annotated[str | None, typer.Option(help="dead if nothing else is said")] = None,
    since: Time = None,
    until: Time = None,
    as_json: bool = AsJson,
) -> None:
    """Handle events again: by id, type or time; all dead letters if nothing is said."""
    if not (event_ids or type or state or since or until):
        state = "dead"
    chosen = Selection(ids=tuple(event_ids or ()), type=type, state=state, since=since, until=until)
    count = await inbox.replay(chosen)
    show({"replayed": count}, as_json, f"{count} events wait to be handled again.")
