"""Run it: the demo, the product, the sandbox."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def demo(
    stay: Annotated[bool, typer.Option(help="Leave everything up to look around.")] = False,
    keep: Annotated[bool, typer.Option(help="Go on with the data of the last demo.")] = False,
) -> None:
    """Watch the main jobs run, against the sandbox: no account is needed."""
    from deployments.demo import run_demo

    run_demo(stay=stay, keep=keep)


@app.command()
def up() -> None:
    """Run the product: PostgreSQL and Prefect where no URL is given, web, worker, drainer."""
    from deployments.supervise import run_up

    run_up()


@app.command()
def sandbox(
    providers: Annotated[list[str] | None, typer.Argument(help="All of them if none.")] = None,
    port: Annotated[int, typer.Option(help="0 takes any free one.")] = 8900,
    seed: Annotated[Path | None, typer.Option(help="A file with what to begin with.")] = None,
    faults: Annotated[Path | None, typer.Option(help="A file with faults.")] = None,
) -> None:
    """Run the simulated services alone, on loopback."""
    from deployments.sandbox.server import serve

    serve(providers or [], port, seed, faults)
