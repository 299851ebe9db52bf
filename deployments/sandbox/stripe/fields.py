"""How parameters become fields: set, unset by "", metadata key by key, and what changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deployments.sandbox.stripe.errors import Refused
from deployments.sandbox.stripe.tables import Object

ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def assign(thing: Object, params: Object, names: Iterable[str]) -> None:
    """Copy what was given; an empty string unsets."""
    for name in names:
        if name in params:
            thing[name] = None if params[name] == "" else params[name]


def address(given: Any) -> Object | None:
    if not isinstance(given, dict):
        return None
    return {part: given.get(part) or None for part in ADDRESS}


def merge_metadata(thing: Object, params: Object) -> None:
    """Key by key; "" for a key deletes it, "" for all of it deletes all.

    https://docs.stripe.com/api/metadata
    """
    given = params.get("metadata")
    if given is None:
        return
    metadata = {} if given == "" else dict(thing.get("metadata") or {})
    for key, value in (given or {}).items():
        _check_metadata(key, value)
        if value == "":
            metadata.pop(key, None)
        else:
            metadata[key] = value
    if len(metadata) > 50:
        raise Refused(400, "Metadata can have up to 50 keys.", param="metadata")
    thing["metadata"] = metadata


def _check_metadata(key: str, value: str) -> None:
    if len(key) > 40:
        raise Refused(
            400,
            f"Metadata keys can have up to 40 characters, but '{key}' has more.",
            param="metadata",
        )
    if len(value) > 500:
        raise Refused(
            400,
            f"Metadata values can have up to 500 characters, but {key} has {len(value)}.",
            param=f"metadata[{key}]",
        )


def previous(before: Object, after: Object) -> Object:
    """The old values of what changed, as `data.previous_attributes` shows them."""
    changed: Object = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict) and old.get("object") != "list":
            changed[key] = previous(old, new)
        else:
            changed[key] = old
    return changed


def no_more_than_one(params: Object, *names: str) -> None:
    given = [name for name in names if name in params]
    if len(given) > 1:
        raise Refused(
            400,
            f"You may only specify one of these parameters: {', '.join(names)}.",
            code="parameters_exclusive",
            param=given[1],
        )
