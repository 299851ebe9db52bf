"""One account: its credentials, senders, messages and calls, and what is set for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any

from deployments.sandbox.provider import World
from deployments.sandbox.twilio.agenda import Agenda
from deployments.sandbox.twilio.calls import Call
from deployments.sandbox.twilio.dates import rfc2822
from deployments.sandbox.twilio.message import Message
from deployments.sandbox.twilio.senders import Sender, Service


@dataclass(slots=True)
class Settings:
    """`scale` makes senders so many times faster than documented; None lifts their limits."""

    scale: float | None = 1.0
    queue_seconds: float = 36_000.0
    transit: float = 0.2
    ring: float = 0.2
    talk: float = 0.2
    concurrency: int = 100
    answer_seconds: float = 0.0
    scheduled: int = 500_000
    price: float = 0.0083
    magic: bool = False
    alphanumeric: bool = True
    advanced_opt_out: bool = False
    geo: list[str] | None = None


@dataclass(slots=True)
class Phone:
    """How somebody's phone, or its carrier, behaves. `refuse` is an error code at create."""

    fate: str = "delivered"
    error: int | None = None
    refuse: int | None = None
    answers: str = "human"


@dataclass(slots=True)
class Loss:
    """Accepted and then lost: `stuck` stays queued in the log, `vanish` was never heard of."""

    how: str
    to: re.Pattern[str] | None = None
    times: int | None = None

    def takes(self, to: str) -> bool:
        if self.times == 0 or (self.to is not None and not self.to.search(to)):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(slots=True)
class Key:
    """An API key: `main` keys may see the account itself, `standard` ones may not."""

    sid: str
    secret: str
    kind: str = "standard"


@dataclass(eq=False)
class Account:
    sid: str
    auth_token: str
    world: World
    agenda: Agenda
    friendly_name: str = "Sandbox"
    type: str = "Full"
    status: str = "active"
    owner: str = ""
    test: bool = False
    secondary_token: str | None = None
    settings: Settings = field(default_factory=Settings)
    keys: dict[str, Key] = field(default_factory=dict)
    senders: dict[str, Sender] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)
    verified: set[str] = field(default_factory=set)
    phones: dict[str, Phone] = field(default_factory=dict)
    # Who replied STOP, by the number or the messaging service that was answered.
    opted_out: dict[str, set[str]] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    messages: dict[str, Message] = field(default_factory=dict)
    log: list[Message | None] = field(default_factory=list)
    by_to: dict[str, list[Message]] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    in_flight: int = 0
    scheduled: int = 0

    def __post_init__(self) -> None:
        self.created = self.now()

    def now(self) -> float:
        return self.world.clock.now()

    def keep(self, message: Message) -> Message:
        """Put it into the log."""
        message.position = len(self.log)
        self.log.append(message)
        self.messages[message.sid] = message
        self.by_to.setdefault(message.to, []).append(message)
        return message

    def forget(self, message: Message) -> None:
        del self.messages[message.sid]
        self.log[message.position] = None

    def scope_of(self, address: str) -> str:
        """What an opt-out from this number or messaging service covers."""
        sender = self.senders.get(address)
        return sender.service if sender is not None and sender.service else address

    def is_opted_out(self, phone: str, address: str) -> bool:
        return phone in self.opted_out.get(self.scope_of(address), ())

    def set(self, given: dict[str, Any]) -> None:
        unknown = set(given) - {each.name for each in fields(Settings)}
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        for name, value in given.items():
            setattr(self.settings, name, value)

    def shown(self) -> dict[str, Any]:
        uri = f"/2010-04-01/Accounts/{self.sid}"
        return {
            "auth_token": self.auth_token,
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.created),
            "friendly_name": self.friendly_name,
            "owner_account_sid": self.owner or self.sid,
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {
                "messages": f"{uri}/Messages.json",
                "calls": f"{uri}/Calls.json",
                "incoming_phone_numbers": f"{uri}/IncomingPhoneNumbers.json",
            },
            "type": self.type,
            "uri": f"{uri}.json",
        }
