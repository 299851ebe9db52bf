"""What arrived at the targets: all of it in order, the newest of it whole."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

WHOLE = 500
WHOLE_BYTES = 64_000_000
Payload = dict[str, Any] | list[Any]


@dataclass(slots=True, eq=False)
class Arrival:
    """One request. `accepted`: it counts there. `answered`: the caller was told something.

    `id`, `type`, `occurred_at` are the payload's, `record` is `data.id`; of an array, the first's.
    """

    number: int
    target: str
    method: str
    size: int
    at: float = field(default_factory=time.time)
    id: str | None = None
    type: str | None = None
    record: str | None = None
    occurred_at: str | None = None
    items: int = 1
    webhook_id: str | None = None
    webhook_timestamp: str | None = None
    status: int = 0
    behaviour: str = "ok"
    accepted: bool = False
    answered: bool = True
    verified: bool | None = None
    whole: tuple[Mapping[str, str], bytes] | None = None

    def read(self, payload: Payload) -> None:
        self.items = 1 if isinstance(payload, dict) else len(payload)
        first = payload if isinstance(payload, dict) else next(iter(payload), {})
        if not isinstance(first, dict):
            return
        self.id = as_text(first.get("id"))
        self.type = as_text(first.get("type"))
        self.occurred_at = as_text(first.get("occurred_at"))
        record = first.get("data")
        self.record = as_text(record.get("id")) if isinstance(record, dict) else None

    def shown(self) -> dict[str, Any]:
        """With the headers and the body, while they are kept."""
        shown = {name: getattr(self, name) for name in self.__slots__ if name != "whole"}
        headers, body = self.whole or (None, None)
        return shown | {"headers": headers, "body": _readable(body)}


class Journal:
    """Numbers what comes, over all targets, and keeps the newest bodies."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.numbers = itertools.count(1)
        self.whole: deque[Arrival] = deque()
        self.bytes = 0

    def arrival(self, target: str, method: str, headers: Mapping[str, str], body: bytes) -> Arrival:
        made = Arrival(next(self.numbers), target, method, len(body))
        made.webhook_id = headers.get("webhook-id")
        made.webhook_timestamp = headers.get("webhook-timestamp")
        made.whole = (headers, body)
        self.whole.append(made)
        self.bytes += made.size
        while len(self.whole) > WHOLE or (self.bytes > WHOLE_BYTES and len(self.whole) > 1):
            old = self.whole.popleft()
            self.bytes -= old.size
            old.whole = None
        return made


def first_of_each(arrivals: Iterator[Arrival]) -> Iterator[Arrival]:
    """Without what came again."""
    known: set[str | None] = set()
    for each in arrivals:
        if each.id is None or each.id not in known:
            known.add(each.id)
            yield each


def as_text(value: Any) -> str | None:
    """Of no more than 255 characters, whatever was sent as an id."""
    return None if value is None else str(value)[:255]


def _readable(body: bytes | None) -> Any:
    """JSON as it is; anything else as text, the start of it."""
    if body is None:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body[:10_000].decode("utf-8", "replace")
