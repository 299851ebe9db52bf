"""Form encoding with brackets: `items[0][price]=p`, `expand[]=a`, `metadata[k]=v`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from deployments.sandbox.stripe.errors import Refused

Params = dict[str, Any]
NAME = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
PART = re.compile(r"\[([^\[\]]*)\]")


def decode(encoded: bytes) -> Params:
    """Nested dicts and lists, every leaf a string."""
    tree: Params = {}
    for name, value in parse_qsl(encoded.decode("utf-8", "replace"), keep_blank_values=True):
        found = NAME.match(name)
        if found is None:
            raise Refused(400, f"Invalid parameter name: {name}", param=name)
        _put(tree, [found[1], *PART.findall(found[2])], value, name)
    return {key: _listed(value) for key, value in tree.items()}


def _put(tree: Params, path: list[str], value: str, name: str) -> None:
    node = tree
    for part in path[:-1]:
        node = node.setdefault(_key(node, part), {})
        if not isinstance(node, dict):
            raise Refused(400, f"Invalid parameter: {name} is both a value and a hash", param=name)
    node[_key(node, path[-1])] = value


def _key(node: Params, part: str) -> str:
    return part or str(len(node))


def _listed(value: Any) -> Any:
    """A hash whose keys count from 0 is an array."""
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(each) for key, each in value.items()}
    if all(str(number) == key for number, key in enumerate(inner)):
        return list(inner.values())
    return inner
