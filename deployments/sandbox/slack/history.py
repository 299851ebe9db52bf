"""Reading messages back: a conversation, a thread.

https://docs.slack.dev/reference/methods/conversations.history
"""

from __future__ import annotations

from typing import Any

from deployments.sandbox.slack.call import HISTORY, Call
from deployments.sandbox.slack.errors import Refused
from deployments.sandbox.slack.messages import message_shown
from deployments.sandbox.slack.pages import decoded, encoded
from deployments.sandbox.slack.workspace import Channel, Message

Object = dict[str, Any]
# Distributed apps outside the Marketplace see little at a time.
# https://docs.slack.dev/changelog/2025/05/29/rate-limit-changes-for-non-marketplace-apps
DISTRIBUTED_PAGE = 15


def _open(call: Call) -> Channel:
    channel = call.channel(HISTORY)
    if call.me.id not in channel.members:
        raise Refused("not_in_channel")
    if call.workspace.app.distributed:
        call.sandbox.limits.call(call.workspace.id, "conversations.history", "history")
    return channel


def _limit(call: Call, documented: int) -> int:
    limit = call.args.get("limit", documented)
    if not 1 <= limit <= 1000:
        raise Refused("invalid_limit")
    return min(limit, DISTRIBUTED_PAGE) if call.workspace.app.distributed else limit


def _within(call: Call, ts: str) -> bool:
    at, args = float(ts), call.args
    oldest, latest = float(args.get("oldest", 0)), float(args.get("latest", 1e12))
    if args.get("inclusive"):
        return oldest <= at <= latest
    return oldest < at < latest


def _shown(call: Call, channel: Channel, messages: list[Message]) -> list[Object]:
    everything = bool(call.args.get("include_all_metadata"))
    return [
        message_shown(call.workspace, message, metadata=everything, channel=channel)
        for message in messages
    ]


def history(call: Call) -> Object:
    """Newest first; replies in threads are not among them unless they were broadcast."""
    channel, limit = _open(call), _limit(call, 100)
    before = decoded("next_ts", call.args["cursor"]) if call.args.get("cursor") else None
    found: list[Message] = []
    for message in reversed(channel.messages.values()):
        if before is not None and message.ts >= before:
            continue
        if _top(message) and _within(call, message.ts):
            found.append(message)
            if len(found) > limit:
                break
    more = len(found) > limit
    found = found[:limit]
    answer: Object = {
        "messages": _shown(call, channel, found),
        "has_more": more,
        "pin_count": 0,
        "channel_actions_ts": None,
        "channel_actions_count": 0,
    }
    if more:
        answer["response_metadata"] = {"next_cursor": encoded("next_ts", found[-1].ts)}
    return answer


def _top(message: Message) -> bool:
    if message.deleted or message.ephemeral_for:
        return False
    return message.thread_ts in (None, message.ts) or message.broadcast


def replies(call: Call) -> Object:
    """The thread's first message, then its replies, oldest first."""
    channel, limit = _open(call), _limit(call, 1000)
    parent = channel.messages.get(call.args["ts"])
    if parent is None or parent.deleted:
        raise Refused("thread_not_found")
    if parent.thread_ts and parent.thread_ts != parent.ts:
        parent = channel.messages[parent.thread_ts]
    after = decoded("next_ts", call.args["cursor"]) if call.args.get("cursor") else ""
    thread = [channel.messages[ts] for ts in parent.replies or ()]
    wanted = [m for m in thread if not m.deleted and m.ts > after and _within(call, m.ts)]
    found = wanted[:limit]
    answer: Object = {
        "messages": _shown(call, channel, [parent, *found]),
        "has_more": len(wanted) > limit,
    }
    if answer["has_more"]:
        answer["response_metadata"] = {"next_cursor": encoded("next_ts", found[-1].ts)}
    return answer
