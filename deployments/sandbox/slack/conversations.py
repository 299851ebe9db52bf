"""Channels and direct messages: finding, making, filling and closing them.

https://docs.slack.dev/apis/web-api/using-the-conversations-api
"""

from __future__ import annotations

import re
from typing import Any

from deployments.sandbox.slack.call import READ, WRITE, Call
from deployments.sandbox.slack.errors import Refused
from deployments.sandbox.slack.events import emit
from deployments.sandbox.slack.pages import page
from deployments.sandbox.slack.workspace import Channel

Object = dict[str, Any]
NAME = re.compile(r"^[\w-]+$")
LONGEST_NAME, LONGEST_TOPIC = 80, 250


def channel_shown(call: Call, channel: Channel, *, members: bool = False) -> Object:
    workspace = call.workspace
    shown: Object = {
        "id": channel.id,
        "created": channel.created,
        "is_archived": channel.archived,
        "is_im": channel.kind == "im",
        "is_org_shared": False,
        "context_team_id": workspace.id,
        "updated": channel.created * 1000,
    }
    if channel.kind == "im":
        other = _other(call, channel)
        deleted = workspace.users[other].deleted
        return shown | {"user": other, "is_user_deleted": deleted, "is_open": channel.opened}
    shown |= _named_shown(channel)
    shown |= {"is_member": call.me.id in channel.members, "shared_team_ids": [workspace.id]}
    if members:
        shown["num_members"] = len(channel.members)
    return shown


def _named_shown(channel: Channel) -> Object:
    return {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": True,
        "is_group": False,
        "is_mpim": channel.kind == "mpim",
        "is_private": channel.kind != "public_channel",
        "is_general": channel.general,
        "is_shared": False,
        "is_ext_shared": False,
        "is_pending_ext_shared": False,
        "unlinked": 0,
        "creator": channel.creator,
        "pending_shared": [],
        "parent_conversation": None,
        "topic": _written(channel.topic),
        "purpose": _written(channel.purpose),
        "previous_names": channel.previous_names,
    }


def _other(call: Call, channel: Channel) -> str:
    return next((member for member in channel.members if member != call.me.id), call.me.id)


def _written(value: tuple[str, str, int]) -> Object:
    return dict(zip(("value", "creator", "last_set"), value, strict=True))


def check_name(name: str) -> str:
    if not name:
        raise Refused("invalid_name_required")
    if len(name) > LONGEST_NAME:
        raise Refused("invalid_name_maxlength")
    if not NAME.match(name) or name != name.lower():
        raise Refused("invalid_name_specials")
    if not name.strip("-_"):
        raise Refused("invalid_name_punctuation")
    return name


def _free_name(call: Call) -> str:
    """Archived channels keep their names."""
    name = check_name(call.args.get("name", ""))
    if name in call.workspace.by_name:
        raise Refused("name_taken")
    return name


def create(call: Call) -> Object:
    kind = "private_channel" if call.args.get("is_private") else "public_channel"
    call.need(WRITE[kind])
    name = _free_name(call)
    channel = call.workspace.add_channel(name, call.me.id, kind)
    shown = channel_shown(call, channel)
    if kind == "public_channel":
        event = {name: shown[name] for name in ("id", "name", "created", "creator")}
        emit(call.workspace, {"type": "channel_created", "channel": event})
    return {"channel": shown}


def list_conversations(call: Call) -> Object:
    """Pages are cut before archived ones are left out: one may be short, or even empty."""
    kinds = call.args.get("types") or ["public_channel"]
    for kind in kinds:
        if kind not in READ:
            raise Refused("invalid_types")
        call.need(READ[kind])
    seen = [c for c in call.workspace.channels.values() if c.kind in kinds and call.sees(c)]
    limit = call.args.get("limit", 100)
    found, cursor = page(seen, "team", call.args.get("cursor"), limit or 100, 1000)
    hidden = bool(call.args.get("exclude_archived"))
    return {
        "channels": [
            channel_shown(call, c, members=True) for c in found if not (hidden and c.archived)
        ],
        "response_metadata": {"next_cursor": cursor},
    }


