"""What was sent to whom, and what a person decides about it."""

import getpass
from typing import Annotated, Any
from uuid import UUID

import typer

from atlvs.db import overview, resending
from atlvs.db.engine import database
from atlvs.db.organizations import the_organization
from atlvs.db.overview import Selection
from atlvs.errors import Misconfigured
from atlvs.events import Channel
from deployments.commands.around import awaited
from deployments.commands.output import AsJson, show, table
from deployments.commands.working import Time
from flows.notify.fanout import said
from flows.notify.report import mask, masked_text
from tasks.notify import deciding
from tasks.notify.deciding import Decision

app = typer.Typer(help="What was sent to whom, and what came of it.", no_args_is_help=True)
STATES = (
    *("planned", "queued", "sending", "unknown", "sent", "digested", "delivered", "opened"),
    *("bounced", "undelivered", "failed", "suppressed", "skipped", "cancelled"),
)
Addresses = Annotated[bool, typer.Option("--addresses", help="Show whole addresses.")]
Limit = Annotated[int, typer.Option(min=1, help="How many.")]
Id = Annotated[UUID, typer.Argument(help="The notification's id.")]
By = Annotated[str | None, typer.Option(help="Who decides this; you if not given.")]
COLUMNS = ("id", "type", "channel", "address", "state", "code", "reason", "sent_at", "delivered_at")


def a_state(text: str) -> str:
    """A state of deliveries."""
    if text not in STATES:
        raise typer.BadParameter(f"There is no state {text!r}; there are: {', '.join(STATES)}.")
    return text


State = Annotated[str | None, typer.Option(parser=a_state, metavar="STATE")]


@app.command("list")
@awaited()
async def list_deliveries(
    notification: UUID | None = None,
    state: State = None,
    channel: Channel | None = None,
    since: Time = None,
    limit: Limit = 50,
    addresses: Addresses = False,
    as_json: bool = AsJson,
) -> None:
    """The newest deliveries; addresses are masked."""
    rows = await _chosen(Selection(notification, state, channel, since), limit, addresses)
    show({"deliveries": rows}, as_json, table("Deliveries", rows, COLUMNS))


@app.command("show")
@awaited()
async def show_delivery(
    id: Annotated[UUID, typer.Argument(help="Of a delivery, or of a notification.")],
    addresses: Addresses = False,
    as_json: bool = AsJson,
) -> None:
    """One delivery, or a notification, whole; without its text, which may be a person's."""
    async with database().org(await the_organization()) as tx:
        found = await overview.whole(tx, id)
    if found is None:
        raise Misconfigured(f"There is no delivery or notification {id}.")
    show(found if addresses else _masked(found), as_json=True)


@app.command()
@awaited()
async def unknown(
    notification: UUID | None = None,
    limit: Limit = 50,
    addresses: Addresses = False,
    as_json: bool = AsJson,
) -> None:
    """Deliveries that may have arrived: their answer got lost, and nobody could tell so far."""
    chosen = Selection(notification, "unknown")
    rows = await _chosen(chosen, limit, addresses)
    columns = ("id", "notification_id", "type", "channel", "address", "code", "reason")
    mend = "Send some of them again all the same: atlvs deliveries resend NOTIFICATION ID --unknown"
    shown = table("Of unknown outcome", rows, columns)
    show({"deliveries": rows}, as_json, *([shown, mend] if rows else [shown]))


@app.command()
@awaited()
async def resend(
    notification: Id,
    deliveries: Annotated[
        list[UUID] | None, typer.Argument(help="All that failed if none.")
    ] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Also what may have arrived: perhaps twice then.")
    ] = False,
    by: By = None,
    as_json: bool = AsJson,
) -> None:
    """Put what failed back into the queue, but nothing to whom it cannot reach."""
    async with database().org(await the_organization()) as tx:
        again = await resending.resend(
            tx, notification, by or _user(), deliveries=deliveries or None, unknown_too=unknown
        )
    left = [{"not sent again": why, "number": number} for why, number in again.left.items()]
    text = f"{again.queued} wait to be sent again."
    show({"queued": again.queued, "left": again.left}, as_json, text, *_unless_empty(left))


@app.command()
@awaited()
async def approve(notification: Id, by: By = None, as_json: bool = AsJson) -> None:
    """Let a notification go that was held for its size or cost."""
    await _decide(notification, "approve", by, as_json)


@app.command()
@awaited()
async def pause(notification: Id, by: By = None, as_json: bool = AsJson) -> None:
    """Stop sending a notification for now."""
    await _decide(notification, "pause", by, as_json)


@app.command()
@awaited()
async def resume(notification: Id, by: By = None, as_json: bool = AsJson) -> None:
    """Go on with a paused notification."""
    await _decide(notification, "resume", by, as_json)


@app.command()
@awaited()
async def cancel(notification: Id, by: By = None, as_json: bool = AsJson) -> None:
    """Keep back all that has not been sent yet."""
    await _decide(notification, "cancel", by, as_json)


async def _decide(id: UUID, decision: Decision, by: str | None, as_json: bool) -> None:
    one, changed = await deciding.decide(await the_organization(), id, decision, by or _user())
    told = {"id": id, "state": one.state, "changed": changed, "by": one.decided_by}
    show(told, as_json, f"Notification {id} is {one.state}.", *said(one))


async def _chosen(which: Selection, limit: int, addresses: bool) -> list[dict[str, Any]]:
    async with database().org(await the_organization()) as tx:
        rows = await overview.chosen(tx, which, limit)
    return rows if addresses else [_masked(row) for row in rows]


def _masked(row: dict[str, Any]) -> dict[str, Any]:
    """A delivery, or a notification, from which nobody can be reached."""
    channel = row.get("channel") or ""
    hidden: dict[str, Any] = {
        "address": lambda value: mask(channel, value),
        "recipient": lambda value: value if value.startswith("contact:") else masked_text(value),
        "reason": masked_text,
        "fallback": lambda value: [
            {**one, "address": mask(one["channel"], one["address"])} for one in value
        ],
    }
    return {
        name: hidden[name](value) if name in hidden and value is not None else value
        for name, value in row.items()
    }


def _unless_empty(rows: list[dict[str, Any]]) -> list[Any]:
    return [table("Left alone", rows)] if rows else []


def _user() -> str:
    """Who sits here."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "atlvs"
