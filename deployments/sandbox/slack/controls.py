"""Controls of the simulated Slack, under `/_sandbox/slack/…`.

`key` names the workspace: its name, its id, or one of its tokens. Without one, the only there is.

seed       people, channels, credentials                                      POST
act        {"action": …}: what the outside world does (acts.ACTS)             POST
received   what arrived, with those who could see it                          GET
counts     who got how many, `by` what                                        GET
object     a user, channel, message (`C0…:ts`) or the workspace               GET …/object/{id}
settings   of the app and the workspace; `strict_arguments`, `consent`        GET, POST
lose       messages that are answered for and never arrive                    POST
emit       any event, by hand: {"event": {…}}                                 POST
tokens     what was given out, and what it is worth now                       GET
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployments.sandbox.provider import Control
from deployments.sandbox.slack import received
from deployments.sandbox.slack.acts import ACTS
from deployments.sandbox.slack.events import emit, handshake
from deployments.sandbox.slack.messages import message_shown
from deployments.sandbox.slack.people import View, user_shown
from deployments.sandbox.slack.seed import connection, sow
from deployments.sandbox.slack.workspace import Workspace

if TYPE_CHECKING:
    from deployments.sandbox.slack.provider import SlackSandbox

Given = dict[str, Any]
APP = frozenset(
    {"events_url", "interactivity_url", "events", "redirect_urls", "rotation", "distributed"}
    | {"signing_secret", "client_secret"}
)


class Steering:
    def __init__(self, sandbox: SlackSandbox) -> None:
        self.sandbox = sandbox
        self.controls: Mapping[str, Control] = {
            "seed": self.seed,
            "act": self.act,
            "received": lambda given: received.received(self._workspace(given), given),
            "counts": lambda given: received.counts(self._workspace(given), given),
            "object": self.object,
            "settings": self.settings,
            "lose": self.lose,
            "emit": self.emit,
            "tokens": self.tokens,
        }

    def _workspace(self, given: Given) -> Workspace:
        key = given.pop("key", None)
        sandbox = self.sandbox
        if key is None:
            if len(sandbox.workspaces) > 1:
                raise LookupError("`key` names the workspace: there are several")
            return next(iter(sandbox.workspaces.values()), None) or sandbox.workspace("sandbox")
        if key.startswith("xox"):
            known = sandbox.grants.tokens.get(key)
            return known.workspace if known else sandbox.token(key).workspace
        by_id = (w for w in sandbox.workspaces.values() if w.id == key)
        return next(by_id, None) or sandbox.workspace(key)

    def seed(self, given: Given) -> Given:
        given = dict(given)
        key, app = given.get("key"), given.get("app")
        if app and key and not key.startswith("xox"):
            self.sandbox.workspace(key, app)
        elif key and key.startswith("xox") and key not in self.sandbox.grants.tokens:
            given |= {"token": key, "key": given.get("team") or key.rpartition("-")[2].lower()}
        return sow(self.sandbox, self._workspace(given), given)

    def act(self, given: Given) -> Given:
        workspace = self._workspace(given)
        action = given.pop("action")
        if action not in ACTS:
            raise ValueError(f"unknown action {action!r}; one of {', '.join(ACTS)}")
        return ACTS[action](self.sandbox, workspace, given)

    def object(self, given: Given) -> Given:
        workspace = self._workspace(given)
        wanted, _, ts = str(given.get("id", "")).partition(":")
        if user := workspace.users.get(wanted):
            return user_shown(user, workspace.id, View(emails=True))
        if channel := workspace.channels.get(wanted):
            if ts:
                message = channel.messages[ts]
                return message_shown(workspace, message, metadata=True, channel=channel)
            names = ("id", "name", "kind", "created", "creator", "archived", "opened", "topic")
            shown = {name: getattr(channel, name) for name in names}
            return shown | {"members": list(channel.members), "messages": len(channel.messages)}
        if wanted in ("", workspace.id):
            return connection(self.sandbox, workspace) | {
                "installed": workspace.installed,
                "users": len(workspace.users),
                "channels": len(workspace.channels),
                "posted": workspace.posted,
            }
        raise LookupError(f"nothing with the id {wanted}")

    async def settings(self, given: Given) -> Given:
        """`events_url` must answer the challenge, unless `verify` is false."""
        workspace = self._workspace(given)
        app = workspace.app
        verify = given.pop("verify", True)
        if (url := given.get("events_url")) and verify:
            await handshake(app, url, workspace.ids.word(52))
        if "consent" in given:
            self.sandbox.grants.denying = given.pop("consent") == "deny"
        if "strict_arguments" in given:
            self.sandbox.strict = bool(given.pop("strict_arguments"))
        if "message_limit" in given:
            workspace.message_limit = given.pop("message_limit")
        if unknown := given.keys() - APP:
            raise ValueError(f"unknown setting: {', '.join(sorted(unknown))}")
        for name, value in given.items():
            setattr(app, name, value)
        shown = {name: getattr(app, name) for name in sorted(APP)}
        return shown | {
            "consent": "deny" if self.sandbox.grants.denying else "approve",
            "strict_arguments": self.sandbox.strict,
            "message_limit": workspace.message_limit,
        }

    def lose(self, given: Given) -> list[Given]:
        workspace = self._workspace(given)
        if given.pop("clear", False):
            self.sandbox.losses.clear()
        if given:
            self.sandbox.losses.add(workspace.name, given)
        return self.sandbox.losses.shown()

    def emit(self, given: Given) -> Given:
        workspace = self._workspace(given)
        event = given["event"]
        return {"event_id": emit(workspace, event, given.get("subscription"))}

    def tokens(self, given: Given) -> list[Given]:
        return [
            {
                "token": token.value,
                "state": token.state,
                "scopes": list(token.scopes),
                "expires_at": token.expires_at,
            }
            for token in self.sandbox.grants.of(self._workspace(given))
        ]
