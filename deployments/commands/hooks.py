"""Subscriptions to domain events, and their posts."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import typer

from atlvs.db import hook_log, hook_standing, hooks
from atlvs.db.engine import database
from atlvs.db.hook_log import Selection
from atlvs.db.organizations import the_organization
from atlvs.errors import Misconfigured
from deployments.commands.around import awaited
from deployments.commands.output import AsJson, Failed, show, table
from deployments.commands.working import TIME, Time
from flows.notify.report import masked_text
from tasks.triggers import deciding, sampling
from tasks.triggers.deciding import BY_A_PERSON, Decision

app = typer.Typer(
    help="Who outside hears of domain events (Zaps and others), and what became of each post.",
    no_args_is_help=True,
)
HOOKS = (
    *("id", "event", "target", "state", "reason", "last_success_at", "failing_since"),
    *("waiting", "dead"),
)
POSTS = (
    *("id", "event", "target", "state", "attempts", "status", "reason", "occurred_at"),
    *("due_at", "done_at"),
)


class State(StrEnum):
    """What became of a post."""

    waiting = "waiting"
    sending = "sending"
    delivered = "delivered"
    dead = "dead"
    skipped = "skipped"


Id = Annotated[UUID, typer.Argument(help="The subscription's id.")]
Hook = Annotated[UUID | None, typer.Option("--hook", help="A subscription's id.")]
Limit = Annotated[int, typer.Option(min=1, help="How many.")]


@app.command("list")
@awaited()
async def list_hooks(
    ended: Annotated[bool, typer.Option("--ended", help="Also those that have ended.")] = False,
    as_json: bool = AsJson,
) -> None:
    """The subscriptions: whom they tell of what, how their targets do, what waits, what failed."""
    rows = await hook_standing.standing(await the_organization(), ended=ended)
    show({"hooks": rows}, as_json, table("Subscriptions", rows, HOOKS))


@app.command()
@awaited()
async def posts(
    hook: Hook = None,
    state: State | None = None,
    event: Annotated[str | None, typer.Option(help="As contact.created.")] = None,
    since: Time = None,
    until: Time = None,
    limit: Limit = 50,
    as_json: bool = AsJson,
) -> None:
    """The newest posts; --since and --until are about when it happened."""
    which = Selection(hook, state, event, since, until)
    rows = await hook_log.deliveries(await the_organization(), which, limit)
    show({"posts": rows}, as_json, table("Posts", rows, POSTS))


@app.command("show")
@awaited()
async def show_hook(
    id: Annotated[UUID, typer.Argument(help="Of a subscription, or of a post.")],
    as_json: bool = AsJson,
) -> None:
    """A subscription with its newest posts, or a post with all its attempts; without what was in it."""
    org_id = await the_organization()
    rows = await hook_standing.standing(org_id, hook=id)
    if rows:
        newest = await hook_log.deliveries(org_id, Selection(hook=id), 20)
        show(rows[0] | {"posts": newest}, as_json=True)
        return
    found = await hook_log.delivery(org_id, id)
    if found is None:
        raise Misconfigured(f"There is no subscription or post {id}. See: atlvs hooks list")
    tried = [one | {"response": masked_text(one["response"])} for one in found["tried"]]
    show(found | {"tried": tried}, as_json=True)


@app.command()
@awaited()
async def resend(
    posts: Annotated[list[UUID] | None, typer.Argument(help="Ids of posts, in any state.")] = None,
    hook: Hook = None,
    state: Annotated[State, typer.Option(help="With --hook: those in this state.")] = State.dead,
    since: Time = None,
    until: Time = None,
    as_json: bool = AsJson,
) -> None:
    """Post again: these posts, or with --hook all of a subscription that failed."""
    if bool(posts) == bool(hook):
        raise typer.BadParameter("Say which: ids of posts, or --hook with a subscription's id.")
    org_id, left = await the_organization(), dict[str, int]()
    if hook:
        await _known(org_id, hook)
        queued = await hook_log.resend_range(org_id, hook, since, until, [state])
    else:
        again = await hook_log.resend(org_id, posts or [])
        queued, left = again.queued, dict(again.left)
    show({"queued": queued, "left": left}, as_json, f"{queued} wait to be posted again.")
    if left:
        raise Failed(", ".join(f"{number} {why}" for why, number in left.items()) + ".")


@app.command()
@awaited()
async def replay(
    id: Id,
    since: Annotated[Any, TIME],
    until: Time = None,
    send: Annotated[
        bool, typer.Option("--send/--dry-run", help="Post it. Else it is only counted.")
    ] = False,
    even_many: Annotated[
        bool, typer.Option("--even-many", help=f"Also more than {hook_log.MANY:,}.")
    ] = False,
    as_json: bool = AsJson,
) -> None:
    """Show what happened in a range of time; --send posts it, for the first time or once more."""
    org_id, until = await the_organization(), until or await database().now()
    await _known(org_id, id)
    rows = await hook_log.foreseen(org_id, id, since, until)
    number = sum(row["number"] for row in rows if row["posted"])
    told: dict[str, Any] = {"events": rows, "to_be_posted": number, "dry_run": not send}
    line = f"{number} would be posted. Post them: --send"
    if send:
        done = await hook_log.replay(org_id, id, since, until, even_many=even_many)
        told |= {"new": done.new, "again": done.again}
        line = f"{done.new} wait to be posted for the first time, {done.again} once more."
    show(told, as_json, table("Events", rows), line)


@app.command()
@awaited()
async def sample(id: Id, as_json: bool = AsJson) -> None:
    """Send a sample now, and tell what the target answers. A Zap runs with it."""
    org_id = await the_organization()
    await _known(org_id, id)
    sent = await sampling.send_sample(org_id, id)
    told = {name: getattr(sent, name) for name in sent.__dataclass_fields__}
    show(told, as_json, table("Sample", [told | {"took_ms": round(sent.took_ms)}]))
    if not sent.well:
        raise Failed(f"{sent.target} did not take the sample: {sent.error}")


@app.command()
@awaited()
async def enable(id: Id, as_json: bool = AsJson) -> None:
    """Post to it again: when it was disabled or paused, or its target rests."""
    await _decide(id, "enable", BY_A_PERSON, as_json)


@app.command()
@awaited()
async def disable(
    id: Id,
    reason: Annotated[str, typer.Option(help="Shown with it.")] = BY_A_PERSON,
    as_json: bool = AsJson,
) -> None:
    """Stop posting to it; what waits for it is not sent, what happens from now on not kept."""
    await _decide(id, "disable", reason, as_json)


@app.command()
@awaited()
async def pause(id: Id, as_json: bool = AsJson) -> None:
    """Stop posting to it for now; what happens is kept until it is enabled."""
    await _decide(id, "pause", BY_A_PERSON, as_json)


@app.command()
@awaited()
async def rotate(id: Id, as_json: bool = AsJson) -> None:
    """A new secret for its signatures, shown now and never again. The former one signs too for a day."""
    org_id = await the_organization()
    await _known(org_id, id)
    secret = await hooks.rotate(org_id, id)
    show({"id": id, "secret": secret}, as_json, secret)


async def _decide(id: UUID, decision: Decision, reason: str, as_json: bool) -> None:
    org_id = await the_organization()
    await _known(org_id, id)
    hook, changed = await deciding.decide(org_id, id, decision, reason)
    told = {"id": id, "state": hook.state, "changed": changed}
    show(told, as_json, f"Subscription {id} is {hook.state}.")


async def _known(org_id: UUID, id: UUID) -> None:
    if await hooks.find(org_id, id) is None:
        raise Misconfigured(f"There is no subscription {id}. See: atlvs hooks list")
