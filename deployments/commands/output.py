"""How commands speak: tables on a terminal, one JSON object with --json, one line when they fail."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import wraps
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from atlvs.settings import settings
from blocks.base import resources
from deployments.prefect_client import prefect_settings

AsJson = typer.Option(False, "--json", help="Print one JSON object.")
console = Console(highlight=False, soft_wrap=True)


def show(result: Mapping[str, Any], as_json: bool, *tables: Table | str) -> None:
    """The result as JSON, or as something to look at."""
    if as_json:
        sys.stdout.write(
            orjson.dumps(result, default=str, option=orjson.OPT_INDENT_2).decode() + "\n"
        )
        return
    for table in tables:
        console.print(table)


def table(
    title: str, rows: Iterable[Mapping[str, Any]], columns: Iterable[str] | None = None
) -> Table:
    """Rows as a table; the columns are those of the first row if not given."""
    rows = list(rows)
    names = list(columns or (rows[0] if rows else []))
    made = Table(title=title, title_justify="left", title_style="bold")
    for name in names:
        made.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        made.add_row(*(_cell(row.get(name)) for name in names))
    return made


def awaited(command: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async command, with the Prefect server of `atlvs up` where one runs."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        async def inside() -> None:
            async with resources():
                await command(*args, **kwargs)

        with prefect_settings(settings()):
            asyncio.run(inside())

    return run


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if hasattr(value, "strftime"):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)
