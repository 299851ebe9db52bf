"""Run it: the demo, the product, the sandbox."""

import json
from pathlib import Path
from typing import Annotated

import typer

from atlvs.errors import Misconfigured
from atlvs.settings import settings
from deployments.commands.around import check_writable

app = typer.Typer()


@app.command()
def demo(
    stay: Annotated[
        bool, typer.Option("--stay", help="Leave everything up to look around.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Go on with the data of the last demo.")
    ] = False,
) -> None:
    """Watch the main jobs run, against the sandbox: no account is needed."""
    from deployments.demo import run_demo

    check_writable(settings().data_dir)
    run_demo(stay=stay, keep=keep)


@app.command()
def up() -> None:
    """Run the product: PostgreSQL and Prefect where no URL is given, web, worker, drainer."""
    from deployments.supervise import run_up

    check_writable(settings().data_dir)
    run_up()


@app.command()
def sandbox(
    providers: Annotated[list[str] | None, typer.Argument(help="All of them if none.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8900,
    seed: Annotated[
        Path | None, typer.Option(dir_okay=False, exists=True, help="What to begin with.")
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(dir_okay=False, exists=True, help="What shall go wrong.")
    ] = None,
) -> None:
    """Run the simulated services alone, on loopback."""
    from deployments.sandbox import PROVIDERS
    from deployments.sandbox.server import serve

    if unknown := sorted(set(providers or []) - set(PROVIDERS)):
        raise Misconfigured(f"There is no {unknown[0]!r}; there are: {', '.join(PROVIDERS)}.")
    try:
        serve(providers or [], port, seed, faults)
    except json.JSONDecodeError as error:  # orjson's is one
        raise Misconfigured(f"A file is not JSON: {error}.") from error
    except OSError as error:
        raise Misconfigured(f"Port {port} cannot be had ({error.strerror}).") from error
