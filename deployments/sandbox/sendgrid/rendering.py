"""What a mail looks like in the inbox: Handlebars over the data, or substitutions.

Enough of it to read mails by: values, if, unless, each, with, equals, notEquals, insert. What is
missing renders empty, as it does at SendGrid.
https://www.twilio.com/docs/sendgrid/for-developers/sending-email/using-handlebars
"""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TAG = re.compile(r"\{\{\{\s*(?P<raw>.+?)\s*\}\}\}|\{\{\s*(?P<tag>.+?)\s*\}\}", re.DOTALL)
Node = "str | Value | Block"


@dataclass(slots=True)
class Value:
    words: list[str]
    escaped: bool


@dataclass(slots=True)
class Block:
    words: list[str]
    inside: list[Any] = field(default_factory=list)
    otherwise: list[Any] = field(default_factory=list)


def render(template: str, context: Any) -> str:
    return "".join(_rendered(_parsed(template), context, context))


def substituted(text: str, pairs: dict[str, str]) -> str:
    for tag, value in pairs.items():
        text = text.replace(tag, value)
    return text


def _parsed(template: str) -> list[Any]:
    top = Block([])
    open_blocks, into, end = [top], [top.inside], 0
    for found in TAG.finditer(template):
        into[-1].append(template[end : found.start()])
        end = found.end()
        words = _words(found["raw"] or found["tag"])
        if words[0].startswith("#"):
            block = Block([words[0][1:], *words[1:]])
            into[-1].append(block)
            open_blocks.append(block)
            into.append(block.inside)
        elif words[0] == "else" and len(into) > 1:
            into[-1] = open_blocks[-1].otherwise
        elif words[0].startswith("/") and len(into) > 1:
            open_blocks.pop()
            into.pop()
        elif not words[0].startswith("!"):
            into[-1].append(Value(words, escaped=found["raw"] is None))
    into[-1].append(template[end:])
    return top.inside


def _words(tag: str) -> list[str]:
    try:
        return shlex.split(tag, posix=False) or ["!"]
    except ValueError:
        return tag.split() or ["!"]


def _rendered(nodes: list[Any], context: Any, root: Any) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, Value):
            yield _shown(node, context, root)
        else:
            yield from _block(node, context, root)


def _shown(node: Value, context: Any, root: Any) -> str:
    words = node.words
    value = _looked_up(words[1 if words[0] == "insert" else 0], context, root)
    if words[0] == "insert" and value in (None, ""):
        value = next((w.partition("=")[2].strip("\"'") for w in words[2:] if "default" in w), "")
        value = value or next((w.strip("\"'").partition("=")[2] for w in words[2:]), "")
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return html.escape(text) if node.escaped else text


def _block(node: Block, context: Any, root: Any) -> Iterator[str]:
    values = [_looked_up(each, context, root) for each in node.words[1:]] or [None]
    kind = node.words[0]
    if kind == "each":
        yield from _each(node, values[0], root)
    elif kind == "with":
        yield from _rendered(node.inside, values[0], root)
    elif _holds(kind, values):
        yield from _rendered(node.inside, context, root)
    else:
        yield from _rendered(node.otherwise, context, root)


def _each(node: Block, values: Any, root: Any) -> Iterator[str]:
    pairs = list(values.items() if isinstance(values, dict) else enumerate(values or ()))
    if not pairs:
        yield from _rendered(node.otherwise, root, root)
    for number, (key, value) in enumerate(pairs):
        own = value if isinstance(value, dict) else {}
        inner = {**own, "this": value, "@index": number, "@key": key}
        yield from _rendered(node.inside, inner, root)


def _holds(kind: str, values: list[Any]) -> bool:
    if kind in ("equals", "notEquals"):
        return (values[0] == values[-1]) == (kind == "equals")
    if kind == "or":
        return any(values)
    if kind == "and":
        return all(values)
    return bool(values[0]) != (kind == "unless")


def _looked_up(path: str, context: Any, root: Any) -> Any:
    if path[:1] in "\"'":
        return path.strip("\"'")
    if path.lstrip("-").isdigit():
        return int(path)
    value = root if path.startswith("@root.") else context
    for name in path.removeprefix("@root.").split("."):
        if name == "this" and not (isinstance(value, dict) and "this" in value):
            continue
        value = value.get(name) if isinstance(value, dict) else None
    return value
