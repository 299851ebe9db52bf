"""A simulated workspace as tests use it; every request and answer is held to the description."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import requests
from sandbox_client import Sandbox
from slack_description import check_answer, check_request, is_described

Object = dict[str, Any]
JSON = "application/json;charset=utf-8"


class Workspace:
    """One workspace, the app in it, and its token."""

    def __init__(self, sandbox: Sandbox, name: str, **wanted: Any) -> None:
        self.sandbox = sandbox
        self.name = name
        self.made = sandbox.control("POST", "slack/seed", {"key": name, **wanted})
        self.token: str = self.made["token"]
        self.session = requests.Session()

    @property
    def base(self) -> str:
        return f"{self.sandbox.base('slack')}/api/"

    def control(self, method: str, path: str, **given: Any) -> Any:
        if method == "GET":
            return self.sandbox.control("GET", f"slack/{path}", key=self.name, **given)
        return self.sandbox.control("POST", f"slack/{path}", {"key": self.name, **given})

    def act(self, action: str, **given: Any) -> Any:
        return self.control("POST", "act", action=action, **given)

    def received(self, **wanted: Any) -> list[Object]:
        return self.control("GET", "received", **wanted)

    def counts(self, **wanted: Any) -> Object:
        return self.control("GET", "counts", **wanted)

    def limits(self, **lanes: Any) -> None:
        given = {"provider": "slack", "caller": self.made["team_id"], **lanes}
        self.sandbox.control("POST", "limits", given)

    def attempts(self) -> list[Object]:
        return self.sandbox.control("GET", "webhooks", account=self.name)["attempts"]

    def user(self, email: str) -> str:
        return self("users.lookupByEmail", email=email)["user"]["id"]

    def channel(self, name: str) -> str:
        asked = {"types": "public_channel,private_channel", "limit": "1000"}
        found = self("conversations.list", **asked)["channels"]
        return next(each["id"] for each in found if each["name"] == name)

    def ask(self, method: str, token: str | None = None, **given: Any) -> requests.Response:
        """Posting goes as JSON, all else as a form, as the SDK does it."""
        headers = {"authorization": f"Bearer {token or self.token}"}
        if method.startswith("chat.") and method != "chat.getPermalink":
            answer = self.session.post(self.base + method, json=given, headers=_json(headers))
        else:
            answer = self.session.post(self.base + method, data=given, headers=headers)
        if is_described(method):
            check_answer(method, answer.content)
        return answer

    def __call__(self, method: str, **given: Any) -> Object:
        """A call that goes well."""
        content = self.ask(method, **given).json()
        assert content["ok"], content
        if is_described(method):
            check_request(method, given)
        return content

    def refused(self, method: str, **given: Any) -> str:
        content = self.ask(method, **given).json()
        assert not content["ok"], content
        return content["error"]


def _json(headers: dict[str, str]) -> dict[str, str]:
    return headers | {"content-type": JSON}


PEOPLE = [
    {"email": "ada@example.com", "name": "Ada Weber"},
    {"email": "ben@example.com", "name": "Ben Okafor"},
    {"email": "gone@example.com", "name": "Gone Person", "deleted": True},
    {"email": "guest@example.com", "name": "Guest Person", "guest": True},
]
CHANNELS: list[Object] = [
    {"name": "crew", "members": ["ada@example.com"]},
    {"name": "lobby", "bot": False},
    {"name": "backstage", "private": True, "bot": False},
    {"name": "budget", "private": True},
    {"name": "old-show", "archived": True},
]


def lent(sandbox: Sandbox) -> Iterator[Workspace]:
    """A workspace of one test's own, with some people and channels, and no limits."""
    workspace = Workspace(sandbox, f"w{uuid4().hex[:10]}", people=PEOPLE, channels=CHANNELS)
    workspace.limits(off=True)
    yield workspace
    sandbox.control("POST", "slack/lose", {"key": workspace.name, "clear": True})
