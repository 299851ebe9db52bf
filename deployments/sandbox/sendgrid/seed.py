"""Seeding: an account with senders, templates, groups and a past of suppressions.

    {"key": "SG.…", "senders": ["noreply@example.com"], "domains": ["example.org"],
     "templates": [{"name": "Receipt", "generation": "dynamic",
                    "versions": [{"subject": "Hi {{name}}", "html_content": "…"}]}],
     "groups": [{"name": "Reminders"}], "ip_pools": [], "subusers": [],
     "webhooks": [{"url": "http://127.0.0.1:1/hook", "signed": true}],
     "bounces": 1000, "blocks": 0, "spam_reports": ["a@example.net"], "invalid_emails": 0,
     "unsubscribes": 0, "days": 90, "rng": 1}

A suppression list is a number of made-up addresses, or the addresses. A webhook takes every event
unless it says otherwise.
"""

from __future__ import annotations

import random
from typing import Any

from deployments.sandbox.sendgrid.account import Account, Object
from deployments.sandbox.sendgrid.groups import add_group
from deployments.sandbox.sendgrid.journey import BLOCK, BOUNCE
from deployments.sandbox.sendgrid.standing import add_sender
from deployments.sandbox.sendgrid.suppressed import LISTS
from deployments.sandbox.sendgrid.templates import add_template
from deployments.sandbox.sendgrid.webhooks import FLAGS, add_webhook

DAY = 86_400
MORE: dict[str, Object] = {
    "bounces": {"reason": BOUNCE[0], "status": BOUNCE[1]},
    "blocks": {"reason": BLOCK[0], "status": BLOCK[1]},
    "spam_reports": {"ip": "203.0.113.24"},
    "invalid_emails": {"reason": "Mail domain mentioned in email address is unknown"},
}
OPTIONS = frozenset(
    {"key", "senders", "domains", "templates", "groups", "ip_pools", "subusers", "webhooks"}
    | {"days", "rng", *LISTS}
)


def sow(account: Account, given: dict[str, Any]) -> Object:
    """Answers with the ids of what it made, and how many suppressions."""
    if unknown := given.keys() - OPTIONS:
        raise ValueError(f"unknown seed option: {', '.join(sorted(unknown))}")
    for email in given.get("senders", ()):
        add_sender(account, email)
    account.domains |= set(given.get("domains", ()))
    account.ip_pools |= set(given.get("ip_pools", ()))
    account.subusers |= set(given.get("subusers", ()))
    return {
        "templates": {
            each["name"]: add_template(account, {"generation": "dynamic"} | each)["id"]
            for each in given.get("templates", ())
        },
        "groups": {
            each["name"]: add_group(account, each)["id"] for each in given.get("groups", ())
        },
        "webhooks": [_webhook(account, each) for each in given.get("webhooks", ())],
        **_suppressions(account, given),
    }


def _webhook(account: Account, given: Object) -> Object:
    fields = {name: each for name, each in given.items() if name != "signed"}
    everything = {"enabled": True, "account_status_change": True} | dict.fromkeys(FLAGS, True)
    webhook = add_webhook(account, everything | fields)
    webhook.signed = given.get("signed", True)
    return {"id": webhook.id, "public_key": webhook.public_key}


def _suppressions(account: Account, given: Object) -> dict[str, int]:
    rng = random.Random(given.get("rng", 1))  # noqa: S311  the same seed, the same past
    span = int(given.get("days", 90)) * DAY
    made: dict[str, int] = {}
    for name in LISTS:
        wanted = given.get(name, ())
        if isinstance(wanted, int):
            word = name.rstrip("s")
            wanted = [f"{word}{number}@example.net" for number in range(1, wanted + 1)]
        for email in wanted:
            created = account.seconds() - rng.randrange(1, max(2, span))
            account.suppressions.add(name, email, created, **MORE.get(name, {}))
        made[name] = len(wanted)
    return made
