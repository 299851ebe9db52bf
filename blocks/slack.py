"""Slack: one app in one workspace. Its Web API, its incoming webhook, its events' signatures.

https://docs.slack.dev/apis/web-api · Every answer is 200 with `ok`; only 429 and outages are others.
Tokens that rotate are not used: rotation cannot be turned off again once an app has it.
"""

import base64
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any, ClassVar
from urllib.parse import urlencode

import httpx
from prefect.settings import PREFECT_API_URL
from pydantic import Field, HttpUrl, PrivateAttr, SecretStr

from atlvs.db import connections
from atlvs.errors import (
    IntegrationError,
    Misconfigured,
    OutcomeUnknown,
    Unauthorized,
    Unavailable,
)
from atlvs.records import Check, ProviderEvent
from atlvs.settings import settings
from blocks.base import DEFAULT, Connector
from blocks.slack_answers import (
    FORM,
    JSON,
    content_of,
    encoded,
    hook_refusal,
    missing_scope,
    refusal,
)
from blocks.slack_check import SCOPES, findings_of
from blocks.slack_events import event_from, is_signed, parsed_body
from blocks.slack_wire import POST, TIERS, SlackWire

Json = dict[str, Any]
HOOKS = "https://hooks.slack.com/"


class Slack(Connector):
    """One Slack app in one workspace."""

    _block_type_name = "ATLVS Slack"
    _block_type_slug = "atlvs-slack"
    _documentation_url = HttpUrl("https://docs.slack.dev/authentication/tokens")
    _description = "One Slack app in one workspace: its bot token, or an incoming webhook alone."

    slug: ClassVar[str] = "slack"
    environment: ClassVar[dict[str, str]] = {
        "bot_token": "SLACK_BOT_TOKEN",
        "signing_secrets": "SLACK_SIGNING_SECRET",
        "app_id": "SLACK_APP_ID",
        "client_id": "SLACK_CLIENT_ID",
        "client_secret": "SLACK_CLIENT_SECRET",
        "api_base": "SLACK_API_BASE",
    }

    bot_token: SecretStr | None = Field(None, description="Bot token, starts with xoxb-.")
    signing_secrets: SecretStr | None = Field(
        None, description="The app's signing secret; several while rotating, comma-separated."
    )
    app_id: str | None = Field(None, description="The app's id, starts with A.")
    client_id: str | None = Field(None, description="The app's client id, to connect by OAuth.")
    client_secret: SecretStr | None = Field(
        None, description="The app's client secret, to connect by OAuth."
    )
    granted_scopes: str | None = Field(
        None, description="Scopes that the token has, comma-separated; learnt when it is tested."
    )
    default_channel: str | None = Field(
        None, description="Id of the channel for notifications that have no channel of their own."
    )
    channels: dict[str, str] = Field(
        {}, description="Notification type → id of the channel that gets it."
    )
    incoming_webhook_url: SecretStr | None = Field(
        None,
        description="An incoming webhook into the default channel, used where the bot may not post.",
    )
    api_base: str = Field("https://slack.com", description="Where the API answers, without /api.")
    posts_per_second: float = Field(
        8.0, gt=0, description="Messages a second in the whole workspace."
    )
    posts_per_second_per_channel: float = Field(
        1.0, gt=0, description="Messages a second into one channel."
    )
    pace: float = Field(
        0.9, gt=0, description="Share of Slack's published limits of other calls that is used."
    )

    _scopes: frozenset[str] | None = PrivateAttr(None)

    def is_configured(self) -> bool:
        """Whether there is a bot token, or an incoming webhook at an address of Slack's."""
        return bool(self._token()) or self._hook() is not None

    def limits(self) -> dict[str, float]:
        """Posts a second, and the tier of each other method."""
        tiers = {method: per_minute * self.pace / 60 for method, per_minute in TIERS.items()}
        return {POST: self.posts_per_second, **tiers}

    @cached_property
    def wire(self) -> SlackWire:
        """This connection's paced and audited HTTP."""
        return SlackWire(self.connection, self.limits())

    @property
    def scopes(self) -> frozenset[str] | None:
        """The scopes that the token has, as far as is known."""
        if self._scopes is None and self.granted_scopes:
            self._scopes = split(self.granted_scopes)
        return self._scopes

    @property
    def has_bot(self) -> bool:
        """Whether there is a bot token."""
        return bool(self._token())

    @property
    def has_hook(self) -> bool:
        """Whether there is an incoming webhook."""
        return self._hook() is not None

    def may(self, *scopes: str) -> bool:
        """Whether the token has one of these scopes; yes where that is not known."""
        return self.scopes is None or not self.scopes.isdisjoint(scopes)

    def need(self, *scopes: str) -> None:
        """Refuse here what Slack would refuse: without one of these scopes a reinstall is needed."""
        if not self.may(*scopes):
            raise missing_scope(" or ".join(scopes))

    def channel_for(self, type: str) -> str | None:
        """Where notifications of a type go that name no channel."""
        return self.channels.get(type) or self.default_channel

    async def api(self, method: str, *, reading: bool = False, **arguments: Any) -> Json:
        """A method's answer; one of our errors where Slack refuses it.

        `reading`: asking again is harmless, so a lost answer means that nothing happened.
        """
        content = await self.ask(method, arguments, reading=reading)
        if content["ok"] is not True:
            raise refusal(method, content, reading=reading)
        return content

    async def ask(
        self,
        method: str,
        arguments: Mapping[str, Any] | bytes,
        *,
        reading: bool = False,
        bucket: str | None = None,
        paced: bool = False,
    ) -> Json:
        """A method's answer, also where it is a refusal. `arguments` as bytes are JSON already."""
        kind, body = encoded(method, arguments)
        headers = {"Authorization": f"Bearer {self._some_token()}", "Content-Type": kind}
        try:
            answer = await self.wire.exchange(
                "POST",
                f"{self.api_base.rstrip('/')}/api/{method}",
                headers=headers,
                body=body,
                bucket=bucket or method,
                paced=paced,
            )
        except OutcomeUnknown as error:
            if not reading:
                raise
            raise Unavailable("slack", error.message, code="no_answer") from error
        if "x-oauth-scopes" in answer.headers:
            self._scopes = split(answer.headers["x-oauth-scopes"])
        return content_of(method, answer, reading=reading)

    async def post_to_hook(self, message: bytes, *, paced: bool = False) -> None:
        """Post into the incoming webhook's one channel. Slack tells no id of the message."""
        url = self._hook()
        if url is None:
            raise Misconfigured("The slack connection has no incoming webhook at hooks.slack.com.")
        try:
            answer = await self.wire.exchange(
                "POST", url, headers={"Content-Type": JSON}, body=message, bucket=POST, paced=paced
            )
        except (
            IntegrationError
        ) as error:  # it and its cause may hold the address, which is a secret
            lost = isinstance(error, OutcomeUnknown)
            text = "no answer from the incoming webhook." if lost else error.message
            raise type(error)(
                error.provider, text, code=error.code, retry_after=error.retry_after
            ) from None
        if answer.status != 200:
            raise hook_refusal(answer)

    async def test_connection(self) -> Check:
        """The token and its workspace, the scopes, the channels, the webhook and the signing secret."""
        return Check("slack", self.connection.name, tuple(await findings_of(self)))

    async def learn(self) -> Json:
        """Whose token it is; binds the connection to its workspace and keeps the scopes."""
        told = await self.api("auth.test", reading=True)
        await connections.bind(self.connection, told["team_id"], True)
        known = ",".join(sorted(self._scopes or ()))
        if known and known != self.granted_scopes:
            await self._keep({"granted_scopes": known}, revive=False)
        return told

    async def _keep(self, fields: Mapping[str, str], *, revive: bool) -> None:
        """Add fields to this connection: to its block, where Prefect answers, and to its sealed row."""
        stored, whose = {**self.stored_fields(), **fields}, self.connection
        # The block first: who copies it meanwhile brings nothing old back.
        await self._save_block(fields)
        await connections.save(whose.org_id, self.slug, whose.name, stored, revive=revive)
        for name, value in fields.items():
            secret = "SecretStr" in str(type(self).model_fields[name].annotation)
            setattr(self, name, SecretStr(value) if secret else value)

    def verify(self, body: bytes, headers: Mapping[str, str], url: str = "") -> list[ProviderEvent]:
        """The event of a delivery, signed with any of the secrets at most 300 s ago.

        Nothing for what is of no use here: clicks on links, other events, other workspaces. An app
        has one address for all workspaces that it is installed in.
        """
        if not is_signed(body, headers, self._secrets()):
            raise Unauthorized("slack", "the signature is not of this app.", code="signature")
        if (headers.get("content-type") or "").startswith(FORM):
            return []
        told = parsed_body(body)
        mine = self.connection.account_id if self._connection else None
        if mine and told.get("team_id") not in (None, mine):
            return []
        event = event_from(told)
        return [event] if event else []

    def handshake(
        self, method: str, headers: Mapping[str, str], query: str, body: bytes
    ) -> tuple[int, bytes, str] | None:
        """The challenge, told to whoever can sign it."""
        if method != "POST" or b"url_verification" not in body:
            return None
        if not is_signed(body, headers, self._secrets()):
            raise Unauthorized("slack", "the signature is not of this app.", code="signature")
        told = parsed_body(body)
        challenge = told.get("challenge")
        if told["type"] != "url_verification" or not isinstance(challenge, str):
            return None
        return 200, challenge.encode("utf-8", "replace"), "text/plain; charset=utf-8"

    def get_auth_url(self, state: str = "") -> str:
        """Where a person installs the app. `state` comes back with the code."""
        asked = {
            "client_id": self._client()[0],
            "scope": ",".join([*SCOPES, "incoming-webhook"]),  # its page asks for a default channel
            "redirect_uri": redirect_uri(),
            "state": state,
        }
        return f"{self.api_base.rstrip('/')}/oauth/v2/authorize?{urlencode(asked)}"

    async def handle_callback(self, code: str) -> None:
        """Exchange the code for a bot token, and keep it with its scopes."""
        told = await self._exchanged(code)
        await connections.bind(self.connection, told["team"]["id"], True)
        hook = told.get("incoming_webhook") or {}
        given = {
            "bot_token": told["access_token"],
            "granted_scopes": told.get("scope"),
            "app_id": told.get("app_id"),
            "incoming_webhook_url": hook.get("url"),
            "default_channel": self.default_channel or hook.get("channel_id"),
        }
        fixed = self.from_environment() if self.connection.name == DEFAULT else {}
        self._scopes = None
        await self._keep({name: value for name, value in given.items() if value}, revive=True)
        if fixed.get("bot_token", told["access_token"]) != told["access_token"]:
            raise Misconfigured(
                "Slack granted a new token, but SLACK_BOT_TOKEN is set to another one, which wins. "
                "Unset it."
            )

    async def disconnect(self) -> None:
        """Revoke the token at Slack and wipe the secrets here. Done again, it finds nothing to do."""
        trouble = await self._revoked()
        await super().disconnect()
        if trouble:
            raise Unavailable(
                "slack",
                f"the connection {self.connection.name!r} is wiped here, but its token could not be "
                f"revoked ({trouble.message}) Remove the app in the workspace's settings.",
            ) from None

    async def _revoked(self) -> IntegrationError | None:
        try:
            if self.has_bot:
                await self.api("auth.revoke", reading=True)
        except Unauthorized:
            return None  # it is not good for anything any more
        except IntegrationError as error:
            return error
        return None

    async def _exchanged(self, code: str) -> Json:
        client = base64.b64encode(":".join(self._client()).encode()).decode()
        answer = await self.wire.exchange(
            "POST",
            f"{self.api_base.rstrip('/')}/api/oauth.v2.access",
            headers={"Authorization": f"Basic {client}", "Content-Type": FORM},
            body=urlencode({"code": code, "redirect_uri": redirect_uri()}),
            bucket="oauth.v2.access",
        )
        told = content_of("oauth.v2.access", answer, reading=False)
        if told["ok"] is not True:
            raise refusal("oauth.v2.access", told, reading=False)
        return told

    async def _save_block(self, fields: Mapping[str, str]) -> None:
        if not PREFECT_API_URL.value():
            return  # else Prefect would start a server of its own in here
        kind, name = type(self), self.connection.name
        try:
            stored = (await kind.aload(name)).stored_fields()
            block = kind(**{**stored, **fields}, organization=self.organization)
            await block.asave(name, overwrite=True)  # pyright: ignore
        except ValueError:
            return  # there is no such block; the next bootstrap makes it of the sealed row
        except (RuntimeError, httpx.HTTPError):
            return  # no Prefect server answers

    def _token(self) -> str:
        return self.bot_token.get_secret_value() if self.bot_token else ""

    def _some_token(self) -> str:
        token = self._token()
        if not token.isascii() or not token.isprintable() or not token:
            raise Misconfigured(
                "The slack connection has no bot token. Set SLACK_BOT_TOKEN, or connect it by OAuth."
            )
        return token

    def _hook(self) -> str | None:
        url = self.incoming_webhook_url.get_secret_value() if self.incoming_webhook_url else ""
        return url if url.startswith((HOOKS, f"{self.api_base.rstrip('/')}/")) else None

    def _secrets(self) -> list[str]:
        text = self.signing_secrets.get_secret_value() if self.signing_secrets else ""
        return [secret.strip() for secret in text.split(",") if secret.strip()]

    def _client(self) -> tuple[str, str]:
        if not self.client_id or not self.client_secret:
            raise Misconfigured("To connect by OAuth, set SLACK_CLIENT_ID and SLACK_CLIENT_SECRET.")
        return self.client_id, self.client_secret.get_secret_value()


def redirect_uri() -> str:
    """Where Slack sends the person back to, as it is set in the app."""
    return f"{settings().public_base_url}/oauth/slack/callback"


@lru_cache(maxsize=100)
def split(scopes: str) -> frozenset[str]:
    """A list of scopes as a set."""
    return frozenset(filter(None, (scope.strip() for scope in scopes.split(","))))
