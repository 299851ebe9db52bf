"""Messages: what may be in them, how they are kept and shown.

https://docs.slack.dev/reference/events/message
"""

from __future__ import annotations

from typing import Any

import orjson

from deployments.sandbox.slack.blocks import check_blocks, identified
from deployments.sandbox.slack.call import Call
from deployments.sandbox.slack.errors import Refused
from deployments.sandbox.slack.workspace import Channel, Message, Workspace

Object = dict[str, Any]
LONGEST_TEXT = 40_000
LONGEST_MARKDOWN = 12_000
MOST_ATTACHMENTS = 100
# Not published; metadata is meant to be small.
LONGEST_METADATA = 16_000


def text_of(call: Call) -> str:
    """The text, shortened and warned about where it is too long, refused where it is missing."""
    args = call.args
    if markdown := args.get("markdown_text"):
        if args.get("text") or args.get("blocks"):
            raise Refused("markdown_text_conflict")
        if len(markdown) > LONGEST_MARKDOWN:
            raise Refused("msg_too_long")
        return markdown
    text: str = args.get("text") or ""
    if not text.strip() and not args.get("blocks") and not args.get("attachments"):
        raise Refused("no_text")
    if len(text) <= LONGEST_TEXT:
        return text
    call.warnings.append("message_truncated")
    return text[:LONGEST_TEXT]


def blocks_of(call: Call) -> bytes | None:
    blocks = call.args.get("blocks")
    if not blocks:
        return None
    return _packed(identified(check_blocks(blocks), call.workspace.ids.word))


def _packed(thing: Any) -> bytes:
    """The encoder's own buffer is larger than what is in it; a copy is not."""
    return bytes(memoryview(orjson.dumps(thing)))


def attachments_of(call: Call) -> bytes | None:
    attachments = call.args.get("attachments")
    if not attachments:
        return None
    if not isinstance(attachments, list) or not all(isinstance(a, dict) for a in attachments):
        raise Refused("invalid_attachments")
    if len(attachments) > MOST_ATTACHMENTS:
        raise Refused("too_many_attachments")
    for attachment in attachments:
        if attachment.get("blocks"):
            check_blocks(attachment["blocks"])
    plain = {"fallback": "[no preview available]"}
    return _packed([{"id": n, **plain, **a} for n, a in enumerate(attachments, 1)])


def metadata_of(call: Call) -> bytes | None:
    metadata = call.args.get("metadata")
    if not metadata:
        return None
    if not isinstance(metadata, dict):
        raise Refused("invalid_metadata_format")
    payload = metadata.get("event_payload")
    if not isinstance(metadata.get("event_type"), str) or not isinstance(payload, dict):
        raise Refused("invalid_metadata_schema")
    encoded = _packed(metadata)
    if len(encoded) > LONGEST_METADATA:
        raise Refused("metadata_too_large")
    return encoded


def message_shown(
    workspace: Workspace,
    message: Message,
    *,
    metadata: bool = False,
    channel: Channel | None = None,
) -> Object:
    shown: Object = {
        "type": "message",
        "user": message.user,
        "text": message.text,
        "ts": message.ts,
        "team": workspace.id,
    }
    if message.is_bot:
        profile = workspace.bot_profile
        shown |= {"bot_id": profile["id"], "app_id": profile["app_id"], "bot_profile": profile}
    shown |= _own(message)
    if metadata and message.metadata:
        shown["metadata"] = orjson.Fragment(message.metadata)
    if message.replies and channel is not None:
        shown |= _thread(message, message.replies, channel)
    return shown


def _own(message: Message) -> Object:
    """What not every message has."""
    shown: Object = {
        name: value
        for name in ("username", "thread_ts", "client_msg_id")
        if (value := getattr(message, name)) is not None
    }
    for name in ("blocks", "attachments"):
        if (encoded := getattr(message, name)) is not None:
            shown[name] = orjson.Fragment(encoded)
    if message.broadcast:
        shown["subtype"] = "thread_broadcast"
    if message.edited:
        shown["edited"] = {"user": message.user, "ts": message.edited}
    return shown


def _thread(message: Message, replies: list[str], channel: Channel) -> Object:
    living = [ts for ts in replies if not channel.messages[ts].deleted]
    if not living:
        return {}
    return {
        "thread_ts": message.ts,
        "reply_count": len(living),
        "reply_users": list(dict.fromkeys(channel.messages[ts].user for ts in living)),
        "reply_users_count": len({channel.messages[ts].user for ts in living}),
        "latest_reply": living[-1],
        "subscribed": True,
    }


def keep(channel: Channel, message: Message) -> None:
    """Put a message into its conversation, and into its thread."""
    channel.messages[message.ts] = message
    if message.thread_ts and message.thread_ts != message.ts:
        parent = channel.messages[message.thread_ts]
        parent.replies = [*(parent.replies or ()), message.ts]
