"""The door: which method, whose token, with which rights, how often, and what comes of it."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from deployments.sandbox.faults import Rule
from deployments.sandbox.provider import Control, Provider, World
from deployments.sandbox.slack.arguments import checked, read
from deployments.sandbox.slack.call import Call
from deployments.sandbox.slack.controls import Steering
from deployments.sandbox.slack.errors import Refused
from deployments.sandbox.slack.hooks import PREFIX, posted
from deployments.sandbox.slack.losses import Losses
from deployments.sandbox.slack.methods import BY_CLIENT, METHODS, Method
from deployments.sandbox.slack.oauth import Grants, authorize
from deployments.sandbox.slack.rates import Pace
from deployments.sandbox.slack.scheduled import send_due
from deployments.sandbox.slack.workspace import App, Token, Workspace, app_named
from deployments.sandbox.wire import Answer, Request

# A token of this form is good for the workspace it names, which is there from its first use.
OPEN_TOKEN = re.compile(r"^xoxb-sandbox-([a-z0-9_-]{1,60})$")
SECRET = frozenset({"token", "client_secret", "code", "refresh_token"})
CONTENT = {"content-type": "application/json; charset=utf-8"}
Object = dict[str, Any]


class SlackSandbox(Provider):
    name = "slack"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.limits: Pace = Pace()
        self.losses = Losses()
        self.strict = True
        self.steering = Steering(self)
        self.reset()

    def reset(self) -> None:
        self.apps: dict[str, App] = {}
        self.workspaces: dict[str, Workspace] = {}
        self.grants = Grants()
        self.losses.clear()
        self.strict = True

    @property
    def controls(self) -> Mapping[str, Control]:
        return self.steering.controls

    def clock_moved(self) -> None:
        for workspace in self.workspaces.values():
            send_due(workspace)

    def app(self, name: str) -> App:
        known = self.apps.get(name)
        if known is None:
            known = self.apps[name] = app_named(name)
        return known

    def app_of(self, client_id: str) -> App | None:
        return next((app for app in self.apps.values() if app.client_id == client_id), None)

    def workspace(self, name: str, app: str | None = None) -> Workspace:
        known = self.workspaces.get(name)
        if known is None:
            known = Workspace(name, self.app(app or name), self.world)
            self.workspaces[name] = known
            self.grants.add(Token(f"xoxb-sandbox-{name}", known))
        return known

    def workspace_to_install(self, app: App, team: str | None) -> Workspace:
        """The one that was asked for; else the app's own."""
        for workspace in self.workspaces.values():
            if workspace.app is app and team in (workspace.id, workspace.name):
                return workspace
        return self.workspace(app.name)

    def token(self, value: str) -> Token:
        token = self.grants.tokens.get(value)
        if token is None:
            found = OPEN_TOKEN.match(value)
            if found is None or found[1] in self.workspaces:
                raise Refused("invalid_auth")
            self.workspace(found[1])
            token = self.grants.tokens[value]
        if token.state != "live":
            raise Refused(token.state)
        if token.expires_at is not None and self.world.clock.now() >= token.expires_at:
            raise Refused("token_expired")
        return token

    def note(self, request: Request) -> None:
        if request.noted.params is not None:
            return
        request.noted.params = {}
        with suppress(Refused):
            self._noted(request, read(request, json=True, warnings=[]))
        with suppress(Refused):
            request.noted.account = self.token(_bearer(request, {})).workspace.name

    def _noted(self, request: Request, given: Object) -> None:
        shown = given
        if not SECRET.isdisjoint(given):
            shown = {name: value for name, value in given.items() if name not in SECRET}
        request.noted.params = shown

    def failure(self, request: Request, rule: Rule) -> Answer:
        error = FAILURES.get(rule.status, "internal_error")
        headers = dict(CONTENT)
        if rule.status == 429:
            headers["retry-after"] = "1"
        body = orjson.dumps({"ok": False, "error": error})
        if rule.body is not None:
            body = rule.body.encode() if isinstance(rule.body, str) else orjson.dumps(rule.body)
        headers |= {name.lower(): value for name, value in rule.headers.items()}
        return Answer(rule.status, body, headers)

    async def answer(self, request: Request) -> Answer:
        if request.fault and request.fault.kind == "slow":
            await asyncio.sleep(request.fault.seconds)
        if (request.method, request.path) == ("GET", "/oauth/v2/authorize"):
            answer = authorize(self, request)
        elif request.method == "POST" and request.path.startswith(PREFIX):
            answer = posted(self, request)
        else:
            answer = self._answer(request)
        if request.fault and request.fault.kind == "500_after":
            return self.failure(request, request.fault)
        return answer

    def _answer(self, request: Request) -> Answer:
        answer = self._carried_out(request)
        request.noted.request_id = uuid.uuid4().hex
        answer.headers = answer.headers | {"x-slack-req-id": request.noted.request_id}
        return answer

    def _carried_out(self, request: Request) -> Answer:
        name = request.path.removeprefix("/api/")
        warnings: list[str] = []
        headers = CONTENT
        try:
            method = METHODS.get(name)
            if method is None:
                content = self._without_token(request, name, warnings)
            else:
                given = read(request, json=method.json, warnings=warnings)
                self._noted(request, given)
                token = self.token(_bearer(request, given))
                request.noted.account = token.workspace.name
                headers = _scopes(token, method)
                content = self._call(name, method, Call(self, token, given, warnings))
        except Refused as refusal:
            content = refusal.content()
            return _encoded(content, warnings, headers | refusal.headers, refusal.status)
        return _encoded({"ok": True, **content}, warnings, headers)

    def _without_token(self, request: Request, name: str, warnings: list[str]) -> Object:
        given = read(request, json=False, warnings=warnings)
        self._noted(request, given)
        if name == "api.test":
            if error := given.pop("error", None):
                raise Refused(error, args=given)
            return {"args": given}
        if name not in BY_CLIENT:
            raise Refused("unknown_method", req_method=name)
        run, shape = BY_CLIENT[name]
        # `token` is an argument here, the one to be exchanged.
        return run(self, request.headers, checked(shape, given, strict=self.strict))

    def _call(self, name: str, method: Method, call: Call) -> Object:
        workspace = call.workspace
        if method.lane != "posting":
            self.limits.call(workspace.id, name, method.lane)
        if method.scopes:
            call.need(method.scopes)
        call.args = checked(method.arguments, call.args, strict=self.strict)
        if workspace.scheduled:
            send_due(workspace)
        return method.run(call)


def _bearer(request: Request, given: Object) -> str:
    """From the header, or from the body; never from the address."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if given.get("token") and b"token=" not in request.query:
        return str(given["token"])
    raise Refused("not_authed")


def _scopes(token: Token, method: Method) -> dict[str, str]:
    return CONTENT | {
        "x-oauth-scopes": ",".join(token.scopes),
        "x-accepted-oauth-scopes": ",".join(method.scopes),
    }


def _encoded(
    content: Object, warnings: list[str], headers: dict[str, str], status: int = 200
) -> Answer:
    if warnings:
        metadata = content.get("response_metadata", {})
        content["warning"] = ",".join(warnings)
        content["response_metadata"] = metadata | {"warnings": warnings}
    return Answer(status, orjson.dumps(content), headers)


FAILURES = {
    400: "invalid_arguments",
    401: "invalid_auth",
    403: "access_denied",
    409: "request_timeout",
    429: "ratelimited",
    500: "internal_error",
    503: "service_unavailable",
    504: "request_timeout",
}
