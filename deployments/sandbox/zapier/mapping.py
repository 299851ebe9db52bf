"""Fields of a trigger in an action, `{{field}}`: what comes of them is text, as in a Zap."""

from __future__ import annotations

import re
from typing import Any

import orjson

FIELD = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
MISSING = object()


def mapped(template: Any, payload: dict[str, Any]) -> Any:
    """`{{email}}`, `{{contact.email}}` are found in `data`, else in the whole payload."""
    if isinstance(template, str):
        return FIELD.sub(lambda found: as_text(_found(payload, found[1])), template)
    if isinstance(template, dict):
        return {name: mapped(each, payload) for name, each in template.items()}
    if isinstance(template, list):
        return [mapped(each, payload) for each in template]
    return template


def as_text(value: Any) -> str:
    """Nothing for what is not there; lists with commas between."""
    if value is None or value is MISSING:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ",".join(as_text(each) for each in value)
    return orjson.dumps(value).decode()


def _found(payload: dict[str, Any], name: str) -> Any:
    inside = _walked(payload.get("data"), name)
    return _walked(payload, name) if inside is MISSING else inside


def _walked(thing: Any, name: str) -> Any:
    for part in name.replace("__", ".").split("."):
        if not isinstance(thing, dict) or part not in thing:
            return MISSING
        thing = thing[part]
    return thing
