"""The workspace itself, and whose token this is.

https://docs.slack.dev/reference/methods/auth.test
"""

from __future__ import annotations

from typing import Any

from deployments.sandbox.slack.call import Call
from deployments.sandbox.slack.errors import Refused

Object = dict[str, Any]


def auth_test(call: Call) -> Object:
    workspace = call.workspace
    shown: Object = {
        "url": workspace.url,
        "team": workspace.name,
        "user": call.me.name,
        "team_id": workspace.id,
        "user_id": call.me.id,
        "bot_id": call.me.bot_id,
        "is_enterprise_install": False,
    }
    if call.token.expires_at is not None:
        shown["expires_in"] = int(call.token.expires_at - workspace.clock.now())
    return shown


def team_info(call: Call) -> Object:
    workspace = call.workspace
    if call.args.get("team") not in (None, workspace.id):
        raise Refused("team_not_found")
    icon = {f"image_{size}": f"https://a.slack-edge.com/team_{size}.png" for size in (34, 68, 132)}
    return {
        "team": {
            "id": workspace.id,
            "name": workspace.name,
            "url": workspace.url,
            "domain": workspace.name.lower(),
            "email_domain": "",
            "icon": icon | {"image_default": True},
        }
    }
