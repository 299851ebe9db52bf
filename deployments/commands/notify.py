"""Tell people something: first as a dry run, then with --send."""

import re
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer
from rich.status import Status

from atlvs.db import notifications
from atlvs.db.engine import database
from atlvs.db.notifications import Asked, Notification
from atlvs.db.organizations import the_organization
from atlvs.db.overview import Standing
from atlvs.errors import Rejected
from atlvs.events import Channel
from deployments.commands.around import awaited
from deployments.commands.output import AsJson, Failed, progress, show, table
from flows.notify.fanout import keyed, said
from flows.notify.report import cost, masked_text
from tasks.notify.sending import Sent
from tasks.notify.steps import BARE
from tasks.notify.telling import send_until_told

app = typer.Typer()
SLACK_ID = re.compile(r"[CDGUW][A-Z0-9]{2,}")
TO = "An e-mail address, +number, Slack id, contact's id, tag:NAME, event:ID or everyone."


class Mode(StrEnum):
    """All channels, or the first that works."""

    all = "all"
    first = "first"


@app.command()
@awaited()
async def notify(
    type: Annotated[str, typer.Argument(help="As announcement or event_reminder.")],
    to: Annotated[list[str] | None, typer.Option(help=TO)] = None,
    audience: Annotated[str | None, typer.Option(help="The same as JSON: any audience.")] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="Variables: JSON, or name=value again and again.")
    ] = None,
    channel: Annotated[
        list[Channel] | None, typer.Option(help="Where; the type's own if none.")
    ] = None,
    mode: Mode = Mode.all,
    subject: str | None = None,
    key: Annotated[
        str | None, typer.Option(help="Makes it one of its own; the same again sends nothing.")
    ] = None,
    send: Annotated[
        bool, typer.Option("--send/--dry-run", help="Send it. Else it is only shown.")
    ] = False,
    as_json: bool = AsJson,
) -> None:
    """Show who would get a notification, at which cost; --send sends it."""
    asked = Asked(
        type=type,
        key=key or "",
        audience=audience_of(to or [], audience),
        origin="command",
        data=data_of(data or []),
        subject=subject,
        channels=tuple(map(str, channel or ())),
        mode=mode,
        dry_run=not send,
    )
    asked = checked(keyed(asked))
    org_id = await the_organization()
    id, _, created = await BARE.write(org_id, asked, False)
    with progress("Looking who gets it"):
        one = await BARE.plan(org_id, id)
    sent = await _sent(one) if one.state == "sending" else Sent()
    await _tell(org_id, id, created, sent, as_json)


def audience_of(to: list[str], audience: str | None) -> dict[str, Any]:
    """The one audience that was given."""
    if bool(to) == bool(audience):
        raise typer.BadParameter("Say to whom: with --to, or with --audience.")
    if audience:
        return an_object(audience, "--audience")
    kinds = [_recipient(one.strip()) for one in to]
    first = kinds[0]
    if len({one["kind"] for one in kinds}) == 1:
        for many in ("people", "ids"):
            if many in first:
                return {"kind": first["kind"], many: [each for one in kinds for each in one[many]]}
    if len(kinds) > 1:
        raise typer.BadParameter("--to can be repeated for addresses, or for contacts.")
    return first


def _recipient(to: str) -> dict[str, Any]:
    kind, _, name = to.partition(":")
    match kind:
        case "everyone" if not name:
            return {"kind": "everyone"}
        case "tag" if name:
            return {"kind": "tag", "name": name}
        case "event" if _is_id(name):
            return {"kind": "attendees", "event_id": name}
        case _ if "@" in to:
            return {"kind": "people", "people": [{"email": to}]}
        case _ if to.startswith("+"):
            return {"kind": "people", "people": [{"phone": to}]}
        case _ if SLACK_ID.fullmatch(to):
            return {"kind": "slack_channel", "channel": to}
        case _ if _is_id(to):
            return {"kind": "contacts", "ids": [to]}
    raise typer.BadParameter(f"--to is none of these: {TO}")


def data_of(given: list[str]) -> dict[str, Any]:
    """Variables from JSON objects and name=value, the later on top."""
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if one.lstrip().startswith("{"):
            found |= an_object(one, "--data")
        elif equals and name.isidentifier():
            found[name] = value
        else:
            raise typer.BadParameter("--data is a JSON object or name=value.")
    return found


def an_object(text: str, name: str) -> dict[str, Any]:
    """A JSON object from the command line."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"{name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{name} is not a JSON object.")
    return found


def checked(asked: Asked) -> Asked:
    """What could not be sent as it is, is wrong usage."""
    try:
        asked.check()
    except Rejected as error:
        raise typer.BadParameter(error.message) from None
    return asked


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


async def _sent(one: Notification) -> Sent:
    with progress(f"Sending {one.id}. To stop it: atlvs deliveries cancel {one.id}") as shown:
        return await send_until_told(one.org_id, one.id, BARE, _Bar(shown))


class _Bar:
    """How far it is, on a terminal."""

    def __init__(self, shown: Status | None) -> None:
        self._shown = shown

    async def __call__(self, now: Standing) -> None:
        if self._shown:
            self._shown.update(f"{now.ended:,} of {now.whole:,} sent, {now.later:,} go out later")


async def _tell(org_id: UUID, id: UUID, created: bool, sent: Sent, as_json: bool) -> None:
    async with database().org(org_id) as tx:
        one = await notifications.read(tx, id)
        counts = await notifications.counts(tx, id)
    rows = [
        {**row, "reason": masked_text(row["reason"]), "cost": cost(row.pop("cost_micros"))}
        for row in counts
    ]
    notes = [] if created or one.dry_run else [f"It was raised already on {one.created_at:%F %T}."]
    notes += [*said(one), *sorted(sent.troubles)]
    told = {"id": id, "state": one.state, "created": created, "dry_run": one.dry_run}
    show({**told, "deliveries": rows, "notes": notes}, as_json, table("Deliveries", rows), *notes)
    if one.state == "refused" or sent.troubles:
        raise Failed(" ".join([one.reason or "", *sorted(sent.troubles)]).strip())
