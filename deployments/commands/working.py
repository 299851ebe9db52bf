"""Do something: sync."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Annotated, Any, get_args, get_type_hints

import typer
from prefect import Flow
from rich.status import Status
from rich.table import Table

from atlvs.db import syncs
from atlvs.errors import IntegrationError, Misconfigured
from atlvs.settings import settings
from blocks.base import DEFAULT
from deployments.commands.around import awaited
from deployments.commands.output import AsJson, hush_prefect, progress, show, table
from deployments.commands.questions import known
from deployments.prefect_client import prefect_answers

app = typer.Typer()


def a_time(text: str) -> datetime:
    """A day or a moment, as 2026-11-01 or 2026-11-01T08:00; UTC if nothing else is said."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time: 2026-11-01 or 2026-11-01T08:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


TIME = typer.Option(parser=a_time, metavar="TIME", help="2026-11-01 or 2026-11-01T08:00; UTC.")
Time = Annotated[datetime | None, TIME]


@app.command()
@awaited()
async def sync(
    provider: str,
    full: Annotated[bool, typer.Option("--full", help="Read everything.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="Read all records of this kind, and no others.")
    ] = None,
    since: Time = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would change; store nothing.")
    ] = False,
    allow_deletes: Annotated[
        bool, typer.Option("--allow-deletes", help="Accept a mass deletion.")
    ] = False,
    connection: Annotated[str, typer.Option(help="The connection's name.")] = DEFAULT,
    as_json: bool = AsJson,
) -> None:
    """Run a sync here and now: the same flow that the deployments run."""
    from flows import sync_flow

    known(provider)
    whole = bool(full or only)
    if since and (whole or allow_deletes):
        raise typer.BadParameter("--since goes with neither --full, --only nor --allow-deletes.")
    flow = sync_flow(provider, full=whole)
    _check_kinds(flow, only or [])
    chosen = {"only": only or None, "allow_deletes": allow_deletes} if whole else {"since": since}
    hush_prefect()
    async with prefect_answers(settings()) as answers:
        if not answers:
            raise Misconfigured("No Prefect server answers. Start one: atlvs up")
        async with _counting(provider):
            summary = await flow(connection=connection, dry_run=dry_run, **chosen)
    show(summary, as_json, *summary["notes"], *_told(summary))


def _told(summary: dict[str, Any]) -> tuple[Table | str, str]:
    """The records as a table, and the rest in a line."""
    rows = [{"stream": name, **_plain(counts)} for name, counts in summary["streams"].items()]
    rest = {name: value for name, value in summary.items() if name not in ("streams", "notes")}
    return table("Records", rows), ", ".join(f"{name}: {value}" for name, value in rest.items())


def _plain(counts: dict[str, Any]) -> dict[str, Any]:
    skipped = ", ".join(f"{number} {why}" for why, number in counts["skipped"].items())
    return {**counts, "skipped": skipped}


def _check_kinds(flow: Flow[..., Any], only: list[str]) -> None:
    """Prefect's own words for a wrong parameter are long."""
    hint = get_type_hints(flow.fn).get("only")
    kinds = [kind for part in get_args(hint) for one in get_args(part) for kind in get_args(one)]
    for one in only:
        if one not in kinds:
            raise typer.BadParameter(f"There is no {one!r}; there are: {', '.join(kinds)}.")


@asynccontextmanager
async def _counting(provider: str) -> AsyncGenerator[None]:
    """On a terminal, how many records were read so far."""
    with progress(f"Reading {provider}") as shown:
        telling = asyncio.create_task(_tell(shown)) if shown else None
        try:
            yield
        finally:
            if telling:
                telling.cancel()


async def _tell(shown: Status) -> None:
    while True:
        await asyncio.sleep(1)
        with suppress(IntegrationError):
            for run in await syncs.recent(1):
                if run["state"] == "running":
                    read = sum(stream.get("read", 0) for stream in run["counts"].values())
                    shown.update(f"Reading {run['provider']}: {read:,} records so far")
