"""Faults on demand: which requests go wrong, how, and how often.

A rule is plain JSON:

    {"match": {"provider": "stripe", "method": "POST", "path": "^/v1/refunds$", "body": "..."},
     "kind": "500_after", "times": 1, "skip": 0, "rate": 1.0,
     "seconds": 0, "status": null, "headers": {}, "body": null}

Kinds before anything happened: 429, 409, 500_before, status, reset.
Kinds after the effect was committed: 500_after, reset_after, truncate (half of the answer).
slow keeps the request in flight for `seconds`, then lets it go its way.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

BEFORE = frozenset({"429", "409", "500_before", "status", "reset"})
AFTER = frozenset({"500_after", "reset_after", "truncate"})
KINDS = BEFORE | AFTER | {"slow"}
STATUS = {"429": 429, "409": 409, "500_before": 500, "500_after": 500}


@dataclass(slots=True)
class Rule:
    kind: str
    provider: str | None = None
    method: str | None = None
    path: re.Pattern[str] | None = None
    request_body: re.Pattern[str] | None = None
    times: int | None = None
    skip: int = 0
    rate: float = 1.0
    seconds: float = 0.0
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    hits: int = 0

    def matches(self, provider: str, method: str, path: str, body: bytes) -> bool:
        return (
            self.times != 0
            and self.provider in (None, provider)
            and self.method in (None, method)
            and (self.path is None or self.path.search(path) is not None)
            and (
                self.request_body is None
                or self.request_body.search(body.decode("utf-8", "replace")) is not None
            )
        )

    def take(self, rng: random.Random) -> bool:
        """Count one matching request; true when it is one that goes wrong."""
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.rate < 1.0 and rng.random() >= self.rate:
            return False
        if self.times is not None:
            self.times -= 1
        self.hits += 1
        return True

    def shown(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "match": {
                "provider": self.provider,
                "method": self.method,
                "path": self.path.pattern if self.path else None,
                "body": self.request_body.pattern if self.request_body else None,
            },
            "times": self.times,
            "skip": self.skip,
            "rate": self.rate,
            "hits": self.hits,
        }


class Faults:
    def __init__(self) -> None:
        self.clear()

    def clear(self, seed: int = 1) -> None:
        self.rules: list[Rule] = []
        self.rng = random.Random(seed)  # noqa: S311  repeatable faults, not secrets

    def add(self, rules: Iterable[Mapping[str, Any]]) -> None:
        self.rules.extend([rule_from(each) for each in rules])

    def pick(self, provider: str, method: str, path: str, body: bytes) -> Rule | None:
        for rule in self.rules:
            if rule.matches(provider, method, path, body) and rule.take(self.rng):
                return rule
        return None


def rule_from(given: Mapping[str, Any]) -> Rule:
    kind = str(given.get("kind"))
    if kind not in KINDS:
        raise ValueError(f"unknown fault kind {kind!r}; one of {', '.join(sorted(KINDS))}")
    match = given.get("match") or {}
    method = match.get("method")
    return Rule(
        kind=kind,
        provider=match.get("provider"),
        method=method.upper() if method else None,
        path=re.compile(match["path"]) if match.get("path") else None,
        request_body=re.compile(match["body"]) if match.get("body") else None,
        times=given.get("times"),
        skip=int(given.get("skip") or 0),
        rate=float(given.get("rate", 1.0)),
        seconds=float(given.get("seconds") or 0),
        status=int(given.get("status") or STATUS.get(kind, 500)),
        headers=dict(given.get("headers") or {}),
        body=given.get("body"),
    )
