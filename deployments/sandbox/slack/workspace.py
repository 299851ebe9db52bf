"""A workspace: its people, conversations and messages, and the app that is installed in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deployments.sandbox.provider import World
from deployments.sandbox.slack.ids import Ids

# What a bot needs for all that the simulated service offers.
SCOPES = (
    "chat:write",
    "chat:write.public",
    "channels:read",
    "groups:read",
    "im:read",
    "mpim:read",
    "channels:manage",
    "channels:join",
    "groups:write",
    "im:write",
    "mpim:write",
    "users:read",
    "users:read.email",
    "team:read",
    "channels:history",
    "groups:history",
    "im:history",
    "mpim:history",
)
EVENTS = ("app_uninstalled", "tokens_revoked")


@dataclass(slots=True)
class User:
    id: str
    name: str
    real_name: str
    email: str | None
    updated: int
    title: str = ""
    tz: str = "Etc/UTC"
    deleted: bool = False
    is_bot: bool = False
    is_admin: bool = False
    is_restricted: bool = False
    bot_id: str | None = None
    app_id: str | None = None


@dataclass(slots=True)
class Message:
    """`blocks`, `attachments` and `metadata` are JSON: most messages are never read again."""

    ts: str
    user: str
    text: str
    is_bot: bool = True
    blocks: bytes | None = None
    attachments: bytes | None = None
    metadata: bytes | None = None
    thread_ts: str | None = None
    broadcast: bool = False
    username: str | None = None
    client_msg_id: str | None = None
    edited: str | None = None
    ephemeral_for: str | None = None
    deleted: bool = False
    replies: list[str] | None = None


@dataclass(slots=True)
class Channel:
    """A conversation: `kind` is public_channel, private_channel, im or mpim."""

    id: str
    name: str
    kind: str
    created: int
    creator: str
    members: dict[str, None] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    archived: bool = False
    general: bool = False
    opened: bool = True
    topic: tuple[str, str, int] = ("", "", 0)
    purpose: tuple[str, str, int] = ("", "", 0)
    previous_names: list[str] = field(default_factory=list)
    restriction: str | None = None

    @property
    def is_direct(self) -> bool:
        return self.kind in ("im", "mpim")


@dataclass(slots=True)
class Token:
    """`state` is live, or the error with which it is refused."""

    value: str
    workspace: Workspace
    scopes: tuple[str, ...] = SCOPES
    state: str = "live"
    expires_at: float | None = None


@dataclass(slots=True)
class App:
    """What the developer sets up at the service: one app, any number of workspaces."""

    name: str
    id: str
    client_id: str
    client_secret: str
    signing_secret: str
    verification_token: str
    rotation: bool = False
    distributed: bool = False
    redirect_urls: list[str] = field(default_factory=list)
    events_url: str | None = None
    interactivity_url: str | None = None
    events: list[str] = field(default_factory=lambda: list(EVENTS))


def app_named(name: str) -> App:
    ids = Ids(f"app/{name}")
    return App(
        name=name,
        id=ids.new("A"),
        client_id=f"{ids.digits(12)}.{ids.digits(13)}",
        client_secret=ids.hex(32),
        signing_secret=ids.hex(32),
        verification_token=ids.word(24),
    )


class Workspace:
    def __init__(self, name: str, app: App, world: World) -> None:
        self.name = name
        self.app = app
        self.world = world
        self.clock = world.clock
        self.ids = Ids(f"workspace/{name}")
        self.id = self.ids.new("T")
        self.installed = True
        self.users: dict[str, User] = {}
        self.by_email: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.by_name: dict[str, Channel] = {}
        self.directs: dict[frozenset[str], Channel] = {}
        self.hooks: dict[str, str] = {}  # path of an incoming webhook → channel
        self.scheduled: dict[str, tuple[Channel, int, Message]] = {}
        self.posted = 0
        self.message_limit: int | None = None
        self._last = 0
        self._settle()

    def _settle(self) -> None:
        """What every workspace has from its first day."""
        self.add_user("slackbot", "Slackbot", identifier="USLACKBOT", is_bot=True)
        owner = self.add_user("owner", "Olive Owner", "owner@example.com", is_admin=True)
        bot_id = self.ids.new("B")
        name = self.app.name.lower()[:40]
        bot = self.add_user(name, self.app.name, is_bot=True, bot_id=bot_id, app_id=self.app.id)
        self.bot, self.owner = bot, owner
        self.bot_profile = self._bot_profile()
        for name in ("general", "random"):
            self.add_channel(name, owner.id, general=name == "general")

    def _bot_profile(self) -> dict[str, Any]:
        icons = {
            f"image_{size}": f"https://a.slack-edge.com/bot_{size}.png" for size in (36, 48, 72)
        }
        return {
            "id": self.bot.bot_id,
            "app_id": self.app.id,
            "name": self.app.name,
            "icons": icons,
            "deleted": False,
            "updated": self.bot.updated,
            "team_id": self.id,
        }

    @property
    def url(self) -> str:
        return f"https://{self.name.lower()}.slack.com/"

    def seconds(self) -> int:
        return self.clock.seconds()

    def stamp(self) -> str:
        """The time as a message's id: never the same twice."""
        self._last = max(self._last + 1, int(self.clock.now() * 1_000_000))
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"

    def add_user(
        self, name: str, real_name: str, email: str | None = None, identifier: str = "", **more: Any
    ) -> User:
        user = User(identifier or self.ids.new("U"), name, real_name, email, self.seconds(), **more)
        self.users[user.id] = user
        if email:
            self.by_email[email.lower()] = user
        return user

    def change_email(self, user: User, email: str | None) -> None:
        if user.email:
            self.by_email.pop(user.email.lower(), None)
        user.email, user.updated = email, self.seconds()
        if email:
            self.by_email[email.lower()] = user

    def add_channel(
        self, name: str, creator: str, kind: str = "public_channel", **more: Any
    ) -> Channel:
        channel = Channel(self.ids.new("C"), name, kind, self.seconds(), creator, **more)
        channel.members[creator] = None
        self.channels[channel.id] = channel
        self.by_name[name] = channel
        return channel

    def rename(self, channel: Channel, name: str) -> None:
        del self.by_name[channel.name]
        channel.previous_names.insert(0, channel.name)
        channel.name = name
        self.by_name[name] = channel

    def remove(self, channel: Channel) -> None:
        del self.channels[channel.id]
        self.by_name.pop(channel.name, None)

    def direct(self, members: frozenset[str], creator: str) -> tuple[Channel, bool]:
        """The conversation of these people, and whether it is new."""
        known = self.directs.get(members)
        if known is not None:
            return known, False
        kind = "im" if len(members) <= 2 else "mpim"
        name = "" if kind == "im" else f"mpdm-{'--'.join(self._names(members))}-1"
        letter = "D" if kind == "im" else "C"
        channel = Channel(self.ids.new(letter), name, kind, self.seconds(), creator)
        channel.members = dict.fromkeys([creator, *sorted(members - {creator})])
        self.channels[channel.id] = self.directs[members] = channel
        return channel, True

    def _names(self, members: frozenset[str]) -> list[str]:
        return sorted(self.users[member].name for member in members)
