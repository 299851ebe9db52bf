"""Samples beside a live payload: what a Zap maps in the editor has to be there later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]


def compared(samples: Any, live: Object | None) -> Object:
    """`keys_equal`: of payload and `data`. `nested`: where objects inside have other keys."""
    if not isinstance(samples, list) or not samples or live is None:
        return {"keys_equal": None, "missing": [], "extra": [], "same_order": None, "nested": []}
    expected = list(_keys(live))
    found = [list(_keys(each)) for each in samples]
    return {
        "keys_equal": all(set(each) == set(expected) for each in found),
        "missing": sorted({key for each in found for key in set(expected) - set(each)}),
        "extra": sorted({key for each in found for key in set(each) - set(expected)}),
        "same_order": all(each == expected for each in found),
        "nested": sorted({name for each in samples for name in _other_inside(each, live)}),
    }


def _keys(payload: Any) -> Iterator[str]:
    if not isinstance(payload, dict):
        return
    yield from payload
    data = payload.get("data")
    if isinstance(data, dict):
        yield from (f"data.{name}" for name in data)


def _other_inside(sample: Any, live: Object) -> Iterator[str]:
    """Nothing is said of what is null on one side."""
    ours, theirs = live.get("data"), sample.get("data") if isinstance(sample, dict) else None
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return
    for name in ours.keys() & theirs.keys():
        one, other = ours[name], theirs[name]
        if isinstance(one, dict) and isinstance(other, dict) and one.keys() != other.keys():
            yield f"data.{name}"
