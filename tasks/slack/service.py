"""Slack's service interface: messages, direct messages, notifications, and reading who and what is there.

Each write takes the id of its request: the same id does it once, however often it is called. Texts are
Slack's mrkdwn as the caller wrote it; a notification's data is escaped. https://docs.slack.dev/reference/methods
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from prefect import Task
from pydantic import Field

from atlvs.db import consents
from atlvs.db.engine import database
from atlvs.errors import Rejected, Unauthorized, Unavailable
from atlvs.events import NotificationType
from blocks.slack import Slack
from tasks.once import once
from tasks.policy import call
from tasks.slack import posting
from tasks.slack.channels import create_channel, invite_to_channel
from tasks.slack.messages import composed
from tasks.slack.people import CHANNEL, DEFAULTS, is_channel, person_at, room_for
from tasks.slack.privacy import check_private

Json = dict[str, Any]
MARK = "request"
SETTLED = timedelta(seconds=5)  # until what was sent is sure to show
Text = Annotated[str, Field(min_length=1, max_length=40_000)]
Blocks = Annotated[list[Json], Field(max_length=50)]
Where = Annotated[
    str,
    Field(
        max_length=320,
        description="A channel's id, a person's id or e-mail address; empty or `default` for the "
        "connection's own channel.",
    ),
]
Who = Annotated[str, Field(min_length=1, max_length=320, description="An id or e-mail address.")]
Cursor = Annotated[str, Field(max_length=500)]
Limit = Annotated[int, Field(ge=1, le=999)]


@call("slack")
async def send_message(
    connection: Slack,
    request: UUID,
    channel: Where,
    text: Text,
    blocks: Blocks | None = None,
    thread_ts: Annotated[str, Field(pattern=r"^\d{1,10}\.\d{1,6}$")] | None = None,
) -> Json:
    """Post a message: `channel` and `ts` of it. Where the bot may not post, the incoming webhook does,
    into its own channel, and tells neither."""
    message = {"text": text} | ({"blocks": blocks} if blocks else {})
    message |= {"thread_ts": thread_ts} if thread_ts else {}
    place = await _place(connection, channel, "message")
    asked = {"channel": channel, **message}
    return await _posted(connection, request, place, message, asked, kind="message", strict=True)


@call("slack")
async def send_direct_message(
    connection: Slack, request: UUID, user_id: Who, text: Text, blocks: Blocks | None = None
) -> Json:
    """Write to a person: `channel` and `ts` of the message."""
    if CHANNEL.fullmatch(user_id) or is_channel(user_id):
        raise Rejected("slack", "this is a channel.", code="address_invalid", field="user_id")
    message = {"text": text} | ({"blocks": blocks} if blocks else {})
    place = await _place(connection, user_id, "message")
    asked = {"user": user_id, **message}
    return await _posted(connection, request, place, message, asked, kind="message", strict=True)


@call("slack")
async def post_notification(
    connection: Slack,
    request: UUID,
    type: NotificationType,
    channel: Where,
    message: Text,
    blocks: Blocks | None = None,
    metadata: Json | None = None,
) -> Json:
    """Post a notification. Without blocks it looks like those that ATLVS sends itself: `metadata` are
    the type's variables, `message` a text beneath them."""
    check_private(type, channel)
    shown = composed(type, {**(metadata or {}), "message": message})
    if blocks:
        shown = {"text": message, "blocks": blocks}
    place = await _place(connection, channel, type)
    asked = {"channel": channel, "type": type, "message": message, "metadata": metadata}
    asked["blocks"] = blocks
    return await _posted(connection, request, place, shown, asked, kind=type, strict=bool(blocks))


@call("slack")
async def list_channels(
    connection: Slack,
    types: list[Literal["public_channel", "private_channel"]] | None = None,
    exclude_archived: bool = True,
    cursor: Cursor = "",
    limit: Limit = 200,
) -> Json:
    """Channels as Slack has them now; private ones where the bot is in. `next_cursor` is empty at the end."""
    kinds = types or ["public_channel"]
    for kind in kinds:
        connection.need("groups:read" if kind == "private_channel" else "channels:read")
    told = await connection.api(
        "conversations.list",
        reading=True,
        types=",".join(kinds),
        exclude_archived=exclude_archived,
        cursor=cursor or None,
        limit=limit,
    )
    return {"channels": told["channels"], "next_cursor": next_cursor(told)}


