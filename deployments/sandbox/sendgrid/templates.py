"""Transactional templates, legacy and dynamic, with their versions.

https://www.twilio.com/docs/sendgrid/api-reference/transactional-templates
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from datetime import UTC, datetime

from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.call import Call, Object, Reply
from deployments.sandbox.sendgrid.errors import Refused, not_found
from deployments.sandbox.sendgrid.ids import base64url
from deployments.sandbox.sendgrid.shapes import Shape, checked

GENERATIONS = {
    "legacy": {"legacy"},
    "dynamic": {"dynamic"},
    "legacy,dynamic": {"legacy", "dynamic"},
}
LARGEST_PAGE = 200
BODIES = frozenset({"html_content", "plain_content"})
VERSION: Shape = {
    "*name": "string",
    "subject": "string",
    "active": "integer",
    "html_content": "string",
    "plain_content": "string",
    "generate_plain_content": "boolean",
    "editor": "string",
    "test_data": "string",
}


def list_templates(call: Call) -> Reply:
    """Without `generations` only legacy ones are listed: a trap, and a true one."""
    generations = GENERATIONS.get(call.query.get("generations", "legacy"))
    if generations is None:
        raise _refused("generations must be legacy, dynamic or legacy,dynamic")
    size = call.query.get("page_size", "")
    if not size.isdigit() or not 1 <= int(size) <= LARGEST_PAGE:
        raise _refused(f"page_size must be between 1 and {LARGEST_PAGE}")
    found = [t for t in call.account.templates.values() if t["generation"] in generations]
    start = _place(call.query.get("page_token"))
    page = found[start : start + int(size)]
    return 200, {"result": [_lean(each) for each in page], "_metadata": _metadata(call, len(found))}


def create_template(call: Call) -> Reply:
    given = checked({"*name": "string", "generation": "string"}, call.fields())
    if not 0 < len(given["name"]) <= 100:
        raise _refused("name must be between 1 and 100 characters long")
    if given.get("generation", "legacy") not in ("legacy", "dynamic"):
        raise _refused("generation must be legacy or dynamic")
    return 201, add_template(call.account, given)


def add_template(account: Account, given: Object) -> Object:
    generation = given.get("generation", "legacy")
    template = {
        "id": given.get("id") or account.ids.template(generation),
        "name": given["name"],
        "generation": generation,
        "updated_at": _time(account),
        "versions": [],
    }
    account.templates[template["id"]] = template
    for version in given.get("versions", ()):
        add_version(account, template, version)
    return template


def add_version(account: Account, template: Object, given: Object) -> Object:
    """The first version is active, and a new active one puts the others to rest."""
    active = given.get("active", 0 if template["versions"] else 1)
    if active:
        for each in template["versions"]:
            each["active"] = 0
    version = {
        "id": account.ids.uuid(),
        "template_id": template["id"],
        "active": active,
        "name": given.get("name", template["name"]),
        "subject": given.get("subject", ""),
        "updated_at": _time(account),
        "generate_plain_content": given.get("generate_plain_content", True),
        "html_content": given.get("html_content", ""),
        "plain_content": given.get("plain_content", ""),
        "editor": given.get("editor", "code"),
    }
    template["versions"].append(version)
    return version


def retrieve_template(call: Call) -> Reply:
    return 200, _template(call)


def update_template(call: Call) -> Reply:
    template = _template(call)
    template |= checked({"name": "string"}, call.fields()) | {"updated_at": _time(call.account)}
    return 200, template


def delete_template(call: Call) -> Reply:
    del call.account.templates[_template(call)["id"]]
    return 204, None


def create_version(call: Call) -> Reply:
    return 201, add_version(call.account, _template(call), checked(VERSION, call.fields()))


def _template(call: Call) -> Object:
    template = call.account.templates.get(call.path["template_id"])
    if template is None:
        raise not_found("template not found")
    return template


def _lean(template: Object) -> Object:
    versions = [
        {name: value for name, value in each.items() if name not in BODIES}
        for each in template["versions"]
    ]
    return template | {"versions": versions}


def _place(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError as error:
        raise _refused("page_token is invalid") from error


def _metadata(call: Call, count: int) -> Object:
    start, size = _place(call.query.get("page_token")), int(call.query["page_size"])
    metadata: Object = {"self": _link(call, start), "count": count}
    if start > 0:
        metadata["prev"] = _link(call, max(0, start - size))
    if start + size < count:
        metadata["next"] = _link(call, start + size)
    return metadata


def _link(call: Call, start: int) -> str:
    generations = call.query.get("generations", "legacy")
    query = f"generations={generations}&page_size={call.query['page_size']}"
    token = f"&page_token={base64url(str(start).encode())}" if start else ""
    return f"https://api.sendgrid.com/v3/templates?{query}{token}"


def _time(account: Account) -> str:
    return datetime.fromtimestamp(account.seconds(), UTC).strftime("%Y-%m-%d %H:%M:%S")


def _refused(message: str) -> Refused:
    return Refused(400, {"message": message})
