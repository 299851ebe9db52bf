"""Making channels, and inviting people to them.

https://docs.slack.dev/reference/methods/conversations.create · …/conversations.invite
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from atlvs.db.engine import database
from atlvs.errors import Rejected
from blocks.slack import Slack
from blocks.slack_answers import refusal
from tasks.once import once
from tasks.policy import call, step
from tasks.slack.mirror import Changes, channel_row, store
from tasks.slack.people import person_at
from tasks.slack.posting import CLOCKS

Json = dict[str, Any]
MOST_INVITED = 100  # in one call
FINE = ("already_in_channel", "cant_invite_self")


@call("slack")
async def create_channel(
    connection: Slack,
    request: UUID,
    name: Annotated[str, Field(min_length=1, max_length=80)],
    is_private: bool = False,
) -> Json:
    """Make a channel: lowercase letters, digits, `-` and `_`. Names of archived channels are taken too."""
    connection.need("groups:write" if is_private else "channels:manage")
    asked = {"name": name, "is_private": is_private}
    before: list[datetime] = []

    async def send() -> Json:
        try:
            return (await connection.api("conversations.create", **asked))["channel"]
        except Rejected as error:
            ours = await look(before[0]) if before and error.code == "name_taken" else None
            if ours is None:
                raise
            return ours  # the first sending got through after all

    async def look(sent_at: datetime) -> Json | None:
        before.append(sent_at)
        return await _ours(connection, name, is_private, sent_at)

    made = await once(connection, request, asked, send, look)
    await _keep(connection, made)
    return made


@call("slack")
async def invite_to_channel(
    connection: Slack,
    request: UUID,
    channel_id: Annotated[str, Field(pattern=r"^[CG][A-Z0-9]{2,30}$")],
    user_ids: Annotated[list[str], Field(min_length=1, max_length=1000)],
) -> Json:
    """Let people in, by id or e-mail address: who came, who was there already, and who cannot come and why.

    Rejected when nobody at all can come.
    """
    connection.need(
        "channels:manage", "channels:write.invites", "groups:write", "groups:write.invites"
    )
    failed: list[Json] = []
    people = [await _person(connection, one, failed) for one in dict.fromkeys(user_ids)]
    wanted = list(dict.fromkeys(one for one in people if one))
    done: Json = {"channel": channel_id, "invited": [], "already": [], "failed": failed}
    for start in range(0, len(wanted), MOST_INVITED):
        chunk = wanted[start : start + MOST_INVITED]
        part = await _invited(connection, step(request, f"from {start}"), channel_id, chunk)
        for name in ("invited", "already", "failed"):
            done[name] += part[name]
    if done["failed"] and not (done["invited"] or done["already"]):
        code = done["failed"][0]["error"]
        raise Rejected("slack", f"nobody could be invited: {code}.", code=code, field="user_ids")
    return done


async def _invited(slack: Slack, request: UUID, channel: str, people: list[str]) -> Json:
    users = ",".join(people)

    async def send() -> Json:
        asked = {"channel": channel, "users": users, "force": True}
        told = await slack.ask("conversations.invite", asked)
        errors = {one["user"]: one["error"] for one in told.get("errors") or () if "user" in one}
        if told["ok"] is not True and not errors and told.get("error") in FINE:
            errors = dict.fromkeys(people, told["error"])
        if told["ok"] is not True and not errors:
            raise refusal("conversations.invite", told, reading=False)
        failed = [
            {"user": user, "error": error} for user, error in errors.items() if error not in FINE
        ]
        already = [user for user, error in errors.items() if error in FINE]
        invited = [user for user in people if user not in errors]
        return {"invited": invited, "already": already, "failed": failed}

    return await once(slack, request, {"channel": channel, "users": users}, send, _again)


async def _again(_sent_at: datetime) -> None:
    """Whoever is in the channel already is told so: it may simply be sent again."""


async def _person(slack: Slack, one: str, failed: list[Json]) -> str | None:
    """A person's id; one that cannot be found is told with the result."""
    try:
        return await person_at(slack, one)
    except Rejected as error:
        failed.append({"user": one, "error": error.code})
        return None


async def _ours(slack: Slack, name: str, is_private: bool, sent_at: datetime) -> Json | None:
    """A channel of this name that we made since then. One that somebody else made stays theirs."""
    slack.need("groups:read" if is_private else "channels:read")
    me = (await slack.api("auth.test", reading=True))["user_id"]
    kind, since = "private_channel" if is_private else "public_channel", sent_at - CLOCKS
    asked: Json = {"types": kind, "limit": 999}
    while True:
        page = await slack.api("conversations.list", reading=True, **asked)
        for one in page["channels"]:
            made = one.get("created", 0) >= since.timestamp()
            if one["name"] == name and one.get("creator") == me and made:
                return one
        asked["cursor"] = (page.get("response_metadata") or {}).get("next_cursor")
        if not asked["cursor"]:
            return None


async def _keep(slack: Slack, channel: Json) -> None:
    connection = slack.connection
    row = channel_row(channel, await database().now())
    async with database().org(connection.org_id) as tx:
        await store(tx, connection, Changes(channels={channel["id"]: row}))
