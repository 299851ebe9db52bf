"""Look: one page of truth, and the call log."""

from typing import Annotated, Any

import typer

from atlvs.db import calls, connections, inbox, overview, syncs
from atlvs.db.organizations import the_organization
from atlvs.records import Connection
from atlvs.settings import settings
from blocks import CONNECTORS
from blocks.base import DEFAULT
from deployments import leftovers
from deployments.commands.around import awaited
from deployments.commands.output import AsJson, show, table
from deployments.prefect_client import prefect_answers, prefect_url

app = typer.Typer()
MODES = {True: "live", False: "test", None: None}


@app.command()
@awaited()
async def status(as_json: bool = AsJson) -> None:
    """One page of truth: connections, runs, what waits, what failed."""
    whole = await page()
    facts = [{"what": name.replace("_", " "), "is": is_} for name, is_ in whole["facts"].items()]
    show(
        whole,
        as_json,
        table("ATLVS Integrations", facts),
        table("Connections", whole["connections"]),
        table("Syncs", whole["syncs"]),
    )


@app.command()
@awaited()
async def audit(
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50, as_json: bool = AsJson
) -> None:
    """The newest calls to providers, without secrets."""
    rows = await calls.read_calls(await the_organization(), limit=limit)
    show({"calls": rows}, as_json, table("Calls", rows))


async def page() -> dict[str, Any]:
    """What `atlvs status` shows."""
    return {
        "facts": await _facts(),
        "connections": [
            _connection(one) for one in await connections.every() if one.provider in CONNECTORS
        ],
        "syncs": [_run(run) for run in await syncs.recent(10)],
    }


async def _facts() -> dict[str, Any]:
    waiting = await inbox.backlog()
    telling = await overview.backlog()
    async with prefect_answers(settings()) as answers:
        prefect = f"{prefect_url(settings())} answers" if answers else "no server answers"
    up = leftovers.running(settings().data_dir)
    return {
        "database": "embedded" if settings().embedded else "DATABASE_URL",
        "prefect": prefect,
        "atlvs_up": (up.get("web_url") or "runs") if up else "does not run on this data folder",
        "webhooks_waiting": waiting.get("waiting", 0),
        "oldest_waiting_since": waiting.get("oldest"),
        "dead_letters": waiting.get("dead", 0),
        "messages_waiting": telling["waiting"],
        "notifications_held": telling["held"],
        "messages_of_unknown_outcome": telling["unknown"],
        "messages_failed_in_24_hours": telling["failed"],
    }


def _connection(one: Connection) -> dict[str, Any]:
    kind = CONNECTORS[one.provider]
    return {
        "provider": one.provider,
        "name": one.name,
        "account": one.account_id,
        "mode": MODES[one.livemode],
        "enabled": one.enabled,
        "set_by_environment": ", ".join(kind.from_environment() if one.name == DEFAULT else ()),
    }


def _run(run: dict[str, Any]) -> dict[str, Any]:
    counts = run.pop("counts")
    total = {
        name: sum(stream.get(name, 0) for stream in counts.values())
        for name in ("read", "created", "updated", "deleted")
    }
    return {**run, **total}
