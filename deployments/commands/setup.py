"""Set it up: database, connections, keys."""

from typing import Annotated

import typer

import tasks.connections
from atlvs.crypto import key_ring
from atlvs.db import connections, platform
from atlvs.db.engine import owner_url
from atlvs.db.organizations import the_organization
from atlvs.errors import Misconfigured
from atlvs.settings import settings
from blocks import CONNECTORS
from blocks.base import DEFAULT
from deployments.commands import findings
from deployments.commands.around import awaited
from deployments.commands.output import AsJson, Failed, progress, show, table
from deployments.commands.questions import asked_fields, known
from deployments.prefect_client import prefect_answers

app = typer.Typer()
keys = typer.Typer(help="Encryption keys.", no_args_is_help=True)
app.add_typer(keys, name="keys")
Name = Annotated[str, typer.Option(help="The connection's name.")]


@app.command()
@awaited(new=True)
async def bootstrap(
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt", help="Take an existing platform's tables on: rights, row security."
        ),
    ] = False,
    release: Annotated[bool, typer.Option("--release", help="Undo --adopt.")] = False,
    as_json: bool = AsJson,
) -> None:
    """Migrations, block types, connections, automations, deployments. Twice changes nothing."""
    from deployments.bootstrap import bootstrap as run

    if adopt and release:
        raise typer.BadParameter("--adopt and --release are two different things.")
    key_ring(settings())  # without it, nothing could be connected
    with progress("Migrations, connections, deployments"):
        done = await run(settings())
    found = platform.adopt(owner_url(settings())) if adopt else []
    released = platform.release(owner_url(settings())) if release else []
    found += [one for one in findings.of_platform() if one not in found]
    rows = [{"ok": one.ok, "found": one.text, "mend": one.mend} for one in found]
    said = [f"{one.text} {one.mend}".strip() for one in found]
    said += [f"released: {name}" for name in released]
    show({"done": done, "platform": rows, "released": released}, as_json, *done, *said)


@app.command()
@awaited()
async def check(
    providers: Annotated[list[str] | None, typer.Argument(help="All of them if none.")] = None,
    as_json: bool = AsJson,
) -> None:
    """Is it configured, does the connection work, what is missing, how to mend it."""
    for slug in providers or []:
        known(slug)
    key_ring(settings())
    with progress("Asking the providers"):
        rows = await findings.of_connections(providers or list(CONNECTORS), bool(providers))
        rows += [] if providers else await findings.of_product()
    rows += [] if providers else findings.rows_of("platform", findings.of_platform(), "off")
    wrong = [row for row in rows if row["well"] == "no"]
    show({"ok": not wrong, "findings": rows}, as_json, table("What was found", rows))
    if wrong:
        first = f"{wrong[0]['connection']}: {wrong[0]['found']} {wrong[0]['mend']}".strip()
        raise Failed(f"{len(wrong)} of {len(rows)} not well. {first}")


@app.command()
@awaited()
async def connect(provider: str, name: Name = DEFAULT, as_json: bool = AsJson) -> None:
    """Save a connection: asks for its keys, on a terminal or one a line from a pipe."""
    kind = known(provider)
    key_ring(settings())
    org_id = await the_organization()
    found = await connections.find(provider, name)
    if found and await _prefect_is_away():
        raise Misconfigured(
            f"{provider} {name} is connected already, and its block is in a Prefect server that does "
            "not answer, whose old keys would come back. Start it first: atlvs up"
        )
    stored = found[1] if found else {}
    fields = stored | asked_fields(kind, name, stored)
    with progress("Trying it"):
        line = await tasks.connections.connect(kind, org_id, name, fields)
        checked = await tasks.connections.check(provider, name)
    rows = findings.rows_of(f"{provider} {name}", list(checked.findings))
    show({"ok": checked.ok, "done": line, "findings": rows}, as_json, line, table("Found", rows))
    if checked.findings and not checked.findings[0].ok:
        raise Failed(f"{provider} {name} is saved, but {checked.findings[0].text}")


@app.command()
@awaited()
async def disconnect(provider: str, name: Name = DEFAULT, as_json: bool = AsJson) -> None:
    """Wipe a connection's secrets. Records stay."""
    kind = known(provider)
    await tasks.connections.disconnect(kind, name)
    text = f"{provider} {name}: secrets wiped."
    show({"provider": provider, "connection": name}, as_json, text)
    if await _prefect_is_away():
        raise Failed(
            f"{provider} {name} is wiped here, but not in the Prefect server, which does not answer: "
            "say it again while it runs, else the next bootstrap takes its block over."
        )


@keys.command("rotate")
@awaited()
async def rotate(as_json: bool = AsJson) -> None:
    """Wrap every stored secret with the newest of ATLVS_ENCRYPTION_KEYS."""
    key_ring(settings())
    count = await connections.reseal()
    show({"secrets": count}, as_json, f"{count} secrets were brought under the newest key.")


async def _prefect_is_away() -> bool:
    """Whether a Prefect server may hold blocks and cannot be asked."""
    if not settings().prefect_api_url and not (settings().data_dir / "prefect").exists():
        return False  # there never was one
    async with prefect_answers(settings()) as answers:
        return not answers
