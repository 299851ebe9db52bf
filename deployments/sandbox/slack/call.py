"""One call of the Web API: who calls, with which rights and arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployments.sandbox.slack.errors import Refused
from deployments.sandbox.slack.workspace import Channel, Token, User, Workspace

if TYPE_CHECKING:
    from deployments.sandbox.slack.provider import SlackSandbox

READ = {
    "public_channel": ("channels:read",),
    "private_channel": ("groups:read",),
    "im": ("im:read",),
    "mpim": ("mpim:read",),
}
HISTORY = {
    "public_channel": ("channels:history",),
    "private_channel": ("groups:history",),
    "im": ("im:history",),
    "mpim": ("mpim:history",),
}
WRITE = {
    "public_channel": ("channels:manage",),
    "private_channel": ("groups:write",),
    "im": ("im:write",),
    "mpim": ("mpim:write",),
}
INVITE = {
    "public_channel": ("channels:manage", "channels:write.invites"),
    "private_channel": ("groups:write", "groups:write.invites"),
}


@dataclass(slots=True)
class Call:
    sandbox: SlackSandbox
    token: Token
    args: dict[str, Any]
    warnings: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        return self.token.workspace

    @property
    def scopes(self) -> tuple[str, ...]:
        return self.token.scopes

    @property
    def me(self) -> User:
        return self.workspace.bot

    def need(self, scopes: tuple[str, ...]) -> None:
        """One of these scopes is enough."""
        if not any(scope in self.token.scopes for scope in scopes):
            raise Refused(
                "missing_scope", needed=",".join(scopes), provided=",".join(self.token.scopes)
            )

    def channel(self, scopes: dict[str, tuple[str, ...]] | None = None) -> Channel:
        """The conversation that `channel` names, where the caller can see it."""
        found = self.workspace.channels.get(self.args["channel"])
        if found is None or not self.sees(found):
            raise Refused("channel_not_found")
        if scopes is not None:
            self.need(scopes[found.kind])
        return found

    def named_channel(self, scopes: dict[str, tuple[str, ...]]) -> Channel:
        """A channel with a name; messages to people cannot be invited to, renamed or archived."""
        found = self.channel()
        if found.is_direct:
            raise Refused("method_not_supported_for_channel_type")
        self.need(scopes[found.kind])
        return found

    def sees(self, channel: Channel) -> bool:
        return channel.kind == "public_channel" or self.me.id in channel.members
