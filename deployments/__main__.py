"""The `atlvs` command.

Exit 0 done, 1 failed, 2 wrong usage or configuration. One clear line on stderr when it fails.
"""

import sys

import typer

from atlvs.errors import IntegrationError, Misconfigured
from deployments.commands import looking, running, setup, working

UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # typer carries its own click

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="ATLVS Integrations: Stripe and more, in step with the ATLVS platform.",
)
for part in (running, setup, working, looking):
    app.add_typer(part.app)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and leave with its exit code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    try:
        done = app(arguments, standalone_mode=False)
    except UsageError as error:
        return _failed(f"{error.format_message()} See: atlvs --help", 2)  # pyright: ignore
    except (typer.Abort, KeyboardInterrupt):
        return _failed("Interrupted.", 1)
    except Misconfigured as error:
        return _failed(str(error), 2)
    except IntegrationError as error:
        return _failed(str(error), 1)
    except Exception as error:  # noqa: BLE001  # the process's edge: one line, never a traceback
        return _failed(f"{type(error).__name__}: {error}", 1)
    return done if isinstance(done, int) else 0


def _failed(text: str, code: int) -> int:
    sys.stderr.write(" ".join(text.split()) + "\n")
    return code


if __name__ == "__main__":
    main()
