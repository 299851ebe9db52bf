"""Zaps: when this happens, do that. And their runs."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployments.sandbox.zapier.product import Product
from deployments.sandbox.zapier.targets import Target

KEPT_RUNS = 50_000
AT_ONCE = 10
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    fields: Object
    idempotency: bool = False


@dataclass(slots=True, eq=False)
class Zap:
    """`state`: off, on, or paused by the product. `connection`: live or expired."""

    id: str
    account: str
    product: Product
    event: str | None = None
    action: Action | None = None
    own_writes: bool | None = None
    state: str = "off"
    connection: str = "live"
    target: Target | None = None
    subscription: Object | None = None
    me: Object | None = None
    error: Object | None = None
    last_payload: Object | None = None
    hooks: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def shown(self) -> Object:
        return {
            "id": self.id,
            "account": self.account,
            "state": self.state,
            "connection": self.connection,
            "event": self.event,
            "action": self.action.name if self.action else None,
            "target": self.target.path if self.target else None,
            "subscription": self.subscription,
            "me": self.me,
            "error": self.error,
            "hooks": self.hooks,
            "runs": self.counts,
        }


@dataclass(slots=True, eq=False)
class Run:
    """`state`: running, throttled (it waits), success or failed. Status 0: no answer came."""

    id: str
    zap: Zap
    hook: str | None
    fields: Object
    key: str | None = None
    state: str = "running"
    status: int | None = None
    answer: Any = None
    error: str | None = None
    attempts: int = 0
    throttled: int = 0
    replays: int = 0
    at: float = field(default_factory=time.time)
    ended: float | None = None

    def turn(self, state: str) -> None:
        self.zap.counts[self.state] -= 1
        self.zap.counts[state] += 1
        self.state = state
        if state in ("success", "failed"):
            self.ended = time.time()

    def shown(self) -> Object:
        shown = {name: getattr(self, name) for name in self.__slots__}
        action = self.zap.action
        return shown | {"zap": self.zap.id, "action": action.name if action else None}


class Runs:
    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.by_id: dict[str, Run] = {}
        self.numbers = itertools.count(1)

    def begin(self, zap: Zap, hook: str | None, fields: Object) -> Run:
        """The oldest is forgotten for it, where there are too many."""
        run = Run(f"run_{next(self.numbers)}", zap, hook, fields)
        if zap.action is not None and zap.action.idempotency:
            run.key = key_for(zap.id, hook or run.id)
        zap.counts["running"] += 1
        self.by_id[run.id] = run
        if len(self.by_id) > KEPT_RUNS:
            del self.by_id[next(iter(self.by_id))]
        return run

    def chosen(self, given: Mapping[str, Any]) -> Iterator[Run]:
        """By `zap`, `account`, `state`, `hook`; oldest first."""
        for run in self.by_id.values():
            seen = (run.zap.id, run.zap.account, run.state, run.hook)
            wanted = (given.get(name) for name in ("zap", "account", "state", "hook"))
            if all(want in (None, have) for want, have in zip(wanted, seen, strict=True)):
                yield run


def key_for(zap: str, hook: str, step: int = 1) -> str:
    """The same for the same step on the same hook, however often it comes."""
    return hashlib.sha256(f"{zap}:{hook}:{step}".encode()).hexdigest()
