"""Sending, changing and removing messages.

https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

from typing import Any

from deployments.sandbox.slack.call import Call
from deployments.sandbox.slack.errors import Refused
from deployments.sandbox.slack.events import tell_of_message
from deployments.sandbox.slack.messages import (
    attachments_of,
    blocks_of,
    keep,
    message_shown,
    metadata_of,
    text_of,
)
from deployments.sandbox.slack.workspace import Channel, Message

Object = dict[str, Any]
# https://docs.slack.dev/reference/methods/chat.update#errors
LONGEST_UPDATE = 40_000
CONTENT = frozenset({"text", "markdown_text", "blocks", "attachments"})


def destination(call: Call) -> Channel:
    """The conversation to post into: by id, by name, or a person's, which is opened then."""
    workspace, wanted = call.workspace, call.args["channel"]
    found = workspace.channels.get(wanted) or workspace.by_name.get(wanted.removeprefix("#"))
    if found is None and wanted in workspace.users:
        # A deactivated person's conversation still takes messages.
        # https://github.com/slackapi/python-slack-sdk/issues/1156
        if workspace.users[wanted].is_bot:
            raise Refused("cannot_dm_bot")
        found, _ = workspace.direct(frozenset({wanted, call.me.id}), call.me.id)
    if found is None or not call.sees(found):
        raise Refused("channel_not_found")
    if found.archived:
        raise Refused("is_archived")
    if call.me.id not in found.members and "chat:write.public" not in call.scopes:
        raise Refused("not_in_channel")
    _check_restriction(found, call.args.get("thread_ts"))
    return found


def _check_restriction(channel: Channel, thread_ts: str | None) -> None:
    """`read_only`, `thread_only` and `non_threadable` channels, as their owners made them."""
    kind = channel.restriction
    allowed = kind is None or {
        "read_only": False,
        "thread_only": thread_ts is not None,
        "non_threadable": thread_ts is None,
    }.get(kind, False)
    if not allowed:
        known = kind in ("read_only", "thread_only", "non_threadable")
        raise Refused(f"restricted_action_{kind}_channel" if known else "restricted_action")


def composed(call: Call, channel: Channel) -> Message:
    """The message that was asked for, with the time of now as its id."""
    text, args = text_of(call), call.args
    message = Message(
        ts="",
        user=call.me.id,
        text=text,
        blocks=blocks_of(call),
        attachments=attachments_of(call),
        metadata=metadata_of(call),
        thread_ts=_thread_of(channel, args.get("thread_ts")),
        username=args.get("username"),
        client_msg_id=args.get("client_msg_id"),
    )
    message.broadcast = bool(message.thread_ts and args.get("reply_broadcast"))
    return message


def _thread_of(channel: Channel, ts: str | None) -> str | None:
    """The thread's first message, also where one of its replies was named."""
    if ts is None:
        return None
    parent = channel.messages.get(ts)
    if parent is None or parent.deleted:
        raise Refused("thread_not_found")
    return parent.thread_ts or parent.ts


def post_message(call: Call) -> Object:
    if call.args.get("as_user") is not None:
        raise Refused("invalid_arguments", deprecated_argument="as_user")
    workspace, channel = call.workspace, destination(call)
    message = composed(call, channel)
    call.sandbox.limits.post(workspace.id, channel.id)
    if workspace.message_limit is not None and workspace.posted >= workspace.message_limit:
        raise Refused("message_limit_exceeded")
    message.ts = workspace.stamp()
    workspace.posted += 1
    if not call.sandbox.losses.takes(workspace.name, channel.id, message.text):
        keep(channel, message)
        tell_of_message(workspace, channel, message)
    shown = message_shown(workspace, message, metadata=True)
    return {"channel": channel.id, "ts": message.ts, "message": shown}


def post_ephemeral(call: Call) -> Object:
    """Shown to one person, kept nowhere: only `received` knows of it."""
    channel, person = destination(call), call.args["user"]
    if person not in channel.members:
        raise Refused("user_not_in_channel")
    message = composed(call, channel)
    message.ts, message.ephemeral_for = call.workspace.stamp(), person
    channel.messages[message.ts] = message
    return {"message_ts": message.ts}


def own_message(call: Call, refusal: str) -> tuple[Channel, Message]:
    channel = call.channel()
    message = channel.messages.get(call.args["ts"])
    if message is None or message.deleted or message.ephemeral_for:
        raise Refused("message_not_found")
    if message.user != call.me.id:
        raise Refused(refusal)
    return channel, message


def update_message(call: Call) -> Object:
    """Changes what is named; blocks, attachments and metadata stay where they are not."""
    channel, message = own_message(call, "cant_update_message")
    if channel.archived:
        raise Refused("is_inactive")
    args = call.args
    if len(args.get("text") or "") > LONGEST_UPDATE:
        raise Refused("msg_too_long")
    kept = message.blocks is not None and "blocks" not in args
    text = text_of(call) if args.keys() & CONTENT else message.text
    blocks, attachments, metadata = blocks_of(call), attachments_of(call), metadata_of(call)
    message.blocks = message.blocks if kept else blocks
    message.attachments = attachments if "attachments" in args else message.attachments
    message.metadata = metadata if "metadata" in args else message.metadata
    if args.keys() & {"text", "markdown_text"}:
        message.text = text
    message.edited = call.workspace.stamp()
    shown = message_shown(call.workspace, message, metadata=True)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


def delete_message(call: Call) -> Object:
    channel, message = own_message(call, "cant_delete_message")
    message.deleted = True
    return {"channel": channel.id, "ts": message.ts}


def permalink(call: Call) -> Object:
    channel = call.channel()
    message = channel.messages.get(call.args["message_ts"])
    if message is None or message.deleted:
        raise Refused("message_not_found")
    link = f"{call.workspace.url}archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.thread_ts:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}