def info(call: Call) -> Object:
    channel = call.channel(READ)
    shown = channel_shown(call, channel, members=bool(call.args.get("include_num_members")))
    if call.args.get("include_locale"):
        shown["locale"] = "en-US"
    return {"channel": shown}


def members(call: Call) -> Object:
    channel = call.channel(READ)
    limit = call.args.get("limit", 100)
    found, cursor = page(list(channel.members), "user", call.args.get("cursor"), limit, 1000)
    return {"members": found, "response_metadata": {"next_cursor": cursor}}


def open_direct(call: Call) -> Object:
    """Idempotent: the same people always meet in the same conversation."""
    if call.args.get("channel"):
        channel, new = call.channel(), False
        if not channel.is_direct:
            raise Refused("method_not_supported_for_channel_type")
    else:
        people = _people(call)
        call.need(WRITE["im" if len(people) == 1 else "mpim"])
        if (
            call.args.get("prevent_creation")
            and people | {call.me.id} not in call.workspace.directs
        ):
            raise Refused("channel_not_found")
        channel, new = call.workspace.direct(people | {call.me.id}, call.me.id)
    answer: Object = {"channel": {"id": channel.id}}
    if call.args.get("return_im"):
        answer["channel"] = channel_shown(call, channel)
    if not new and channel.opened:
        answer |= {"no_op": True, "already_open": True}
    channel.opened = True
    return answer


def _people(call: Call) -> frozenset[str]:
    wanted = call.args.get("users") or []
    if not wanted:
        raise Refused("users_list_not_supplied")
    if len(wanted) > 8:
        raise Refused("too_many_users")
    for identifier in wanted:
        user = call.workspace.users.get(identifier)
        if user is None:
            raise Refused("user_not_found")
        if user.deleted:
            raise Refused("user_disabled")
        if user.is_bot and user is not call.me:
            raise Refused("cannot_dm_bot")
    people = frozenset(wanted) - {call.me.id}
    if not people:
        raise Refused("invalid_user_combination")
    return people


def close(call: Call) -> Object:
    channel = call.channel(WRITE)
    if not channel.is_direct:
        raise Refused("method_not_supported_for_channel_type")
    if not channel.opened:
        return {"no_op": True, "already_closed": True}
    channel.opened = False
    return {}


def archive(call: Call) -> Object:
    channel = call.named_channel(WRITE)
    if channel.archived:
        raise Refused("already_archived")
    if channel.general:
        raise Refused("cant_archive_general")
    _be_in(call, channel)
    channel.archived = True
    emit(call.workspace, {"type": "channel_archive", "channel": channel.id, "user": call.me.id})
    return {}


def unarchive(call: Call) -> Object:
    channel = call.named_channel(WRITE)
    if not channel.archived:
        raise Refused("not_archived")
    channel.archived = False
    return {}


def rename(call: Call) -> Object:
    channel = call.named_channel(WRITE)
    if channel.archived:
        raise Refused("is_archived")
    _be_in(call, channel)
    name = check_name(call.args.get("name", ""))
    if call.workspace.by_name.get(name, channel) is not channel:
        raise Refused("name_taken")
    call.workspace.rename(channel, name)
    return {"channel": channel_shown(call, channel)}


def _be_in(call: Call, channel: Channel) -> None:
    if call.me.id not in channel.members:
        raise Refused("not_in_channel")


def set_topic(call: Call) -> Object:
    return _write(call, "topic")


def set_purpose(call: Call) -> Object:
    return _write(call, "purpose")


def _write(call: Call, what: str) -> Object:
    channel = call.channel(WRITE)
    if channel.kind == "im":
        raise Refused("method_not_supported_for_channel_type")
    if channel.archived:
        raise Refused("is_archived")
    _be_in(call, channel)
    if len(call.args[what]) > LONGEST_TOPIC:
        raise Refused("too_long")
    setattr(channel, what, (call.args[what], call.me.id, call.workspace.seconds()))
    return {"channel": channel_shown(call, channel)}
