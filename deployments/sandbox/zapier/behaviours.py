"""How a target behaves: one way, several in turn, or a random mixture that can be repeated."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What each kind means is in `answers`; `fail_times` is `status` with a number of times.
KINDS = (
    *("ok", "slow", "status", "fail_times", "gone", "redirect"),
    *("close", "accept_then_close", "hang", "huge", "garbage"),
)
REDIRECTS = (301, 302, 303, 307, 308)
Given = Mapping[str, Any]


@dataclass(slots=True)
class Behaviour:
    """`times`: after so many posts it is over. `weight`: its share of a mixture."""

    kind: str = "ok"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    seconds: float = 0.0
    to: str = ""
    times: int | None = None
    weight: float = 1.0

    def shown(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


OK = Behaviour()
DEFAULT_STATUS = {"status": 500, "redirect": 307}


def behaviour_from(given: Given) -> Behaviour:
    """{"kind": "status", "status": 503, "headers": {"Retry-After": "2"}, "times": 3}"""
    unknown = set(given) - set(Behaviour.__slots__)
    kind = given.get("kind", "ok")
    if unknown or kind not in KINDS:
        wrong = ", ".join(sorted(unknown)) or repr(kind)
        raise ValueError(f"no behaviour of {wrong}; kinds: {', '.join(KINDS)}")
    made = Behaviour(**given)
    if kind == "fail_times":
        made.kind, made.times = "status", int(given["times"])
    made.status = int(given.get("status") or DEFAULT_STATUS.get(made.kind, 200))
    if not 200 <= made.status <= 599:
        raise ValueError(f"{made.status} is no final status")
    if made.kind == "redirect" and (made.status not in REDIRECTS or not made.to):
        raise ValueError("a redirect has `to`, and a status of 301, 302, 303, 307 or 308")
    return made


@dataclass(slots=True)
class Manners:
    """In turn: each until its times are over. Mixed: drawn by weight."""

    behaviours: list[Behaviour]
    mixed: bool = False
    rng: random.Random = field(default_factory=random.Random)

    def next(self) -> Behaviour:
        """How the next post is answered: well, when all else is over."""
        left = [each for each in self.behaviours if each.times != 0]
        if not left:
            return OK
        weights = [each.weight for each in left]
        chosen = self.rng.choices(left, weights)[0] if self.mixed else left[0]
        if chosen.times is not None:
            chosen.times -= 1
        return chosen


def manners_from(given: Given) -> Manners:
    """One behaviour, or {"steps": [behaviour, …]}, or {"mix": [behaviour, …], "seed": 1}."""
    seed = given.get("seed", 1)
    rng = random.Random(seed)  # noqa: S311  repeatable mixtures, not secrets
    if "mix" in given:
        return Manners([behaviour_from(each) for each in given["mix"]], mixed=True, rng=rng)
    if "steps" in given:
        return Manners([behaviour_from(each) for each in given["steps"]])
    return Manners([behaviour_from({k: v for k, v in given.items() if k != "seed"})])
