"""Objects of one type: kept as encoded JSON, found by id, by creation time, by a link.

Keeping bytes makes a list page a matter of joining, and a snapshot free: whoever reads gets a
copy of their own.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
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
        self.deleted: dict[str, bytes] = {}
        self.changed: dict[str, int] = {}
        # A key is (created, number): unique, and sorted it is the order of every list.
        self.keys: list[Key] = []
        self.ids: dict[Key, str] = {}
        self.key_of: dict[str, Key] = {}
        self.links: dict[str, dict[Any, list[Key]]] = {path: {} for path in indexed}
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
        self.deleted[identifier] = encoded(stub)

    def linked(self, path: str, value: Any) -> list[Object]:
        """Every object whose `path` is `value`, newest first."""
        keys = self.links[path].get(value, [])
        return [orjson.loads(self.raw[self.ids[key]]) for key in reversed(keys)]

    def all(self) -> list[Object]:
        """Newest first."""
        return [orjson.loads(raw) for raw in self.newest()]

    def newest(self) -> Iterator[bytes]:
        return (self.raw[self.ids[key]] for key in reversed(self.keys))

    def page(
        self,
        window: Window,
        links: dict[str, list[Any]],
        fits: Callable[[Object], bool] | None = None,
    ) -> tuple[list[bytes], bool]:
        """Encoded objects, newest first, and whether the walk could go on.

        `links` allows for each path some values.
        """
        found: list[bytes] = []
        for key in self._walk(window, links):
            raw = self.raw[self.ids[key]]
            if fits is None or fits(orjson.loads(raw)):
                found.append(raw)
                if len(found) > window.limit:
                    break
        page = found[: window.limit]
        return (page[::-1] if window.backwards else page), len(found) > window.limit

    def _walk(self, window: Window, links: dict[str, list[Any]]) -> Iterator[Key]:
        if not links:
            return _span(self.keys, window)
        path, values = min(links.items(), key=lambda link: self._size(*link))
        spans = [_span(self.links[path].get(value, []), window) for value in values]
        walk = heapq.merge(*spans, reverse=not window.backwards)
        others = [
            {key for value in wanted for key in self.links[other].get(value, [])}
            for other, wanted in links.items()
            if other != path
        ]
        return (key for key in walk if all(key in each for each in others))

    def _size(self, path: str, values: list[Any]) -> int:
        return sum(len(self.links[path].get(value, [])) for value in values)

    def _new_key(self, thing: Object) -> Key:
        self.number += 1
        key = (thing.get("created") or thing.get("date") or 0, self.number)
        self.ids[key] = thing["id"]
        self.key_of[thing["id"]] = key
        return key

    def _keep(self, identifier: str, thing: Object) -> None:
        self.raw[identifier] = encoded(thing)
        for path, values in self.links.items():
            if (value := at(thing, path)) is not None:
                insort(values.setdefault(value, []), self.key_of[identifier])

    def _unlink(self, identifier: str) -> None:
        old = orjson.loads(self.raw[identifier]) if self.links else {}
        for path, values in self.links.items():
            if (value := at(old, path)) is not None:
                keys = values[value]
                del keys[bisect_left(keys, self.key_of[identifier])]


def encoded(thing: Any, option: int | None = None) -> bytes:
    """JSON to keep: what orjson returns holds on to a buffer of several kB, its copy does not."""
    return bytes(memoryview(orjson.dumps(thing, option=option)))


def copied(thing: Any) -> Any:
    """A copy all the way down."""
    return orjson.loads(orjson.dumps(thing))


def _span(keys: list[Key], window: Window) -> Iterator[Key]:
    start, end = bisect_left(keys, window.low), bisect_left(keys, window.high)
    places = range(start, end) if window.backwards else range(end - 1, start - 1, -1)
    return (keys[place] for place in places)


def at(thing: Any, path: str) -> Any:
    """The value at a dotted path, None where the way ends."""
    for part in path.split("."):
        if not isinstance(thing, dict):
            return None
        thing = thing.get(part)
    return thing
