"""Looking at what arrived: entries, counts, order. Made for a hundred thousand of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from operator import attrgetter
from typing import Any

import orjson

from deployments.sandbox.zapier.arrivals import Arrival, first_of_each
from deployments.sandbox.zapier.targets import Target

Given = Mapping[str, Any]
FILTERS = ("id", "record", "type", "method", "behaviour", "webhook_id")


def received(targets: list[Target], given: Given) -> bytes:
    """In the order of arrival; `limit` takes the newest."""
    found = list(_wanted(_in_order(targets), given))
    found = found[-int(given.get("limit", 0)) :]
    return orjson.dumps([each.shown() for each in found])


def _in_order(targets: list[Target]) -> list[Arrival]:
    if len(targets) == 1:
        return targets[0].arrivals
    return sorted(chain.from_iterable(each.arrivals for each in targets), key=_number)


_number = attrgetter("number")


def _wanted(arrivals: Iterable[Arrival], given: Given) -> Iterator[Arrival]:
    after = int(given.get("after", 0))
    asked = {name: given[name] for name in FILTERS if name in given}
    accepted = given.get("accepted")
    for each in arrivals:
        if each.number <= after or (accepted is not None and each.accepted != bool(int(accepted))):
            continue
        if all(getattr(each, name) == value for name, value in asked.items()):
            yield each


def counts(targets: list[Target], given: Given) -> dict[str, Any]:
    """By event id; with several targets, how often one of them accepted one twice is `most`."""
    total: Counter[str] = Counter()
    for each in targets:
        total.update(each.counts)
    shown: dict[str, Any] = {
        "arrived": sum(len(each.arrivals) for each in targets),
        "accepted": sum(each.accepted for each in targets),
        "distinct": len(total),
        "most": max((max(e.counts.values(), default=0) for e in targets), default=0),
        "repeated": {
            e.path: again
            for e in targets
            if (again := {i: n for i, n in e.counts.items() if n > 1})
        },
    }
    return shown | ({"counts": total} if given.get("all") else {})


def order(targets: list[Target], given: Given) -> dict[str, Any]:
    """`backwards`: records of which something older was accepted after something newer."""
    by_record: dict[str, list[Arrival]] = {}
    for target in targets:
        accepted = (each for each in target.arrivals if each.accepted)
        for each in first_of_each(accepted) if given.get("first") else accepted:
            if each.record is not None and given.get("record") in (None, each.record):
                place = each.record if len(targets) == 1 else f"{target.path} {each.record}"
                by_record.setdefault(place, []).append(each)
    backwards = [record for record, found in by_record.items() if _goes_back(found)]
    shown = by_record if given.get("all") or given.get("record") else dict.fromkeys(backwards)
    return {
        "records": len(by_record),
        "backwards": backwards,
        "order": {record: [_place(each) for each in by_record[record]] for record in shown},
    }


def _goes_back(found: list[Arrival]) -> bool:
    times = [each.occurred_at or "" for each in found]
    return any(
        later < earlier for earlier, later in zip(times, islice(times, 1, None), strict=False)
    )


def _place(each: Arrival) -> dict[str, Any]:
    return {n: getattr(each, n) for n in ("number", "id", "type", "occurred_at", "at")}
