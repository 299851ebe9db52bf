"""Seeding: a workspace with people and channels, the same every time.

    {"key": "acme", "users": 25, "people": [{"email", "name", "title"?, "admin"?, "guest"?,
     "deleted"?}], "channels": 5 or ["ops", {"name", "private"?, "members"?, "archived"?,
     "bot"?, "restriction"?}], "domain": "example.com", "app": "ATLVS", "team": "T0…",
     "scopes": […], "token": "xoxb-…", "signing_secret": "…", "client_id": "…",
     "client_secret": "…", "rotation": false, "rng": 1, "hook": "a channel's name"}

Answers with what a client needs to connect, and the path of an incoming webhook where one is
wanted. Seeding again adds.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from deployments.sandbox.slack.hooks import add_hook
from deployments.sandbox.slack.received import channels_named
from deployments.sandbox.slack.workspace import Channel, Token, User, Workspace

if TYPE_CHECKING:
    from deployments.sandbox.slack.provider import SlackSandbox

Given = dict[str, Any]
OPTIONS = frozenset(
    {"key", "users", "people", "channels", "domain", "app", "team", "scopes", "token"}
    | {"signing_secret", "client_id", "client_secret", "app_id", "rotation", "rng", "hook"}
)
APP_OPTIONS = {
    "signing_secret": "signing_secret",
    "client_id": "client_id",
    "client_secret": "client_secret",
    "app_id": "id",
    "rotation": "rotation",
}
# fmt: off
FIRST = [
    "Ada", "Ben", "Chloe", "Dev", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jamal", "Kira",
    "Leo", "Maya", "Nils", "Olga", "Priya", "Quinn", "Rosa", "Sam", "Tariq", "Uma", "Vera",
]
LAST = [
    "Abbott", "Brandt", "Castillo", "Dubois", "Eriksen", "Fischer", "Garcia", "Hughes", "Ivanov",
    "Jensen", "Kaur", "Lindqvist", "Moreau", "Nakamura", "Okafor", "Petrov", "Rossi", "Silva",
]
TITLES = ["Producer", "Stage Manager", "Rigger", "Sound Engineer", "Lighting", "Crew Chief", ""]
CHANNELS = [
    "production", "crew", "incidents", "registrations", "payments", "budget", "approvals",
    "venue-north", "venue-south", "artist-relations", "logistics", "catering",
]
# fmt: on


def sow(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> Given:
    if unknown := given.keys() - OPTIONS:
        raise ValueError(f"unknown seed option: {', '.join(sorted(unknown))}")
    for option, name in APP_OPTIONS.items():
        if option in given:
            setattr(workspace.app, name, given[option])
    before = len(workspace.users), len(workspace.channels)
    _grant(sandbox, workspace, given)
    if "team" in given:
        workspace.id = given["team"]
    _people(workspace, given)
    _channels(workspace, given.get("channels", 0))
    workspace.bot.app_id = workspace.app.id
    workspace.bot_profile |= {"app_id": workspace.app.id, "team_id": workspace.id}
    made: Given = {
        "users": len(workspace.users) - before[0],
        "channels": len(workspace.channels) - before[1],
    }
    if "hook" in given:
        made["hook"] = add_hook(workspace, channels_named(workspace, given["hook"])[0])
    return connection(sandbox, workspace) | made


def _grant(sandbox: SlackSandbox, workspace: Workspace, given: Given) -> None:
    if "token" in given:
        sandbox.grants.add(Token(given["token"], workspace))
    if "scopes" in given:
        for token in sandbox.grants.of(workspace):
            token.scopes = tuple(given["scopes"])


def connection(sandbox: SlackSandbox, workspace: Workspace) -> Given:
    app = workspace.app
    living = [token.value for token in sandbox.grants.of(workspace) if token.state == "live"]
    return {
        "team_id": workspace.id,
        "team": workspace.name,
        "token": living[-1] if living else None,
        "bot_user_id": workspace.bot.id,
        "bot_id": workspace.bot.bot_id,
        "app_id": app.id,
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "signing_secret": app.signing_secret,
        "verification_token": app.verification_token,
    }


def _people(workspace: Workspace, given: Given) -> None:
    domain = given.get("domain", "example.com")
    rng = random.Random(f"{workspace.name}/{given.get('rng', 1)}")  # noqa: S311  repeatable samples
    start = len(workspace.users)
    for number in range(start, start + int(given.get("users", 0))):
        first, last = rng.choice(FIRST), rng.choice(LAST)
        name = f"{first}.{last}.{number}".lower()
        user = workspace.add_user(name, f"{first} {last}", f"{name}@{domain}")
        user.title = rng.choice(TITLES)
    for person in given.get("people", ()):
        add_person(workspace, person)


def add_person(workspace: Workspace, person: Given) -> User:
    email: str = person["email"]
    name = email.partition("@")[0].lower()
    user = workspace.add_user(name, person.get("name") or name, email)
    user.title = person.get("title", "")
    user.is_admin = bool(person.get("admin"))
    user.is_restricted = bool(person.get("guest"))
    user.deleted = bool(person.get("deleted"))
    return user


def _channels(workspace: Workspace, wanted: Any) -> None:
    if isinstance(wanted, int):
        first = sum(not channel.is_direct for channel in workspace.channels.values()) - 2
        wanted = [_channel_name(number) for number in range(first, first + wanted)]
    for each in wanted:
        add_channel(workspace, {"name": each} if isinstance(each, str) else each)


def _channel_name(number: int) -> str:
    name = CHANNELS[number % len(CHANNELS)]
    return name if number < len(CHANNELS) else f"{name}-{number // len(CHANNELS) + 1}"


def add_channel(workspace: Workspace, given: Given) -> Channel:
    """`members` are ids or e-mail addresses; the bot is let in unless `bot` is false."""
    kind = "private_channel" if given.get("private") else "public_channel"
    channel = workspace.add_channel(given["name"], workspace.owner.id, kind)
    for member in given.get("members", ()):
        user = workspace.users.get(member) or workspace.by_email[member.lower()]
        channel.members[user.id] = None
    if given.get("bot", True):
        channel.members[workspace.bot.id] = None
    channel.archived = bool(given.get("archived"))
    channel.restriction = given.get("restriction")
    return channel
