"""Posting into conversations, each at its own pace, and finding again what was posted.

https://docs.slack.dev/reference/methods/chat.postMessage · Slack knows no idempotency key: what we post
has a mark in its metadata, by which it is found where a history scope is granted.
"""

from datetime import datetime, timedelta
from typing import Any

import orjson

from atlvs.errors import OutcomeUnknown, Rejected, Unauthorized
from blocks.slack import Slack
from blocks.slack_answers import refusal
from blocks.slack_wire import POST

Json = dict[str, Any]
PLAIN = {"unfurl_links": False, "unfurl_media": False}  # previews would show signed links' pages
CLOCKS = timedelta(minutes=1)
PAGE, MOST_PAGES = 200, 20
# What may be left out when Slack refuses it: nothing was posted then.
OPTIONAL = {
    "blocks": ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"),
    "thread_ts": ("thread_not_found", "restricted_action_non_threadable_channel"),
    "metadata": ("invalid_metadata_format", "invalid_metadata_schema", "metadata_too_large"),
}
HOOK_BLOCKS = ("invalid_blocks", "invalid_blocks_format", "invalid_payload")


def marked(kind: str, name: str, value: str) -> Json:
    """Metadata that tells what a message is. Every app in the workspace can read it: ids only."""
    return {"metadata": {"event_type": f"atlvs_{kind}", "event_payload": {name: value}}}


def by_hook(slack: Slack, channel: str | None) -> bool:
    """Whether the incoming webhook has to do; it posts into the default channel only."""
    if not slack.has_hook or channel not in (None, slack.default_channel):
        return False
    return channel is None or not slack.has_bot or not slack.may("chat:write")


def bucket_of(slack: Slack, channel: str | None) -> str:
    """The pace that a conversation has; people get few messages each and share the workspace's."""
    if channel is None or channel.startswith("D"):
        return POST
    return slack.wire.pace(f"post:{channel}", slack.posts_per_second_per_channel)


async def turn(slack: Slack, channel: str | None) -> None:
    """Wait until the conversation and the workspace may get another message."""
    bucket = bucket_of(slack, channel)
    if bucket != POST:
        await slack.wire.turn(bucket)
    await slack.wire.turn(POST)


async def post(slack: Slack, channel: str, message: Json, *, strict: bool = False) -> Json:
    """Post, its turn taken: `channel` and `ts`. What is optional is left out where Slack refuses it."""
    if not slack.has_bot:
        text = (
            "there is no bot token, and the incoming webhook posts into the default channel only."
        )
        raise Rejected("slack", text, code="hook_only", field="channel")
    slack.need("chat:write")
    while True:
        body = orjson.dumps({"channel": channel, **PLAIN, **message})
        told = await slack.ask(
            "chat.postMessage", body, bucket=bucket_of(slack, channel), paced=True
        )
        if told["ok"] is True:
            return {"channel": told["channel"], "ts": told["ts"]}
        part = next((part for part, codes in OPTIONAL.items() if told.get("error") in codes), "")
        if strict or part not in message:
            raise refusal("chat.postMessage", told, reading=False)
        message = {name: value for name, value in message.items() if name != part}
        await turn(slack, channel)


async def post_to_hook(slack: Slack, message: Json) -> None:
    """Post into the webhook's channel, its turn taken."""
    shown = {name: message[name] for name in ("text", "blocks") if name in message} | PLAIN
    try:
        await slack.post_to_hook(orjson.dumps(shown), paced=True)
    except Rejected as error:
        if error.code not in HOOK_BLOCKS or "blocks" not in shown:
            raise
        await turn(slack, None)
        await slack.post_to_hook(orjson.dumps({"text": message["text"], **PLAIN}), paced=True)


async def update(slack: Slack, channel: str, ts: str, message: Json) -> Json:
    """Change a message of ours in its place."""
    slack.need("chat:write")
    body = {"channel": channel, "ts": ts, **message}
    told = await slack.api("chat.update", **body)
    return {"channel": told["channel"], "ts": told["ts"]}


async def marks_in(
    slack: Slack, channel: str, name: str, since: datetime, thread: str | None = None
) -> dict[str, str]:
    """Mark → ts of our messages in a conversation, or in a thread of it, since then.

    OutcomeUnknown where Slack does not show them.
    """
    scopes = ("im:history",) if channel.startswith("D") else ("channels:history", "groups:history")
    method = "conversations.replies" if thread else "conversations.history"
    asked: Json = {"channel": channel, "limit": PAGE, "include_all_metadata": True, "ts": thread}
    asked["oldest"] = f"{(since - CLOCKS).timestamp():.6f}"
    found: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        try:
            slack.need(*scopes)
            page = await slack.api(method, reading=True, **asked)
        except (Unauthorized, Rejected) as error:
            if isinstance(error, Unauthorized) and error.code != "missing_scope":
                raise
            raise _hidden(error.message) from error
        found |= _marks(page["messages"], name)
        asked["cursor"] = (page.get("response_metadata") or {}).get("next_cursor")
        if not asked["cursor"]:
            return found
    raise _hidden("too much was written there since.")


def _marks(messages: list[Json], name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for message in messages:
        payload = (message.get("metadata") or {}).get("event_payload") or {}
        if isinstance(payload.get(name), str):
            found[payload[name]] = message["ts"]
    return found


def _hidden(why: str) -> OutcomeUnknown:
    text = f"Slack does not show whether it was posted ({why}) Look there before doing it again."
    return OutcomeUnknown("slack", text, code="ask_person")
