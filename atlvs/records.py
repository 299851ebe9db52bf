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
