"""Incoming webhooks: an address that posts into one channel. Whoever knows it may post.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

from deployments.sandbox.slack.call import Call
from deployments.sandbox.slack.chat import composed
from deployments.sandbox.slack.errors import Refused
from deployments.sandbox.slack.messages import keep
from deployments.sandbox.slack.workspace import Channel, Token, Workspace
from deployments.sandbox.wire import Answer, Request

if TYPE_CHECKING:
    from deployments.sandbox.slack.provider import SlackSandbox

PREFIX = "/services/"
TEXT = {"content-type": "text/html; charset=utf-8"}
TAKEN = frozenset(
    {"text", "blocks", "attachments", "thread_ts", "mrkdwn", "unfurl_links", "unfurl_media"}
    | {"username", "icon_emoji", "icon_url", "channel", "response_type", "link_names"}
)
STATUS = {
    "no_service": 404,
    "channel_not_found": 404,
    "action_prohibited": 403,
    "channel_is_archived": 410,
    "ratelimited": 429,
}


def add_hook(workspace: Workspace, channel: Channel) -> str:
    """The path of a new webhook into a channel."""
    path = f"{PREFIX}{workspace.id}/{workspace.ids.new('B')}/{workspace.ids.word(24)}"
    workspace.hooks[path] = channel.id
    return path


def posted(sandbox: SlackSandbox, request: Request) -> Answer:
    """`ok`, or why not, in plain text."""
    try:
        workspace, channel = _found(sandbox, request.path)
        request.noted.account = workspace.name
        given = _read(request)
        request.noted.params = given
        _post(sandbox, workspace, channel, given)
    except Refused as refusal:
        status = STATUS.get(refusal.error, 400)
        return Answer(status, refusal.error.encode(), TEXT | refusal.headers)
    return Answer(200, b"ok", dict(TEXT))


def _found(sandbox: SlackSandbox, path: str) -> tuple[Workspace, Channel]:
    for workspace in sandbox.workspaces.values():
        if path in workspace.hooks:
            if not workspace.installed:
                raise Refused("no_service")
            channel = workspace.channels.get(workspace.hooks[path])
            if channel is None:
                raise Refused("channel_not_found")
            return workspace, channel
    raise Refused("no_service")


def _read(request: Request) -> dict[str, Any]:
    """JSON, or a form with JSON in `payload`."""
    body = request.body
    if "x-www-form-urlencoded" in request.headers.get("content-type", ""):
        body = dict(parse_qsl(body.decode("utf-8", "replace"))).get("payload", "").encode()
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused("invalid_payload") from error
    if not isinstance(given, dict) or given.keys() - TAKEN:
        raise Refused("invalid_payload")
    return given


def _post(
    sandbox: SlackSandbox, workspace: Workspace, channel: Channel, given: dict[str, Any]
) -> None:
    if channel.archived:
        raise Refused("channel_is_archived")
    if channel.restriction == "read_only":
        raise Refused("action_prohibited")
    message = composed(Call(sandbox, Token("", workspace), given), channel)
    sandbox.limits.post(workspace.id, channel.id)
    message.ts = workspace.stamp()
    workspace.posted += 1
    if not sandbox.losses.takes(workspace.name, channel.id, message.text):
        keep(channel, message)
