"""The inbox of webhooks."""

from enum import StrEnum
from typing import Annotated

import typer

from atlvs.db import inbox
from atlvs.db.inbox import Selection
from atlvs.errors import Misconfigured
from deployments.commands.around import awaited
from deployments.commands.output import AsJson, Failed, show, table
from deployments.commands.working import Time

app = typer.Typer(help="The inbox of webhooks.", no_args_is_help=True)
Type = Annotated[str | None, typer.Option(help="As payment_intent.succeeded.")]


class State(StrEnum):
    """What became of an event."""

    waiting = "waiting"
    done = "done"
    ignored = "ignored"
    dead = "dead"


@app.command("list")
@awaited()
async def list_webhooks(
    provider: str | None = None,
    state: State | None = None,
    type: Type = None,
    since: Time = None,
    until: Time = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    as_json: bool = AsJson,
) -> None:
    """The newest events in the inbox."""
    chosen = Selection(provider=provider, state=state, type=type, since=since, until=until)
    rows = await inbox.read(chosen, limit)
    columns = ["event_id", "type", "lane", "state", "attempts", "received_at", "error"]
    show({"webhooks": rows}, as_json, table("Webhooks", rows, columns))


@app.command("show")
@awaited()
async def show_webhook(event_id: str, as_json: bool = AsJson) -> None:
    """One event whole, as JSON."""
    found = await inbox.show(event_id)
    if found is None:
        raise Misconfigured(f"There is no event {event_id!r} in the inbox.")
    show(found, as_json=True)


@app.command()
@awaited()
async def replay(
    event_ids: Annotated[list[str] | None, typer.Argument()] = None,
    type: Type = None,
    state: Annotated[State | None, typer.Option(help="dead if nothing else is said")] = None,
    since: Time = None,
    until: Time = None,
    as_json: bool = AsJson,
) -> None:
    """Handle events again: by id, type or time; all dead letters if nothing is said."""
    if not (event_ids or type or state or since or until):
        state = State.dead
    wanted = tuple(dict.fromkeys(event_ids or ()))
    chosen = Selection(ids=wanted, type=type, state=state, since=since, until=until)
    count = await inbox.replay(chosen)
    show({"replayed": count}, as_json, f"{count} events wait to be handled again.")
    if count < len(wanted):
        raise Failed(f"{len(wanted) - count} of {len(wanted)} events are not in the inbox.")
