"""Normalized values that pass between layers. Frozen, plain, picklable; times are aware UTC."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Connection:
    """One saved credential of one organization: who it belongs to, not the secret itself."""

    id: UUID
    org_id: UUID
    provider: str
    name: str
    account_id: str | None
    livemode: bool | None
    enabled: bool
    created_at: datetime


@dataclass(frozen=True)
class ProviderEvent:
    """A verified hint from a provider that something changed. `lane` groups what is handled together."""

    id: str
    type: str
    lane: str
    payload: dict[str, Any]
    occurred_at: datetime | None
    livemode: bool | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that `atlvs check` looked at, and how to mend it when it is not well."""

    ok: bool
    text: str
    mend: str = ""


@dataclass(frozen=True)
class Check:
    """What a connection's test found."""

    provider: str
    connection: str
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return all(finding.ok for finding in self.findings)


@dataclass(frozen=True)
class ApiKey:
    """A key of our HTTP API, without the key."""

    id: UUID
    org_id: UUID
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None
    signing_secret: bytes | None = field(default=None, repr=False)  # sealed

    @property
    def signed(self) -> bool:
        """Whether its requests to Zapier's paths have to be signed."""
        return self.signing_secret is not None


@dataclass
class Counts:
    """What a run did to the records of one stream."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    skipped: dict[str, int] = field(default_factory=dict[str, int])

    def __iadd__(self, other: "Counts") -> "Counts":
        for name in ("read", "created", "updated", "unchanged", "deleted", "failed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, number in other.skipped.items():
            self.skip(reason, number)
        return self

    def skip(self, reason: str, number: int = 1) -> None:
        """Count records that were left out, and why."""
        self.skipped[reason] = self.skipped.get(reason, 0) + number

    @property
    def changed(self) -> int:
        """Rows written."""
        return self.created + self.updated + self.deleted


@dataclass(frozen=True)
class Delivery:
    """One message to one recipient on one channel. `data` has the notification's variables with the
    recipient's own on top; `address` is an e-mail address, an E.164 number, a Slack channel id, a
    Slack user id, or an e-mail address where the Slack user is still to be found."""

    id: UUID
    org_id: UUID
    notification_id: UUID
    type: str
    category: str
    channel: str
    recipient: str
    address: str
    contact_id: UUID | None = None
    subject: str | None = None
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    record_type: str | None = None
    record_id: UUID | None = None
    attempts: int = 0
    looks: int = 0
    sending_at: datetime | None = None
    call_id: UUID | None = None
    provider_id: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one delivery, as far as is known. `state` is one of integration_deliveries';
    "queued" means that nothing happened, and it may be sent again after `retry_after` seconds."""

    delivery: UUID
    state: str
    provider_id: str | None = None
    place: str | None = None
    code: str | None = None
    reason: str | None = None
    retry_after: float | None = None
    segments: int | None = None
    at: datetime | None = None  # when it happened; now if not given


@dataclass(frozen=True)
class Word:
    """What a person or a provider said about an address, for the consent ledger. `verdict` is
    allowed, refused (the person does not want it) or unreachable (it cannot arrive). `event_id`
    makes what is told twice one entry."""

    channel: str
    address: str
    verdict: str
    reason: str
    source: str
    scope: str = "all"
    event_id: str | None = None
    contact_id: UUID | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True)
class Estimate:
    """What a message will cost, before it is sent: an estimate, in millionths of the currency."""

    segments: int
    cost_micros: int
    currency: str = "usd"
