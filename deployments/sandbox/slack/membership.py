"""Who is in a channel: joining, inviting, leaving.

https://docs.slack.dev/reference/methods/conversations.invite
"""

from __future__ import annotations

from typing import Any

from deployments.sandbox.slack.call import INVITE, READ, WRITE, Call
from deployments.sandbox.slack.conversations import channel_shown
from deployments.sandbox.slack.errors import Refused
from deployments.sandbox.slack.events import emit
from deployments.sandbox.slack.pages import page
from deployments.sandbox.slack.workspace import Channel, Workspace

Object = dict[str, Any]
MOST_INVITED = 100


def enter(workspace: Workspace, channel: Channel, user: str, inviter: str | None = None) -> None:
    channel.members[user] = None
    event = {
        "type": "member_joined_channel",
        "user": user,
        "channel": channel.id,
        "channel_type": "C" if channel.kind == "public_channel" else "G",
        "team": workspace.id,
    }
    emit(workspace, event | ({"inviter": inviter} if inviter else {}))


def join(call: Call) -> Object:
    channel = call.channel()
    if channel.kind != "public_channel":
        raise Refused("method_not_supported_for_channel_type")
    if channel.archived:
        raise Refused("is_archived")
    answer: Object = {"channel": channel_shown(call, channel)}
    if call.me.id in channel.members:
        call.warnings.append("already_in_channel")
    else:
        enter(call.workspace, channel, call.me.id)
        answer["channel"]["is_member"] = True
    return answer


def invite(call: Call) -> Object:
    """All or nothing; with `force` those who can come do, and the others are named."""
    channel, wanted = call.named_channel(INVITE), call.args.get("users") or []
    if not wanted:
        raise Refused("no_user")
    if len(wanted) > MOST_INVITED:
        raise Refused("too_many_users")
    if channel.archived:
        raise Refused("is_archived")
    if call.me.id not in channel.members:
        raise Refused("not_in_channel")
    problems = {user: problem for user in wanted if (problem := _problem(call, channel, user))}
    errors = [{"user": u, "ok": False, "error": problem} for u, problem in problems.items()]
    force = bool(call.args.get("force"))
    if problems and not (force and len(problems) < len(set(wanted))):
        raise Refused(errors[0]["error"], errors=errors)
    for user in wanted:
        if user not in problems and user not in channel.members:
            enter(call.workspace, channel, user, call.me.id)
    answer: Object = {"channel": channel_shown(call, channel)}
    return answer | ({"errors": errors} if errors else {})


def _problem(call: Call, channel: Channel, identifier: str) -> str | None:
    user = call.workspace.users.get(identifier)
    if user is None:
        return "user_not_found"
    if identifier == call.me.id:
        return "cant_invite_self"
    if identifier in channel.members:
        return "already_in_channel"
    if user.deleted:
        return "user_disabled"
    return "ura_max_channels" if user.is_restricted and _somewhere(call, user.id) else None


def _somewhere(call: Call, user: str) -> bool:
    """Single-channel guests have had theirs."""
    channels = call.workspace.channels.values()
    return any(user in channel.members for channel in channels if not channel.is_direct)


def kick(call: Call) -> Object:
    channel, user = call.named_channel(WRITE), call.args["user"]
    if user == call.me.id:
        raise Refused("cant_kick_self")
    if channel.general:
        raise Refused("cant_kick_from_general")
    if user not in call.workspace.users:
        raise Refused("user_not_found")
    if user not in channel.members:
        raise Refused("not_in_channel")
    depart(call.workspace, channel, user)
    return {"errors": {}}


def leave(call: Call) -> Object:
    channel = call.named_channel(WRITE)
    if channel.general:
        raise Refused("cant_leave_general")
    if call.me.id not in channel.members:
        return {"not_in_channel": True}
    depart(call.workspace, channel, call.me.id)
    return {}


def depart(workspace: Workspace, channel: Channel, user: str) -> None:
    channel.members.pop(user, None)
    kind = "C" if channel.kind == "public_channel" else "G"
    event = {"type": "member_left_channel", "user": user, "channel": channel.id}
    emit(workspace, event | {"channel_type": kind, "team": workspace.id})


def of_user(call: Call) -> Object:
    """users.conversations: where someone is, the bot itself without a name."""
    kinds = call.args.get("types") or ["public_channel"]
    for kind in kinds:
        if kind not in READ:
            raise Refused("invalid_types")
        call.need(READ[kind])
    user = call.args.get("user", call.me.id)
    if user not in call.workspace.users:
        raise Refused("user_not_found")
    hidden = bool(call.args.get("exclude_archived"))
    found, cursor = page(
        [
            channel
            for channel in call.workspace.channels.values()
            if user in channel.members
            and channel.kind in kinds
            and call.sees(channel)
            and not (hidden and channel.archived)
        ],
        "team",
        call.args.get("cursor"),
        call.args.get("limit", 100) or 100,
        1000,
    )
    shown = [channel_shown(call, channel) for channel in found]
    return {"channels": shown, "response_metadata": {"next_cursor": cursor}}
