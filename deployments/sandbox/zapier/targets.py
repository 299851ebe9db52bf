"""Addresses that take posts: those of Zaps, and plain receivers. One is there from its first use."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from deployments.sandbox.zapier.arrivals import Arrival
from deployments.sandbox.zapier.behaviours import OK, Behaviour, Manners
from deployments.sandbox.zapier.standard_webhooks import is_signed, key_of

if TYPE_CHECKING:
    from deployments.sandbox.zapier.zaps import Zap

PATH = re.compile(r"(/hooks/standard/([^/]+)/[^/]+|/receive/([^/]+))/?$")


@dataclass(slots=True, eq=False)
class Target:
    path: str
    account: str
    receives: bool
    on: bool = True
    manners: Manners | None = None
    secrets: list[str] = field(default_factory=list)
    strict: bool = False
    zap: Zap | None = None
    arrivals: list[Arrival] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    deleted: int = 0

    def next(self, usual: Manners | None) -> Behaviour:
        manners = self.manners or usual
        return OK if manners is None else manners.next()

    def verified(self, headers: Mapping[str, str], body: bytes, now: float) -> bool | None:
        """Nothing to say, without a secret."""
        if not self.secrets:
            return None
        return any(is_signed(each, headers, body, now) for each in self.secrets)

    def trust(self, secrets: list[str]) -> None:
        for each in secrets:
            key_of(each)
        self.secrets = secrets

    def keep(self, arrival: Arrival, ids: list[str | None]) -> None:
        self.arrivals.append(arrival)
        self.statuses[str(arrival.status)] += 1
        self.deleted += arrival.method == "DELETE"
        if arrival.accepted:
            self.accepted += 1
            self.counts.update(each for each in ids if each is not None)

    def shown(self) -> dict[str, Any]:
        """Cheap at any size: nothing is counted here."""
        manners = self.manners.behaviours if self.manners else []
        return {
            "target": self.path,
            "account": self.account,
            "on": self.on,
            "zap": self.zap.id if self.zap else None,
            "behaviours": [each.shown() for each in manners],
            "arrived": len(self.arrivals),
            "accepted": self.accepted,
            "distinct": len(self.counts),
            "deleted": self.deleted,
            "statuses": self.statuses,
        }


class Targets:
    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.by_path: dict[str, Target] = {}
        self.usual: dict[str, Manners] = {}

    def find(self, path: str) -> Target | None:
        """The target of a path, made where there is none yet; None where none can be."""
        known = self.by_path.get(path)
        if known is not None:
            return known
        found = PATH.fullmatch(path)
        if found is None:
            return None
        known = self.by_path.get(found[1])
        if known is None:
            known = Target(found[1], found[2] or found[3], receives=found[2] is None)
            self.by_path[known.path] = known
        return known

    def named(self, wanted: str) -> Target:
        """By its address, its path, or the name of a receiver."""
        found = PATH.search(urlsplit(wanted).path)
        target = self.find(found[1] if found else f"/receive/{wanted}")
        if target is None:
            raise LookupError(f"no target {wanted}")
        return target

    def new(self, account: str) -> Target:
        target = self.find(f"/hooks/standard/{account}/{uuid.uuid4().hex}")
        assert target is not None  # noqa: S101  the path is of our own making
        return target

    def chosen(self, given: Mapping[str, Any]) -> Iterator[Target]:
        """`target`, or all of `account`, or all there are."""
        if given.get("target"):
            yield self.named(given["target"])
        else:
            account = given.get("account")
            yield from (e for e in self.by_path.values() if account in (None, e.account))
