"""Who is told of what: rules; and what was said about an address: consents."""

import sys
from dataclasses import asdict, fields
from datetime import time
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from atlvs.db import consents as ledger
from atlvs.db import habits
from atlvs.db import rules as kept
from atlvs.db.engine import database
from atlvs.db.organizations import the_organization
from atlvs.errors import Rejected
from atlvs.events import Channel
from atlvs.rules import DEFAULTS, Rule, effective
from deployments.commands.around import awaited
from deployments.commands.notify import an_object
from deployments.commands.output import AsJson, show, table

app = typer.Typer(help="Which event tells whom, on which channels.", no_args_is_help=True)
consents = typer.Typer(help="What people and providers said about addresses.", no_args_is_help=True)
COLUMNS = ("name", "of", "event", "type", "audience", "channels", "mode", "condition", "enabled")
FIELDS = {field.name for field in fields(Rule)}


@app.command("list")
@awaited()
async def list_rules(as_json: bool = AsJson) -> None:
    """The rules in force: the shipped ones, and the organization's own."""
    async with database().org(await the_organization()) as tx:
        stored = await kept.stored(tx)
    rows = [
        {**asdict(rule), "of": _origin(rule.name, rule.name in stored)}
        for rule in effective(stored)
    ]
    shown = [{**row, "channels": ", ".join(row["channels"])} for row in rows]
    show({"rules": rows}, as_json, table("Rules", shown, COLUMNS))


@app.command("set")
@awaited()
async def set_rule(
    rule: Annotated[str, typer.Argument(help="JSON; - reads it from a pipe.")],
    as_json: bool = AsJson,
) -> None:
    """Keep a rule. Of a shipped one, or one that is kept, only what shall differ has to be said."""
    given = an_object(sys.stdin.read() if rule == "-" else rule, "The rule")
    org_id = await the_organization()
    async with database().org(org_id) as tx:
        known = DEFAULTS | await kept.stored(tx)
    made = rule_from(given, known.get(str(given.get("name"))))
    try:
        await kept.save(org_id, made)
    except Rejected as error:
        raise typer.BadParameter(error.message) from None
    show(asdict(made), as_json, f"Rule {made.name} is kept.")


@app.command()
@awaited()
async def forget(name: str, as_json: bool = AsJson) -> None:
    """Remove the organization's rule; a shipped one of that name is in force again."""
    try:
        removed = await kept.forget(await the_organization(), name)
    except Rejected as error:
        raise typer.BadParameter(error.message) from None
    then = "The shipped one is in force." if name in DEFAULTS else "There is none of that name now."
    show({"removed": removed, "shipped": name in DEFAULTS}, as_json, then)


@app.command("habits")
@awaited()
async def change_habits(
    quiet: Annotated[str | None, typer.Option(help="Quiet hours, as 21:00-08:00.")] = None,
    region: Annotated[
        str | None, typer.Option(help="Of numbers without country code, as US.")
    ] = None,
    approve_above: Annotated[
        int | None, typer.Option(help="More messages wait for a person's approval.")
    ] = None,
    approve_above_cost: Annotated[
        int | None, typer.Option(help="In cents: dearer ones wait for approval.")
    ] = None,
    as_json: bool = AsJson,
) -> None:
    """The organization's habits: quiet hours, region, when a person has to approve. Shows, or changes."""
    begins, ends = _hours(quiet) if quiet else (None, None)
    given = {
        "quiet_begins": begins,
        "quiet_ends": ends,
        "region": region,
        "approve_above_recipients": approve_above,
        "approve_above_cost_cents": approve_above_cost,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    try:
        found = asdict(await habits.change(await the_organization(), **wanted))
    except Rejected as error:
        raise typer.BadParameter(error.message) from None
    show(found, as_json, *(f"{name.replace('_', ' ')}: {value}" for name, value in found.items()))


def _hours(text: str) -> tuple[time, time]:
    begins, _, ends = text.partition("-")
    try:
        return time.fromisoformat(begins.strip()), time.fromisoformat(ends.strip())
    except ValueError:
        raise typer.BadParameter("Quiet hours are written as 21:00-08:00.") from None


@consents.command("show")
@awaited()
async def show_consents(
    channel: Channel,
    address: Annotated[str, typer.Argument(help="E-mail address, +number or Slack id.")],
    as_json: bool = AsJson,
) -> None:
    """All that was said about an address on a channel, the newest first: that is what counts."""
    async with database().org(await the_organization()) as tx:
        rows = await ledger.history(tx, channel, address)
    show({"consents": rows}, as_json, table("Consents", rows))


def rule_from(given: dict[str, Any], known: Rule | None) -> Rule:
    """A rule from JSON, on top of the one that is there."""
    if unknown := sorted(given.keys() - FIELDS):
        raise typer.BadParameter(
            f"A rule has no {unknown[0]!r}; it has: {', '.join(sorted(FIELDS))}."
        )
    try:
        return TypeAdapter(Rule).validate_python((asdict(known) if known else {}) | given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "The rule"
        raise typer.BadParameter(f"{where}: {first['msg']}.") from None


def _origin(name: str, stored: bool) -> str:
    if not stored:
        return "shipped"
    return "own, instead of the shipped" if name in DEFAULTS else "own"
