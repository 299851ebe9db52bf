"""What Slack tells an app: events, and clicks on its buttons, signed and sent again.

https://docs.slack.dev/apis/events-api
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus, urlsplit

import aiohttp
import orjson

from deployments.sandbox.deliveries import Delivery, Dispatcher, is_loopback
from deployments.sandbox.slack.signing import signed_headers
from deployments.sandbox.slack.workspace import App, Channel, Message, Workspace

Object = dict[str, Any]
FORM = {"content-type": "application/x-www-form-urlencoded"}
# https://docs.slack.dev/apis/events-api/#retries
REASONS = {"TimeoutError": "http_timeout", "ClientConnectorError": "connection_failed"}
MESSAGE_EVENTS = {
    "public_channel": "message.channels",
    "private_channel": "message.groups",
    "im": "message.im",
    "mpim": "message.mpim",
}
CHANNEL_TYPES = {
    "public_channel": "channel",
    "private_channel": "group",
    "im": "im",
    "mpim": "mpim",
}
HANDSHAKE = aiohttp.ClientTimeout(total=3)


def emit(workspace: Workspace, event: Object, subscription: str | None = None) -> str | None:
    """Send an event where the app asked for its kind; answers with the event's id."""
    app = workspace.app
    if not app.events_url or (subscription or event["type"]) not in app.events:
        return None
    identifier = workspace.ids.new("Ev")
    body = orjson.dumps(
        {
            "token": app.verification_token,
            "team_id": workspace.id,
            "api_app_id": app.id,
            "event": event,
            "type": "event_callback",
            "event_id": identifier,
            "event_time": workspace.seconds(),
            "authorizations": [_authorization(workspace)],
            "is_ext_shared_channel": False,
        }
    )
    send(workspace, app.events_url, event["type"], identifier, body)
    return identifier


def _authorization(workspace: Workspace) -> Object:
    return {
        "enterprise_id": None,
        "team_id": workspace.id,
        "user_id": workspace.bot.id,
        "is_bot": True,
        "is_enterprise_install": False,
    }


def send(
    workspace: Workspace,
    url: str,
    kind: str,
    key: str,
    body: bytes,
    headers: dict[str, str] | None = None,
) -> None:
    delivery = Delivery(
        provider="slack",
        url=url,
        kind=kind,
        key=key,
        body=body,
        sign=lambda raw: signed_headers(workspace.app.signing_secret, raw) | (headers or {}),
        account=workspace.name,
    )
    dispatcher, sign = workspace.world.dispatcher, delivery.sign
    delivery.sign = lambda raw: sign(raw) | _retry(dispatcher, delivery)
    dispatcher.enqueue(delivery)


def _retry(dispatcher: Dispatcher, delivery: Delivery) -> dict[str, str]:
    """Which attempt this is, and what became of the one before."""
    if delivery.attempts < 2:
        return {}
    before = next((e for e in reversed(dispatcher.log) if e["id"] == delivery.key), None)
    outcome = before["outcome"] if before else "answered"
    if outcome == "answered":
        fine = before is not None and 200 <= (before["status"] or 0) < 300
        reason = "http_timeout" if fine else "http_error"
    else:
        reason = REASONS.get(outcome, "connection_failed")
    number = str(delivery.attempts - 1)
    return {"x-slack-retry-num": number, "x-slack-retry-reason": reason}


def tell_of_message(workspace: Workspace, channel: Channel, message: Message) -> None:
    subscription = MESSAGE_EVENTS[channel.kind]
    if subscription not in workspace.app.events or not workspace.app.events_url:
        return
    event: Object = {
        "type": "message",
        "user": message.user,
        "text": message.text,
        "ts": message.ts,
        "event_ts": message.ts,
        "channel": channel.id,
        "channel_type": CHANNEL_TYPES[channel.kind],
        "team": workspace.id,
    }
    if message.is_bot:
        event |= {"bot_id": workspace.bot.bot_id, "app_id": workspace.app.id}
    if message.thread_ts:
        event["thread_ts"] = message.thread_ts
    emit(workspace, event, subscription)


def click(workspace: Workspace, payload: Object) -> str:
    """A `block_actions` payload, as a form."""
    app = workspace.app
    if not app.interactivity_url:
        raise ValueError("the app has no interactivity_url")
    key = workspace.ids.new("It")
    body = b"payload=" + quote_plus(orjson.dumps(payload)).encode()
    send(workspace, app.interactivity_url, payload["type"], key, body, FORM)
    return key


async def handshake(app: App, url: str, challenge: str) -> None:
    """The `url_verification` that a request URL must pass before it is taken."""
    if not is_loopback(urlsplit(url).hostname):
        raise ValueError(f"{url} is not on this machine")
    body = orjson.dumps(
        {"token": app.verification_token, "challenge": challenge, "type": "url_verification"}
    )
    headers = {"content-type": "application/json", **signed_headers(app.signing_secret, body)}
    async with (
        aiohttp.ClientSession(timeout=HANDSHAKE) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as response,
    ):
        answered, status = (await response.read()).decode("utf-8", "replace"), response.status
    if status != 200 or challenge not in answered:
        raise ValueError(f"{url} answered {status} without the challenge")
