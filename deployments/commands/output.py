"""How commands speak: tables on a terminal, one JSON object with --json, one line when they fail."""

import logging
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

AsJson = typer.Option(False, "--json", help="Print one JSON object.")
# Piped, a row stays one line: nothing is folded.
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)


class Failed(Exception):
    """A command did its work and found it wanting; the message says what."""


def show(result: Mapping[str, Any], as_json: bool, *parts: Table | str) -> None:
    """The result as JSON, or as something to look at."""
    if as_json:
        option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        sys.stdout.write(orjson.dumps(result, default=str, option=option).decode() + "\n")
        return
    for part in parts:
        console.print(part, markup=False)


def step(text: str) -> None:
    """What begins now, in a story of several steps."""
    console.print(f"\n[bold]● {text}[/]")


def warn(text: str) -> None:
    """A line that is not part of the result."""
    sys.stderr.write(f"{text}\n")


def table(
    title: str, rows: Iterable[Mapping[str, Any]], columns: Iterable[str] | None = None
) -> Table | str:
    """Rows as a table; the columns are those of the first row if not given."""
    rows = list(rows)
    if not rows:
        return f"{title}: none."
    names = list(columns or rows[0])
    made = Table(title=title, title_justify="left", title_style="bold")
    for name in names:
        made.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        made.add_row(*(Text(_cell(row.get(name))) for name in names))
    return made


@contextmanager
def progress(text: str) -> Generator[Status | None]:
    """A line that moves on a terminal while something takes long; nothing where it is piped."""
    if not sys.stderr.isatty():
        yield None
        return
    with Console(stderr=True).status(text) as shown:
        yield shown


class TaskTries(logging.Handler):
    """Failing tries of a task, a line each on a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "prefect.task_runs" and sys.stderr.isatty():
            warn(record.getMessage().splitlines()[0])


def hush_prefect() -> None:
    """What Prefect logs stands in its pages; the console shows little of it, and no traceback: what
    is to be said of the whole run, the command says."""
    logging.getLogger().handlers = [TaskTries(logging.WARNING)]
    logging.getLogger("prefect._internal").handlers = []
    logging.raiseExceptions = False  # else it writes past the handlers when a server has gone


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)
