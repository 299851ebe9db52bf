"""OAuth v2: installing an app, token rotation, revoking.

https://docs.slack.dev/authentication/installing-with-oauth
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from deployments.sandbox.slack.call import Call
from deployments.sandbox.slack.errors import Refused, missing
from deployments.sandbox.slack.events import emit
from deployments.sandbox.slack.hooks import add_hook
from deployments.sandbox.slack.ids import Ids
from deployments.sandbox.slack.workspace import SCOPES, App, Token, Workspace
from deployments.sandbox.wire import Answer, Request

if TYPE_CHECKING:
    from deployments.sandbox.slack.provider import SlackSandbox

Object = dict[str, Any]
CODE_LASTS = 600
TOKEN_LASTS = 43_200


@dataclass(slots=True)
class Code:
    workspace: Workspace
    scopes: tuple[str, ...]
    redirect_uri: str | None
    expires_at: float


@dataclass(slots=True)
class Grants:
    """What was given out: codes, tokens, and refresh tokens with the access token they renew."""

    ids: Ids = field(default_factory=lambda: Ids("grants"))
    codes: dict[str, Code] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    refreshes: dict[str, Token] = field(default_factory=dict)
    denying: bool = False

    def of(self, workspace: Workspace) -> list[Token]:
        return [token for token in self.tokens.values() if token.workspace is workspace]

    def add(self, token: Token) -> Token:
        self.tokens[token.value] = token
        return token

    def code(self, workspace: Workspace, scopes: tuple[str, ...], redirect_uri: str | None) -> str:
        code = self.ids.code()
        expires_at = workspace.clock.now() + CODE_LASTS
        self.codes[code] = Code(workspace, scopes, redirect_uri, expires_at)
        return code


def authorize(sandbox: SlackSandbox, request: Request) -> Answer:
    """The consent page, answered at once: yes, or no while `consent` is set to deny."""
    asked = dict(parse_qsl(request.query.decode(), keep_blank_values=True))
    app = sandbox.app_of(asked.get("client_id", ""))
    if app is None:
        return _page("Invalid client_id parameter")
    redirect_uri = asked.get("redirect_uri") or next(iter(app.redirect_urls), "")
    if not redirect_uri or not _allowed(app, redirect_uri):
        return _page(f"redirect_uri did not match any configured URIs. Passed URI: {redirect_uri}")
    scopes = tuple(filter(None, asked.get("scope", "").replace(" ", ",").split(",")))
    unknown = sorted(set(scopes) - KNOWN_SCOPES)
    if unknown or not scopes:
        return _page(f"Invalid permissions requested: {', '.join(unknown) or 'none'}")
    state = {"state": asked.get("state", "")}
    if sandbox.grants.denying:
        return _redirect(redirect_uri, {"error": "access_denied"} | state)
    workspace = sandbox.workspace_to_install(app, asked.get("team"))
    code = sandbox.grants.code(workspace, scopes, asked.get("redirect_uri"))
    return _redirect(redirect_uri, {"code": code} | state)


KNOWN_SCOPES = frozenset(
    {*SCOPES, "incoming-webhook", "commands", "app_mentions:read", "channels:write.invites"}
    | {"groups:write.invites", "chat:write.customize", "metadata.message:read", "files:write"}
    | {"files:read", "reactions:write", "reactions:read", "users.profile:read", "bookmarks:write"}
)


def _allowed(app: App, redirect_uri: str) -> bool:
    return not app.redirect_urls or any(redirect_uri.startswith(u) for u in app.redirect_urls)


def _page(message: str) -> Answer:
    body = f"<html><body><h1>Something went wrong</h1><p>{message}</p></body></html>"
    return Answer(400, body.encode(), {"content-type": "text/html; charset=utf-8"})


def _redirect(url: str, query: dict[str, str]) -> Answer:
    location = f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
    return Answer(302, b"", {"location": location})


def client_of(sandbox: SlackSandbox, headers: dict[str, str], args: Object) -> App:
    """The app that calls, by HTTP Basic or by arguments."""
    client_id, secret = args.get("client_id", ""), args.get("client_secret", "")
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(credentials).decode()
        except (binascii.Error, UnicodeDecodeError):
            decoded = ""
        client_id, _, secret = decoded.partition(":")
    app = sandbox.app_of(client_id)
    if app is None:
        raise Refused("invalid_client_id")
    if not hmac.compare_digest(app.client_secret.encode(), secret.encode()):
        raise Refused("bad_client_secret")
    return app


def access(sandbox: SlackSandbox, headers: dict[str, str], args: Object) -> Object:
    """A code or a refresh token for a bot token."""
    app = client_of(sandbox, headers, args)
    kind = args.get("grant_type", "authorization_code")
    if kind == "refresh_token":
        return _refresh(sandbox, app, args.get("refresh_token", ""))
    if kind != "authorization_code":
        raise Refused("invalid_grant_type")
    if not args.get("code"):
        raise missing("code")
    code = sandbox.grants.codes.get(args["code"])
    if code is None or code.workspace.app is not app:
        raise Refused("invalid_code")
    if args.get("redirect_uri") != code.redirect_uri:
        raise Refused("bad_redirect_uri")
    del sandbox.grants.codes[args["code"]]
    if code.workspace.clock.now() > code.expires_at:
        raise Refused("invalid_code")
    granted = _installed(sandbox, code.workspace, code.scopes)
    if "incoming-webhook" in code.scopes:
        granted["incoming_webhook"] = _hook(code.workspace, headers)
    return granted


def _installed(sandbox: SlackSandbox, workspace: Workspace, scopes: tuple[str, ...]) -> Object:
    """Scopes add up with those granted before: installing again takes none away."""
    workspace.installed = True
    living = [token for token in sandbox.grants.of(workspace) if token.state == "live"]
    granted = tuple(dict.fromkeys([s for token in living for s in token.scopes] + [*scopes]))
    if workspace.app.rotation:
        return _pair(sandbox, workspace, granted)
    for token in living:
        token.scopes = granted
    value = living[0].value if living else workspace.ids.bot_token()
    token = living[0] if living else Token(value, workspace, granted)
    return granted_shown(sandbox.grants.add(token))


def _hook(workspace: Workspace, headers: dict[str, str]) -> Object:
    """A webhook into the channel that was chosen on the consent page: the general one."""
    channel = next(each for each in workspace.channels.values() if each.general)
    return {
        "channel": f"#{channel.name}",
        "channel_id": channel.id,
        "configuration_url": f"{workspace.url}services/{workspace.ids.new('B')}",
        "url": f"http://{headers.get('host', '')}/slack{add_hook(workspace, channel)}",
    }


def _pair(sandbox: SlackSandbox, workspace: Workspace, scopes: tuple[str, ...]) -> Object:
    grants = sandbox.grants
    expires_at = workspace.clock.now() + TOKEN_LASTS
    token = Token(grants.ids.rotating_token(), workspace, scopes, expires_at=expires_at)
    refresh = grants.ids.refresh_token()
    grants.refreshes[refresh] = grants.add(token)
    return granted_shown(token) | {"expires_in": TOKEN_LASTS, "refresh_token": refresh}


def granted_shown(token: Token) -> Object:
    workspace = token.workspace
    return {
        "app_id": workspace.app.id,
        "authed_user": {"id": workspace.owner.id},
        "scope": ",".join(token.scopes),
        "token_type": "bot",
        "access_token": token.value,
        "bot_user_id": workspace.bot.id,
        "team": {"id": workspace.id, "name": workspace.name},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def _refresh(sandbox: SlackSandbox, app: App, refresh: str) -> Object:
    """Each refresh token works once, and gives the next pair."""
    token = sandbox.grants.refreshes.get(refresh)
    if token is None or token.workspace.app is not app or token.state != "live":
        raise Refused("invalid_refresh_token")
    del sandbox.grants.refreshes[refresh]
    return _pair(sandbox, token.workspace, token.scopes)


def exchange(sandbox: SlackSandbox, headers: dict[str, str], args: Object) -> Object:
    """A long-lived token for an expiring one and its refresh token, once rotation is on."""
    app = client_of(sandbox, headers, args)
    token = sandbox.grants.tokens.get(args.get("token", ""))
    if token is None or token.workspace.app is not app or token.state != "live":
        raise Refused("invalid_auth")
    if not app.rotation:
        raise Refused("token_rotation_not_enabled")
    if token.expires_at is not None:
        raise Refused("token_already_exchanged")
    token.state = "token_revoked"
    return _pair(sandbox, token.workspace, token.scopes)


def revoke(call: Call) -> Object:
    if call.args.get("test"):
        return {"revoked": False}
    revoke_token(call.sandbox, call.token)
    return {"revoked": True}


def revoke_token(sandbox: SlackSandbox, token: Token, error: str = "token_revoked") -> None:
    """An app whose last token is gone is no longer installed."""
    workspace = token.workspace
    token.state = error
    revoked = {"oauth": [], "bot": [workspace.bot.id]}
    emit(workspace, {"type": "tokens_revoked", "tokens": revoked})
    living = [each for each in sandbox.grants.of(workspace) if each.state == "live"]
    if workspace.installed and not living:
        workspace.installed = False
        emit(workspace, {"type": "app_uninstalled"})


def uninstall(call: Call) -> Object:
    app = client_of(call.sandbox, {}, call.args)
    if app is not call.workspace.app:
        raise Refused("client_id_token_mismatch")
    remove_app(call.sandbox, call.workspace)
    return {}


def remove_app(sandbox: SlackSandbox, workspace: Workspace) -> None:
    for token in sandbox.grants.of(workspace):
        if token.state == "live":
            revoke_token(sandbox, token, "account_inactive")
