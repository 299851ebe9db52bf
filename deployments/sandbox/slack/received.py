"""What arrived: every message with those who could see it, and counts of who got what.

GET /_sandbox/slack/received?key=…&channel=…&user=…&since=ts&limit=…
GET /_sandbox/slack/counts?key=…&by=payload.notification_id&as=email
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from deployments.sandbox.slack.workspace import Channel, Message, Workspace

Given = dict[str, Any]
Place = tuple[Channel, Message]


def received(workspace: Workspace, given: Given) -> list[Given]:
    """Oldest first; `channel` by id or name, `user` by id or e-mail: what came to them directly."""
    since = str(given.get("since", ""))
    found = [
        (channel, message) for channel, message in _all(workspace, given) if message.ts > since
    ]
    found.sort(key=lambda place: place[1].ts)
    if limit := int(given.get("limit", 0)):
        found = found[-limit:]
    return [_shown(workspace, channel, message) for channel, message in found]


def _all(workspace: Workspace, given: Given) -> Iterator[Place]:
    """Messages of the app, or of all with `everyone`."""
    person = _person(workspace, given["user"]) if given.get("user") else None
    for channel in channels_named(workspace, given.get("channel")):
        if person and not (channel.is_direct and person in channel.members):
            continue
        for message in channel.messages.values():
            if message.is_bot or given.get("everyone"):
                yield channel, message


def channels_named(workspace: Workspace, wanted: str | None) -> list[Channel]:
    if wanted is None:
        return list(workspace.channels.values())
    found = workspace.channels.get(wanted) or workspace.by_name.get(wanted.removeprefix("#"))
    if found is None:
        raise LookupError(f"no channel {wanted}")
    return [found]


def _person(workspace: Workspace, wanted: str) -> str:
    found = workspace.users.get(wanted) or workspace.by_email.get(wanted.lower())
    if found is None:
        raise LookupError(f"no user {wanted}")
    return found.id


def _others(workspace: Workspace, channel: Channel) -> list[str]:
    return [member for member in channel.members if member != workspace.bot.id]


def _shown(workspace: Workspace, channel: Channel, message: Message) -> Given:
    seen_by = [message.ephemeral_for] if message.ephemeral_for else _others(workspace, channel)
    users = [workspace.users[user] for user in seen_by]
    return {
        "channel": channel.id,
        "channel_name": channel.name,
        "kind": channel.kind,
        "users": seen_by,
        "emails": [user.email for user in users if user.email],
        "nobody_there": bool(users) and all(user.deleted for user in users),
        "ts": message.ts,
        "user": message.user,
        "text": message.text,
        "blocks": _loaded(message.blocks),
        "attachments": _loaded(message.attachments),
        "metadata": _loaded(message.metadata),
        "thread_ts": message.thread_ts,
        "broadcast": message.broadcast,
        "ephemeral": message.ephemeral_for is not None,
        "edited": message.edited,
        "deleted": message.deleted,
        "mentions": _mentions(message),
    }


def _loaded(encoded: bytes | None) -> Any:
    return None if encoded is None else orjson.loads(encoded)


def _mentions(message: Message) -> list[str]:
    """Who is called by it: `!channel`, `!here`, `@U…`, in the text or in a mrkdwn object."""
    texts = [message.text, *_mrkdwn(_loaded(message.blocks))]
    found = [part.partition(">")[0] for text in texts for part in text.split("<")[1:]]
    called = [each.partition("|")[0] for each in found if each[:1] in ("!", "@")]
    return list(dict.fromkeys(each for each in called if not each.startswith("!date")))


def _mrkdwn(thing: Any) -> Iterator[str]:
    if isinstance(thing, list):
        for each in thing:
            yield from _mrkdwn(each)
    elif isinstance(thing, dict):
        if thing.get("type") == "mrkdwn" and isinstance(thing.get("text"), str):
            yield thing["text"]
        for each in thing.values():
            if isinstance(each, list | dict):
                yield from _mrkdwn(each)


def counts(workspace: Workspace, given: Given) -> Given:
    """How many messages each recipient got: a person directly, else a channel.

    With `by` (`text`, `event_type` or `payload.<name>`) how many of each, and which came twice.
    `as` is `id`, or `email` for people and the name for channels.
    """
    name = _named(workspace, given.get("as", "id"))
    by = given.get("by")
    total: Counter[str] = Counter()
    each: dict[str, Counter[str]] = {}
    for channel, message in _all(workspace, given):
        for recipient in name(channel, message):
            total[recipient] += 1
            if by:
                each.setdefault(recipient, Counter())[_what(message, by)] += 1
    repeated = {who: twice for who, kinds in each.items() if (twice := _twice(kinds))}
    shown: Given = {
        "messages": sum(total.values()),
        "recipients": len(total),
        "most": max(total.values(), default=0),
        "counts": total,
    }
    return shown | ({"by": each, "repeated": repeated} if by else {})


def _twice(kinds: Counter[str]) -> dict[str, int]:
    return {what: count for what, count in kinds.items() if count > 1}


def _named(workspace: Workspace, how: str) -> Callable[[Channel, Message], list[str]]:
    if how not in ("id", "email"):
        raise ValueError("`as` is id or email")

    def person(identifier: str) -> str:
        user = workspace.users[identifier]
        return (user.email or user.id) if how == "email" else user.id

    def names(channel: Channel, message: Message) -> list[str]:
        if message.ephemeral_for:
            return [person(message.ephemeral_for)]
        if channel.is_direct:
            return [person(user) for user in _others(workspace, channel)]
        return [channel.id if how == "id" else f"#{channel.name}"]

    return names


def _what(message: Message, by: str) -> str:
    if by == "text":
        return message.text
    metadata = _loaded(message.metadata) or {}
    if by == "event_type":
        return str(metadata.get("event_type"))
    kind, _, name = by.partition(".")
    if kind != "payload" or not name:
        raise ValueError("`by` is text, event_type or payload.<name>")
    return str(metadata.get("event_payload", {}).get(name))
