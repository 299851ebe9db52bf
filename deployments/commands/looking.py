"""Look: one page of truth, and the call log."""

from typing import Any

import typer

from atlvs.db import calls, connections, inbox, syncs
from atlvs.db.organizations import the_organization
from atlvs.settings import settings
from blocks import CONNECTORS
from blocks.base import DEFAULT
from deployments.commands.output import AsJson, awaited, show, table
from deployments.prefect_client import prefect_answers, prefect_url

app = typer.Typer()


@app.command()
@awaited
async def status(as_json: bool = AsJson) -> None:
    """One page of truth: connections, runs, what waits, what failed."""
    whole = await page()
    facts = [{"what": name, "is": value} for name, value in whole["facts"].items()]
    show(
        whole,
        as_json,
        table("ATLVS Integrations", facts),
        table("Connections", whole["connections"]),
        table("Syncs", whole["syncs"]),
    )


@app.command()
@awaited
async def audit(limit: int = 50, as_json: bool = AsJson) -> None:
    """The newest calls to providers, without secrets."""
    rows = await calls.read_calls(await the_organization(), limit=limit)
    show({"calls": rows}, as_json, table("Calls", rows))


async def page() -> dict[str, Any]:
    """What `atlvs status` shows."""
    waiting = await inbox.backlog()
    async with prefect_answers(settings()) as answers:
        prefect = f"{prefect_url(settings())} answers" if answers else "no server answers"
    return {
        "facts": {
            "database": "embedded" if settings().embedded else "DATABASE_URL",
            "prefect": prefect,
            "webhooks waiting": waiting.get("waiting", 0),
            "oldest waiting since": waiting.get("oldest"),
            "dead letters": waiting.get("dead", 0),
        },
        "connections": [
            {
                "provider": one.provider,
                "name": one.name,
                "account": one.account_id,
                "mode": {True: "live", False: "test"}.get(one.livemode)
                if one.livemode is not None
                else None,
                "enabled": one.enabled,
                "set by environment": ", ".join(
                    CONNECTORS[one.provider].from_environment() if one.name == DEFAULT else ()
                ),
            }
            for one in await connections.every()
            if one.provider in CONNECTORS
        ],
        "syncs": [_run(run) for run in await syncs.recent(10)],
    }


def _run(run: dict[str, Any]) -> dict[str, Any]:
    counts = run.pop("counts")
    total = {
        name: sum(stream.get(name, 0) for stream in counts.values())
        for name in ("read", "created", "updated", "deleted")
    }
    return {**run, **total}
