"""Which call is answered by what, and which scope it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from deployments.sandbox.sendgrid import (
    groups,
    schedule,
    standing,
    suppressions,
    templates,
    webhooks,
)
from deployments.sandbox.sendgrid.call import Call, Reply
from deployments.sandbox.sendgrid.errors import not_found, refusal
from deployments.sandbox.sendgrid.sending import send_mail

Endpoint = Callable[[Call], Reply]
RIGHT = {"GET": "read", "POST": "create", "PATCH": "update", "DELETE": "delete"}


class Route(NamedTuple):
    endpoint: Endpoint
    scope: str | None
    lane: str


class Found(NamedTuple):
    route: Route
    path: dict[str, str]


def _suppression_lists() -> dict[str, dict[str, Endpoint]]:
    made: dict[str, dict[str, Endpoint]] = {}
    for name in ("bounces", "blocks", "spam_reports", "invalid_emails"):
        made[f"suppression/{name}"] = {
            "GET": suppressions.listing(name),
            "DELETE": suppressions.clearing(name),
        }
        made[f"suppression/{name}/{{email}}"] = {
            "GET": suppressions.one(name),
            "DELETE": suppressions.deletion(name),
        }
    made["suppression/unsubscribes"] = {"GET": suppressions.listing("unsubscribes")}
    return made


# fmt: off
PATHS: dict[str, dict[str, Endpoint]] = {
    "mail/send": {"POST": send_mail},
    "mail/batch": {"POST": schedule.create_batch},
    "mail/batch/{batch_id}": {"GET": schedule.retrieve_batch},
    "user/scheduled_sends": {"GET": schedule.list_stopped, "POST": schedule.stop},
    "user/scheduled_sends/{batch_id}": {
        "GET": schedule.retrieve_stopped,
        "PATCH": schedule.change_stopped,
        "DELETE": schedule.resume,
    },
    "scopes": {"GET": standing.list_scopes},
    "user/account": {"GET": standing.show_account},
    "user/credits": {"GET": standing.show_credits},
    "user/username": {"GET": standing.show_username},
    "verified_senders": {"GET": standing.list_senders},
    "verified_senders/steps_completed": {"GET": standing.steps_completed},
    "whitelabel/domains": {"GET": standing.list_domains},
    "templates": {"GET": templates.list_templates, "POST": templates.create_template},
    "templates/{template_id}": {
        "GET": templates.retrieve_template,
        "PATCH": templates.update_template,
        "DELETE": templates.delete_template,
    },
    "templates/{template_id}/versions": {"POST": templates.create_version},
    "asm/groups": {"GET": groups.list_groups, "POST": groups.create_group},
    "asm/groups/{group_id}": {
        "GET": groups.retrieve_group,
        "PATCH": groups.update_group,
        "DELETE": groups.delete_group,
    },
    "asm/groups/{group_id}/suppressions": {"GET": groups.list_left, "POST": groups.leave},
    "asm/groups/{group_id}/suppressions/{email}": {"DELETE": groups.rejoin},
    "asm/suppressions/global": {"POST": suppressions.unsubscribe_globally},
    "asm/suppressions/global/{email}": {
        "GET": suppressions.retrieve_global,
        "DELETE": suppressions.resubscribe_globally,
    },
    "asm/suppressions/{email}": {"GET": groups.groups_of},
    **_suppression_lists(),
    "user/webhooks/event/settings": {"POST": webhooks.create_webhook},
    "user/webhooks/event/settings/all": {"GET": webhooks.list_webhooks},
    "user/webhooks/event/settings/signed/{id}": {
        "GET": webhooks.retrieve_signature,
        "PATCH": webhooks.toggle_signature,
    },
    "user/webhooks/event/settings/{id}": {
        "GET": webhooks.retrieve_webhook,
        "PATCH": webhooks.update_webhook,
        "DELETE": webhooks.delete_webhook,
    },
}
# The area of a path's scopes, where it is not the path itself.
AREAS = {
    "templates/{template_id}/versions": "templates.versions",
    "asm/suppressions/{email}": "asm.groups.suppressions",
    "whitelabel/domains": "whitelabel",
    "user/webhooks/event/settings/all": "user.webhooks.event.settings",
    "user/webhooks/event/settings/signed/{id}": "user.webhooks.event.settings",
}
# fmt: on
UNSCOPED = frozenset({"scopes", "verified_senders", "verified_senders/steps_completed"})


def _scope(method: str, path: str) -> str | None:
    if path in UNSCOPED:
        return None
    if path == "mail/send":
        return "mail.send"
    plain = re.sub(r"/\{\w+\}", "", path).replace("/", ".")
    return f"{AREAS.get(path, plain)}.{RIGHT[method]}"


def _route(method: str, path: str, endpoint: Endpoint) -> Route:
    lane = "sends" if path == "mail/send" else "reads" if method == "GET" else "writes"
    return Route(endpoint, _scope(method, path), lane)


TABLE: list[tuple[re.Pattern[str], dict[str, Route]]] = [
    (
        re.compile("^/v3/" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$"),
        {method: _route(method, path, endpoint) for method, endpoint in methods.items()},
    )
    for path, methods in PATHS.items()
]


def find(method: str, path: str) -> Found:
    for pattern, methods in TABLE:
        found = pattern.match(path)
        if found is None:
            continue
        if method not in methods:
            raise refusal(405, "method not allowed")
        return Found(methods[method], found.groupdict())
    raise not_found()
