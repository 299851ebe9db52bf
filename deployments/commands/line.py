"""The command line: all commands, and how they end.

Exit 0 done, 1 failed, 2 wrong usage or configuration. One clear line on stderr when it fails.
"""

import logging
import os
import signal
import sys

import psycopg
import typer
from prefect.exceptions import TerminationSignal

from atlvs.errors import IntegrationError, Misconfigured
from atlvs.settings import set_variables, variable
from deployments.commands import (
    api_keys,
    deliveries,
    hooks,
    looking,
    notify,
    rules,
    running,
    setup,
    webhooks,
    working,
)
from deployments.commands.output import Failed

UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # typer carries its own click
CTRL_C = 130  # typer makes it of a KeyboardInterrupt
OLD = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)
OLD += (psycopg.errors.UndefinedFunction,)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="ATLVS Integrations: Stripe and more, in step with the ATLVS platform.",
)
for part in (running, setup, working, notify, looking):
    app.add_typer(part.app)
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(hooks.app, name="hooks")
app.add_typer(rules.app, name="rules")
app.add_typer(rules.consents, name="consents")
app.add_typer(api_keys.app, name="api-keys")


def run(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    _end_as_by_ctrl_c(signal.SIGTERM, signal.SIGHUP)
    set_variables(
        DO_NOT_TRACK=variable("DO_NOT_TRACK") or "1"
    )  # Prefect's notice, and what it is about
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # the error tells it
    try:
        done = app(arguments, standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (typer.Abort, KeyboardInterrupt, TerminationSignal):  # the last is Prefect's, in a flow
        return _failed("Interrupted.", 1)
    except Exception as error:  # noqa: BLE001  # the process's edge: one line, never a traceback
        return _failed(*ending(error))
    if done == CTRL_C:
        return _failed("Interrupted.", 1)
    return done if isinstance(done, int) else 0


def ending(error: Exception) -> tuple[str, int]:
    """The line that tells an error, and the exit code."""
    match error:
        case UsageError():
            told = error.format_message() or "Which command?"  # pyright: ignore
            return f"{told} See: atlvs --help", 2
        case Misconfigured():
            return str(error), 2
        case Failed() | IntegrationError():
            return str(error), 1
        case psycopg.Error() if isinstance(error, OLD):
            return f"The database is of another version ({_told(error)}). Run: atlvs bootstrap", 2
        case psycopg.Error():
            return f"PostgreSQL refused: {_told(error)}.", 1
        case _:
            return f"{type(error).__name__}: {error}", 1


def _end_as_by_ctrl_c(*numbers: signal.Signals) -> None:
    """What a command has started, it stops also when it is told to end in another way."""

    def interrupt(*_: object) -> None:
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's background job
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)

    for number in numbers:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, interrupt)


def _told(error: psycopg.Error) -> str:
    """PostgreSQL's own words without their details, which may hold a row."""
    return error.diag.message_primary or type(error).__name__


def _failed(text: str, code: int) -> int:
    sys.stderr.write(" ".join(text.split()) + "\n")
    return code
