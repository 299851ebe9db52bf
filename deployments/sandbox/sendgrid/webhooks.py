"""Event webhooks: where events go, which ones, and whether signed.

https://www.twilio.com/docs/sendgrid/api-reference/webhooks
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.call import Call, Object, Reply
from deployments.sandbox.sendgrid.errors import Refused
from deployments.sandbox.sendgrid.shapes import Shape, checked
from deployments.sandbox.sendgrid.webhook import Webhook

FLAGS = (
    "group_resubscribe",
    "delivered",
    "group_unsubscribe",
    "spam_report",
    "bounce",
    "deferred",
    "unsubscribe",
    "processed",
    "open",
    "click",
    "dropped",
)
TEXTS = ("friendly_name", "oauth_client_id", "oauth_token_url")
SHAPE: Shape = {
    "url": "string",
    "oauth_client_secret": "string",
    "account_status_change": "boolean",
    **dict.fromkeys(["enabled", *FLAGS], "boolean"),
    **dict.fromkeys(TEXTS, "string"),
}


def create_webhook(call: Call) -> Reply:
    account, given = call.account, _given(call)
    _check_url(account, given)
    if len(account.webhooks) >= account.settings.max_webhooks:
        raise _refused(
            400, "You have reached the maximum number of webhooks per your current billing plan."
        )
    return 201, _without_status(add_webhook(account, given).shown)


def add_webhook(account: Account, given: Object) -> Webhook:
    now = _time(account)
    shown = {
        "enabled": False,
        "account_status_change": False,
        **dict.fromkeys(FLAGS, False),
        **dict.fromkeys(TEXTS),
        "id": account.ids.uuid(),
        "created_date": now,
        "updated_date": now,
    }
    webhook = Webhook(shown | _kept(given), account.name)
    account.webhooks[webhook.id] = webhook
    return webhook


def list_webhooks(call: Call) -> Reply:
    shown = [_shown(call, each, dates=True) for each in call.account.webhooks.values()]
    return 200, {"max_allowed": call.account.settings.max_webhooks, "webhooks": shown}


def retrieve_webhook(call: Call) -> Reply:
    return 200, _shown(call, _webhook(call), dates=False)


def update_webhook(call: Call) -> Reply:
    webhook, given = _webhook(call), _given(call)
    _check_url(call.account, given, webhook)
    webhook.shown |= _kept(given) | {"updated_date": _time(call.account)}
    return 200, _without_status(webhook.shown)


def delete_webhook(call: Call) -> Reply:
    del call.account.webhooks[_webhook(call).id]
    return 204, None


def retrieve_signature(call: Call) -> Reply:
    webhook = _webhook(call)
    return 200, {"id": webhook.id, "public_key": webhook.public_key}


def toggle_signature(call: Call) -> Reply:
    webhook = _webhook(call)
    webhook.signed = checked({"*enabled": "boolean"}, call.fields())["enabled"]
    return 200, {"id": webhook.id, "public_key": webhook.public_key}


def _given(call: Call) -> Object:
    given = {name: each for name, each in call.fields().items() if each is not None}
    return checked(SHAPE, given)


def _kept(given: Object) -> Object:
    return {name: each for name, each in given.items() if name != "oauth_client_secret"}


def _webhook(call: Call) -> Webhook:
    webhook = call.account.webhooks.get(call.path["id"])
    if webhook is None:
        raise _refused(404, "Invalid id provided.")
    return webhook


def _check_url(account: Account, given: Object, but: Webhook | None = None) -> None:
    url = given.get("url", "")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _refused(400, f"'{url}' is not a valid url")
    for each in account.webhooks.values():
        if each is not but and each.shown["url"] == url:
            message = f"Webhook at '{url}' already exists. Please provide a unique URL."
            raise Refused(400, {"id": each.id, "message": message, "url": url})


def _refused(status: int, message: str) -> Refused:
    return Refused(status, {"message": message})


def _shown(call: Call, webhook: Webhook, *, dates: bool) -> Object:
    shown: dict[str, Any] = webhook.shown | {"public_key": webhook.public_key}
    if not dates:
        del shown["created_date"], shown["updated_date"]
    if call.query.get("include") != "account_status_change":
        del shown["account_status_change"]
    return shown


def _without_status(shown: Object) -> Object:
    return {name: each for name, each in shown.items() if name != "account_status_change"}


def _time(account: Account) -> str:
    return datetime.fromtimestamp(account.seconds(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
