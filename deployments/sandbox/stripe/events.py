"""Events, and where they are sent.

https://docs.stripe.com/api/events · https://docs.stripe.com/api/webhook_endpoints
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused, missing
from deployments.sandbox.stripe.fields import assign, merge_metadata, no_more_than_one
from deployments.sandbox.stripe.lists import Fits
from deployments.sandbox.stripe.tables import Object, copied

KEPT = 30 * 86_400


def event_horizon(account: Account) -> int:
    """Events can be read for 30 days."""
    return account.now() - KEPT


def event_conditions(params: Object) -> Fits | None:
    no_more_than_one(params, "type", "types")
    types = [params["type"]] if "type" in params else params.get("types")
    if types and len(types) > 20:
        raise Refused(400, "You can pass at most 20 types.", param="types")
    delivered = params.get("delivery_success")
    if types is None and delivered is None:
        return None
    return lambda event: (
        (types is None or any(fnmatchcase(event["type"], each) for each in types))
        and (delivered is None or delivered == (event["pending_webhooks"] == 0))
    )


def retrieve_event(call: Call) -> Object:
    event = call.account.get("event", call.path["id"], None)
    if event["created"] < event_horizon(call.account):
        raise missing("event", event["id"])
    return event


def create_webhook_endpoint(call: Call) -> Object:
    account, params = call.account, call.params
    _check_url(account, params["url"])
    _check_events(params["enabled_events"])
    secret = "whsec_" + account.ids.word(32)
    endpoint = account.blank(
        "webhook_endpoint",
        api_version=params.get("api_version"),
        description=params.get("description") or None,
        enabled_events=params["enabled_events"],
        url=params["url"],
    )
    merge_metadata(endpoint, params)
    account.put(endpoint)
    account.hidden[endpoint["id"]] = {"secrets": [secret]}
    return endpoint | {"secret": secret}


def update_webhook_endpoint(call: Call) -> Object:
    params = call.params
    endpoint = copied(call.account.get("webhook_endpoint", call.path["webhook_endpoint"]))
    if "url" in params:
        _check_url(call.account, params["url"])
    if "enabled_events" in params:
        _check_events(params["enabled_events"])
    assign(endpoint, params, ("description", "enabled_events", "url"))
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"
    merge_metadata(endpoint, params)
    return call.account.put(endpoint)


def delete_webhook_endpoint(call: Call) -> Object:
    endpoint = call.account.get("webhook_endpoint", call.path["webhook_endpoint"])
    stub = {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}
    call.account.tables["webhook_endpoint"].delete(endpoint["id"], stub)
    return stub


def rotate_secret(account: Account, identifier: str, *, keep_old: bool = True) -> str:
    """A new secret; until the old one is dropped, deliveries are signed with both."""
    secret = "whsec_" + account.ids.word(32)
    account.get("webhook_endpoint", identifier)
    secrets = account.hidden[identifier]["secrets"]
    account.hidden[identifier]["secrets"] = [secret, *(secrets if keep_old else [])]
    return secret


def _check_url(account: Account, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused(400, f"Invalid URL: {url}", code="url_invalid", param="url")
    if account.livemode and parts.scheme != "https" and parts.hostname != "127.0.0.1":
        raise Refused(
            400, "Invalid URL: URL must use HTTPS in live mode.", code="url_invalid", param="url"
        )


def _check_events(names: list[str]) -> None:
    if not names:
        raise Refused(400, "You must enable at least one event.", param="enabled_events")
    if "*" in names and len(names) > 1:
        raise Refused(
            400,
            "You can enable all events with '*' or name some, not both.",
            param="enabled_events",
        )
