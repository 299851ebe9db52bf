"""Unsubscribe groups, and who has left them.

https://www.twilio.com/docs/sendgrid/api-reference/suppressions-unsubscribe-groups
"""

from __future__ import annotations

from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.call import Call, Object, Reply
from deployments.sandbox.sendgrid.errors import not_found, refusal
from deployments.sandbox.sendgrid.shapes import Shape, checked
from deployments.sandbox.sendgrid.suppressions import recipients_in

SHAPE: Shape = {"name": "string", "description": "string", "is_default": "boolean"}
LONGEST = {"name": 30, "description": 100}
MOST = 200


def create_group(call: Call) -> Reply:
    given = _given(call)
    for name in LONGEST:
        if not given.get(name):
            raise refusal(400, f"{name} is required", name)
    if len(call.account.groups) >= MOST:
        raise refusal(400, f"you may have at most {MOST} unsubscribe groups")
    return 201, add_group(call.account, given)


def add_group(account: Account, given: Object) -> Object:
    number = given.get("id") or max(account.groups, default=14_000) + 1
    group = {
        "id": number,
        "name": given["name"],
        "description": given.get("description") or given["name"],
        "is_default": given.get("is_default", False),
    }
    account.groups[number] = group
    account.suppressions.groups.setdefault(number, {})
    return group


def list_groups(call: Call) -> Reply:
    wanted = call.query.get("id")
    return 200, [
        _counted(call.account, each)
        for each in call.account.groups.values()
        if wanted is None or str(each["id"]) in wanted.split(",")
    ]


def retrieve_group(call: Call) -> Reply:
    return 200, _counted(call.account, _group(call))


def update_group(call: Call) -> Reply:
    group = _group(call)
    group |= _given(call)
    return 201, _counted(call.account, group)


def delete_group(call: Call) -> Reply:
    number = _group(call)["id"]
    del call.account.groups[number]
    call.account.suppressions.groups.pop(number, None)
    return 204, None


def list_left(call: Call) -> Reply:
    return 200, list(call.account.suppressions.groups[_group(call)["id"]])


def leave(call: Call) -> Reply:
    left = call.account.suppressions.groups[_group(call)["id"]]
    emails = recipients_in(call)
    for email in emails:
        left.setdefault(email.lower(), call.account.seconds())
    return 201, {"recipient_emails": emails}


def rejoin(call: Call) -> Reply:
    call.account.suppressions.groups[_group(call)["id"]].pop(call.path["email"].lower(), None)
    return 204, None


def groups_of(call: Call) -> Reply:
    """Every group, and whether this address has left it."""
    email = call.path["email"].lower()
    left = call.account.suppressions.groups
    return 200, {
        "suppressions": [
            each | {"suppressed": email in left[each["id"]]}
            for each in call.account.groups.values()
        ]
    }


def _given(call: Call) -> Object:
    given = checked(SHAPE, call.fields())
    for name, most in LONGEST.items():
        if len(given.get(name, "")) > most:
            raise refusal(400, f"{name} must be at most {most} characters long", name)
    return given


def _group(call: Call) -> Object:
    number = call.path["group_id"]
    group = call.account.groups.get(int(number)) if number.isdigit() else None
    if group is None:
        raise not_found("resource not found")
    return group


def _counted(account: Account, group: Object) -> Object:
    return group | {"unsubscribes": len(account.suppressions.groups[group["id"]])}