@call("slack")
async def list_users(connection: Slack, cursor: Cursor = "", limit: Limit = 200) -> Json:
    """People as Slack has them now, deactivated ones and bots too."""
    connection.need("users:read")
    told = await connection.api("users.list", reading=True, cursor=cursor or None, limit=limit)
    return {"members": told["members"], "next_cursor": next_cursor(told)}


@call("slack")
async def find_user_by_email(
    connection: Slack, email: Annotated[str, Field(min_length=3, max_length=320)]
) -> Json:
    """The person with this address, as Slack has them now."""
    connection.need("users:read.email")
    return (await connection.api("users.lookupByEmail", reading=True, email=email))["user"]


def next_cursor(told: Json) -> str:
    """Where the next page begins; empty after the last one."""
    return (told.get("response_metadata") or {}).get("next_cursor") or ""


async def _place(slack: Slack, address: str, kind: str) -> str | None:
    """The conversation at an address that may be written to; None for the incoming webhook's."""
    address = address.strip()
    if address in DEFAULTS:
        channel = slack.channel_for(kind)
        if channel is None and not slack.has_hook:
            text = "no default_channel is set on the connection: name a channel."
            raise Rejected("slack", text, code="no_channel", field="channel")
        return channel
    if not (CHANNEL.fullmatch(address) or is_channel(address)):
        await _check_refusals(slack, {address, await _person(slack, address)})
    return await room_for(slack, address)


async def _person(slack: Slack, address: str) -> str:
    if not slack.has_bot:
        text = "there is no bot token: people cannot be written to."
        raise Rejected("slack", text, code="hook_only")
    return await person_at(slack, address)


async def _check_refusals(slack: Slack, addresses: set[str]) -> None:
    known = addresses | {one.lower() for one in addresses if "@" in one}
    async with database().org(slack.connection.org_id) as tx:
        refused = await consents.refusals(tx, "slack", known)
    if refused:
        raise Rejected("slack", f"not sent: {next(iter(refused.values()))}.", code="suppressed")


async def _posted(
    slack: Slack,
    request: UUID,
    channel: str | None,
    message: Json,
    asked: Json,
    *,
    kind: str,
    strict: bool,
) -> Json:
    """Post once for a request, and tell where."""

    async def by_hook() -> Json:
        await posting.post_to_hook(slack, message)
        return {"channel": channel, "ts": None}

    async def send() -> Json:
        if channel is None or posting.by_hook(slack, channel):
            return await by_hook()
        mark = posting.marked(kind, MARK, str(request))
        try:
            return await posting.post(slack, channel, message | mark, strict=strict)
        except Unauthorized as error:
            if error.code != "missing_scope" or not posting.by_hook(slack, channel):
                raise
        return await by_hook()

    await posting.turn(slack, channel)
    look = _look(slack, request, channel, message.get("thread_ts"))
    return await once(slack, request, asked, send, look)


def _look(
    slack: Slack, request: UUID, channel: str | None, thread: str | None
) -> Callable[[datetime], Awaitable[Json | None]] | None:
    """Finds what an earlier sending posted; None where nothing can be found."""
    if channel is None or posting.by_hook(slack, channel):
        return None

    async def look(sent_at: datetime) -> Json | None:
        ts = (await posting.marks_in(slack, channel, MARK, sent_at, thread)).get(str(request))
        if ts is not None:
            return {"channel": channel, "ts": ts}
        left = sent_at + SETTLED - await database().now()
        if left > timedelta():
            wait = left.total_seconds()
            text = "whether it was posted shows in a moment."
            raise Unavailable("slack", text, code="in_doubt", retry_after=wait)
        return None

    return look


SERVICE: dict[str, Task[..., Any]] = {
    one.name.removeprefix("slack."): one
    for one in (
        send_message,
        send_direct_message,
        create_channel,
        invite_to_channel,
        post_notification,
        list_channels,
        list_users,
        find_user_by_email,
    )
}
