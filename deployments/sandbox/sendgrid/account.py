"""One account: who may send, what was sent, who does not want mail, and where events go."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from deployments.sandbox.provider import World
from deployments.sandbox.sendgrid.agenda import Agenda
from deployments.sandbox.sendgrid.ids import Ids
from deployments.sandbox.sendgrid.messages import Mail, Message
from deployments.sandbox.sendgrid.outbox import Outbox
from deployments.sandbox.sendgrid.suppressed import Suppressions
from deployments.sandbox.sendgrid.webhook import Webhook

Object = dict[str, Any]


@dataclass(slots=True)
class Settings:
    """What the control `settings` can change.

    `mailboxes` says what happens to mail for an address or a "@domain": deliver, bounce, block,
    invalid, defer (then delivered), stuck (deferred, then bounced), swallow (processed and never
    heard of again), lose (accepted and never heard of), spam, open, click, unsubscribe.
    """

    mailboxes: dict[str, str] = field(default_factory=dict)
    process_seconds: float = 0.0
    deliver_seconds: float = 0.0
    defer_seconds: float = 1.0
    defer_attempts: int = 2
    batch_seconds: float = 0.05
    batch_events: int = 1_000
    batch_bytes: int = 768_000
    duplicate_events: float = 0.0
    shuffle_events: bool = False
    credits: int | None = None
    max_webhooks: int = 5
    suspended: bool = False

    def change(self, given: Object) -> None:
        unknown = given.keys() - {each.name for each in fields(self)}
        if unknown:
            raise ValueError(f"unknown setting: {', '.join(sorted(unknown))}")
        for name, value in given.items():
            setattr(self, name, value)

    def shown(self) -> Object:
        return asdict(self)

    def behaviour(self, email: str) -> str:
        if not self.mailboxes:
            return "deliver"
        domain = email[email.rfind("@") :]
        return self.mailboxes.get(email) or self.mailboxes.get(domain) or "deliver"


class Account:
    def __init__(self, name: str, world: World, agenda: Agenda) -> None:
        self.name = name
        self.number = 10_000_000 + sum(name.encode()) * 97
        self.world = world
        self.agenda = agenda
        self.ids = Ids(name)
        self.settings = Settings()
        self.senders: dict[str, Object] = {}
        self.domains: set[str] = set()
        self.subusers: set[str] = set()
        self.ip_pools: set[str] = set()
        self.suppressions = Suppressions()
        self.groups: dict[int, Object] = {}
        self.templates: dict[str, Object] = {}
        self.webhooks: dict[str, Webhook] = {}
        self.batches: set[str] = set()
        # What was said about a batch, and who waits for it to be said again.
        self.scheduled: dict[str, str] = {}
        self.held: dict[str, list[list[Message]]] = {}
        self.mails: dict[str, Mail] = {}
        self.messages: list[Message] = []
        self.delivered: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.outbox = Outbox(self)

    def now(self) -> float:
        return self.world.clock.now()

    def seconds(self) -> int:
        return self.world.clock.seconds()

    def may_send_as(self, email: str) -> bool:
        email = email.lower()
        domain = email.rpartition("@")[2]
        sender = self.senders.get(email)
        verified = sender is not None and sender["verified"]
        return verified or any(
            domain == each or domain.endswith("." + each) for each in self.domains
        )

    def active_version(self, template_id: str) -> Object | None:
        template = self.templates.get(template_id)
        versions = template["versions"] if template else []
        return next((each for each in versions if each["active"]), None)

    def counts(self) -> dict[str, int]:
        states = Counter(message.state for message in self.messages)
        return {
            "mails": len(self.mails),
            "messages": len(self.messages),
            **{name: states[name] for name in sorted(states)},
            **self.suppressions.counts(),
        }
