"""Messages for later.

https://docs.slack.dev/reference/methods/chat.scheduleMessage
"""

from __future__ import annotations

from typing import Any

from deployments.sandbox.slack.call import Call
from deployments.sandbox.slack.chat import composed, destination
from deployments.sandbox.slack.errors import Refused
from deployments.sandbox.slack.events import tell_of_message
from deployments.sandbox.slack.messages import keep, message_shown
from deployments.sandbox.slack.pages import page
from deployments.sandbox.slack.workspace import Workspace

Object = dict[str, Any]
FURTHEST = 120 * 86_400
# A planned message can no longer be taken back in its last minute.
FIXED = 60


def schedule_message(call: Call) -> Object:
    workspace, channel, at = call.workspace, destination(call), call.args["post_at"]
    if at <= workspace.seconds():
        raise Refused("time_in_past")
    if at > workspace.seconds() + FURTHEST:
        raise Refused("time_too_far")
    message = composed(call, channel)
    identifier = workspace.ids.new("Q")
    workspace.scheduled[identifier] = (channel, at, message)
    shown = message_shown(workspace, message)
    kept = ("type", "text", "bot_id", "user", "team", "bot_profile", "blocks")
    return {
        "channel": channel.id,
        "scheduled_message_id": identifier,
        "post_at": at,
        "message": {name: shown[name] for name in kept if name in shown},
    }


def delete_scheduled(call: Call) -> Object:
    known = call.workspace.scheduled.get(call.args["scheduled_message_id"])
    if known is None or known[0].id != call.args["channel"]:
        raise Refused("invalid_scheduled_message_id")
    if known[1] - call.workspace.seconds() < FIXED:
        raise Refused("invalid_scheduled_message_id")
    del call.workspace.scheduled[call.args["scheduled_message_id"]]
    return {}


def list_scheduled(call: Call) -> Object:
    wanted = call.args.get("channel")
    everything = [
        {
            "id": identifier,
            "channel_id": channel.id,
            "post_at": at,
            "date_created": call.workspace.seconds(),
            "text": message.text,
        }
        for identifier, (channel, at, message) in call.workspace.scheduled.items()
        if wanted in (None, channel.id)
    ]
    limit = call.args.get("limit", 100)
    found, cursor = page(everything, "scheduled", call.args.get("cursor"), limit, 1000)
    return {"scheduled_messages": found, "response_metadata": {"next_cursor": cursor}}


def send_due(workspace: Workspace) -> None:
    """Post what has come due; what cannot be posted any more is dropped, as the service does."""
    now = workspace.seconds()
    for identifier, (channel, at, message) in sorted(
        workspace.scheduled.items(), key=lambda item: item[1][1]
    ):
        if at > now:
            break
        del workspace.scheduled[identifier]
        if workspace.installed and not channel.archived and channel.id in workspace.channels:
            message.ts = workspace.stamp()
            keep(channel, message)
            tell_of_message(workspace, channel, message)
