"""Objects of one type: kept as encoded JSON, found by id, by creation time, by a link.

Keeping bytes makes a list page a matter of joining, and a snapshot free: whoever reads gets a
copy of their own.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

Object = dict[str, Any]
Key = tuple[int, int]
END = 1 << 62


@dataclass(slots=True)
class Window:
    """Which part of a table a list wants, in keys: from `low` up to, not including, `high`."""

    low: Key = (-1, -1)
    high: Key = (END, 0)
    backwards: bool = False
    limit: int = 10


class Table:
    def __init__(self, indexed: Iterable[str] = ()) -> None:
        self.raw: dict[str, bytes] = {}
        self.keys: list[Key] = []
        self.ids: dict[Key, str] = {}
        self.key_of: dict[str, Key] = {}
        self.deleted: dict[str, bytes] = {}
        self.changed: dict[str, int] = {}
        self.links: dict[str, dict[Any, dict[str, None]]] = {path: {} for path in indexed}
        self.number = 0

    def __len__(self) -> int:
        return len(self.raw)

    def get(self, identifier: str) -> Object | None:
        raw = self.raw.get(identifier)
        return None if raw is None else orjson.loads(raw)

    def put(self, thing: Object) -> None:
        identifier = thing["id"]
        if identifier in self.raw:
            self._unlink(identifier)
        else:
            insort(self.keys, self._new_key(thing))
        self._keep(identifier, thing)

    def put_many(self, things: Iterable[Object]) -> None:
        """Add new objects in any order, and sort once."""
        for thing in things:
            self.keys.append(self._new_key(thing))
            self._keep(thing["id"], thing)
        self.keys.sort()

    def delete(self, identifier: str, stub: Object) -> None:
        self._unlink(identifier)
        del self.raw[identifier]
        key = self.key_of.pop(identifier)
        del self.ids[key]
        del self.keys[bisect_left(self.keys, key)]
        self.deleted[identifier] = orjson.dumps(stub)

    def linked(self, path: str, value: Any) -> list[Object]:
        """Every object whose `path` is `value`, newest first."""
        found = self._by_link({path: value})
        return [orjson.loads(self.raw[self.ids[key]]) for key in reversed(found)]

    def all(self) -> list[Object]:
        """Newest first."""
        return [orjson.loads(self.raw[self.ids[key]]) for key in reversed(self.keys)]

    def page(
        self,
        window: Window,
        links: dict[str, Any],
        fits: Callable[[Object], bool] | None = None,
    ) -> tuple[list[bytes], bool]:
        """Encoded objects, newest first, and whether the walk could go on."""
        keys = self._by_link(links) if links else self.keys
        start, end = bisect_left(keys, window.low), bisect_left(keys, window.high)
        found: list[bytes] = []
        places = range(start, end) if window.backwards else range(end - 1, start - 1, -1)
        for place in places:
            raw = self.raw[self.ids[keys[place]]]
            if fits is None or fits(orjson.loads(raw)):
                found.append(raw)
                if len(found) > window.limit:
                    break
        page = found[: window.limit]
        return (page[::-1] if window.backwards else page), len(found) > window.limit

    def _by_link(self, links: dict[str, Any]) -> list[Key]:
        sets = [self.links[path].get(value, {}) for path, value in links.items()]
        smallest = min(sets, key=len)
        return sorted(self.key_of[i] for i in smallest if all(i in each for each in sets))

    def _new_key(self, thing: Object) -> Key:
        self.number += 1
        key = (thing.get("created") or thing.get("date") or 0, self.number)
        self.ids[key] = thing["id"]
        self.key_of[thing["id"]] = key
        return key

    def _keep(self, identifier: str, thing: Object) -> None:
        # What orjson returns holds on to a buffer of several kB; its copy does not.
        self.raw[identifier] = bytes(memoryview(orjson.dumps(thing)))
        for path, values in self.links.items():
            if (value := at(thing, path)) is not None:
                values.setdefault(value, {})[identifier] = None

    def _unlink(self, identifier: str) -> None:
        old = orjson.loads(self.raw[identifier]) if self.links else {}
        for path, values in self.links.items():
            if (value := at(old, path)) is not None:
                del values[value][identifier]


def at(thing: Any, path: str) -> Any:
    """The value at a dotted path, None where the way ends."""
    for part in path.split("."):
        if not isinstance(thing, dict):
            return None
        thing = thing.get(part)
    return thing
