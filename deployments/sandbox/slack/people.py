"""The members of a workspace.

https://docs.slack.dev/reference/objects/user-object
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from deployments.sandbox.slack.call import Call
from deployments.sandbox.slack.errors import Refused, missing
from deployments.sandbox.slack.pages import page
from deployments.sandbox.slack.workspace import User

Object = dict[str, Any]
SIZES = (24, 32, 48, 72, 192, 512)
# Above this many members a page size must be given.
UNPAGED = 10_000


@dataclass(frozen=True, slots=True)
class View:
    """How much of a user a caller may see."""

    emails: bool
    locale: bool = False


def user_shown(user: User, team: str, view: View) -> Object:
    shown: Object = {
        "id": user.id,
        "team_id": team,
        "name": user.name,
        "deleted": user.deleted,
        "profile": _profile(user, team, view),
        "is_bot": user.is_bot,
        "is_app_user": False,
        "updated": user.updated,
    }
    if user.deleted:  # the service leaves the rest out
        return shown
    shown |= {
        "color": hashlib.md5(user.id.encode(), usedforsecurity=False).hexdigest()[:6],
        "real_name": user.real_name,
        "tz": user.tz,
        "tz_label": "Coordinated Universal Time",
        "tz_offset": 0,
        "is_admin": user.is_admin,
        "is_owner": user.is_admin,
        "is_primary_owner": False,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_restricted,
        "is_email_confirmed": not user.is_bot,
        "who_can_share_contact_card": "EVERYONE",
    }
    if view.locale:
        shown["locale"] = "en-US"
    return shown


def _profile(user: User, team: str, view: View) -> Object:
    first, _, last = user.real_name.partition(" ")
    picture = hashlib.md5(user.name.encode(), usedforsecurity=False).hexdigest()
    profile: Object = {
        "title": user.title,
        "phone": "",
        "skype": "",
        "real_name": user.real_name,
        "real_name_normalized": user.real_name,
        "display_name": user.name,
        "display_name_normalized": user.name,
        "fields": None,
        "status_text": "",
        "status_emoji": "",
        "status_expiration": 0,
        "avatar_hash": f"g{picture[:11]}",
        "first_name": first,
        "last_name": last,
        "status_text_canonical": "",
        "team": team,
    }
    for size in SIZES:
        profile[f"image_{size}"] = f"https://secure.gravatar.com/avatar/{picture}.jpg?s={size}"
    if user.bot_id:
        profile |= {"bot_id": user.bot_id, "api_app_id": user.app_id, "always_active": True}
    elif view.emails and user.email:
        profile["email"] = user.email
    return profile


def _view(call: Call) -> View:
    return View("users:read.email" in call.scopes, bool(call.args.get("include_locale")))


def list_users(call: Call) -> Object:
    workspace, view = call.workspace, _view(call)
    limit = call.args.get("limit", 0)
    if limit == 0 and len(workspace.users) > UNPAGED:
        raise Refused("limit_required")
    everyone = list(workspace.users.values())
    found, cursor = page(everyone, "user", call.args.get("cursor"), limit or UNPAGED, 1_000_000)
    return {
        "members": [user_shown(user, workspace.id, view) for user in found],
        "cache_ts": workspace.seconds(),
        "response_metadata": {"next_cursor": cursor},
    }


def user_info(call: Call) -> Object:
    user = call.workspace.users.get(call.args["user"])
    if user is None:
        raise Refused("user_not_found")
    return {"user": user_shown(user, call.workspace.id, _view(call))}


def lookup_by_email(call: Call) -> Object:
    if not call.args["email"]:
        raise missing("email")
    user = call.workspace.by_email.get(call.args["email"].strip().lower())
    if user is None or user.deleted or user.is_bot:
        raise Refused("users_not_found")
    return {"user": user_shown(user, call.workspace.id, View(emails=True))}


def bot_info(call: Call) -> Object:
    workspace = call.workspace
    if call.args.get("bot") not in (None, workspace.bot.bot_id):
        raise Refused("bot_not_found")
    profile = workspace.bot_profile
    shown = {
        name: profile[name] for name in ("id", "deleted", "name", "updated", "app_id", "icons")
    }
    return {"bot": shown | {"user_id": workspace.bot.id}}
