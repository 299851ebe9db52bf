"""Block Kit: what a message's blocks may be.

https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from deployments.sandbox.slack.errors import Refused

Block = dict[str, Any]
Problems = Iterator[str]
MOST = 50
# The service gives no number for `msg_blocks_too_long`; reports put it near this one.
LONGEST = 13_200


def check_blocks(blocks: Any) -> list[Block]:
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise Refused("invalid_blocks_format")
    problems = list(_problems(blocks))
    if problems:
        messages = [f"{what} [json-pointer:/blocks{where}]" for what, where in problems]
        raise Refused("invalid_blocks", messages=messages, errors=messages)
    if len(orjson.dumps(blocks)) > LONGEST:
        raise Refused("msg_blocks_too_long")
    return blocks


def _problems(blocks: list[Block]) -> Iterator[tuple[str, str]]:
    if len(blocks) > MOST:
        yield f"no more than {MOST} items allowed", ""
    seen: set[str] = set()
    for number, block in enumerate(blocks):
        check = CHECKS.get(block.get("type", ""))
        if check is None:
            yield f"unsupported type: {block.get('type')}", f"/{number}/type"
            continue
        yield from _placed(f"/{number}", check(block))
        identifier = block.get("block_id")
        if identifier is None:
            continue
        if not isinstance(identifier, str) or len(identifier) > 255:
            yield "must be less than 256 characters", f"/{number}/block_id"
        elif identifier in seen:
            yield f"block_id {identifier} already exists", f"/{number}/block_id"
        seen.add(str(identifier))


def _placed(at: str, problems: Problems) -> Iterator[tuple[str, str]]:
    for problem in problems:
        what, _, where = problem.partition("@")
        yield what, at + where


def _string(thing: Block, name: str, most: int, at: str = "", *, needed: bool = False) -> Problems:
    value = thing.get(name)
    if value is None:
        if needed:
            yield f"missing required field: {name}@{at}"
    elif not isinstance(value, str):
        yield f"must be a string@{at}/{name}"
    elif not value:
        yield f"must be more than 0 characters@{at}/{name}"
    elif len(value) > most:
        yield f"must be less than {most + 1} characters@{at}/{name}"


def _text(thing: Block, name: str, most: int, at: str = "", *, plain: bool = False) -> Problems:
    text = thing.get(name)
    if not isinstance(text, dict):
        yield f"missing required field: {name}@{at}"
        return
    kinds = ("plain_text",) if plain else ("plain_text", "mrkdwn")
    if text.get("type") not in kinds:
        yield f"unsupported type: {text.get('type')}@{at}/{name}/type"
    yield from _string(text, "text", most, f"{at}/{name}", needed=True)


def _section(block: Block) -> Problems:
    fields = block.get("fields")
    if "text" not in block and not fields:
        yield "must define either `text` or `fields`@"
    if "text" in block:
        yield from _text(block, "text", 3000)
    if fields is not None:
        yield from _items(fields, 10, "fields", lambda field, at: _field(field, at))
    if "accessory" in block:
        yield from _element(block["accessory"], "/accessory")


def _field(field: Any, at: str) -> Problems:
    return _text({"field": field}, "field", 2000, at)


def _items(
    items: Any, most: int, name: str, check: Callable[[Any, str], Problems] | None = None
) -> Problems:
    if not isinstance(items, list) or not items:
        yield f"no less than 1 items allowed@/{name}"
        return
    if len(items) > most:
        yield f"no more than {most} items allowed@/{name}"
    for number, item in enumerate(items if check else ()):
        yield from check(item, f"/{name}/{number}") if check else ()


def _header(block: Block) -> Problems:
    return _text(block, "text", 150, plain=True)


def _context(block: Block) -> Problems:
    return _items(block.get("elements"), 10, "elements", _context_element)


def _context_element(element: Any, at: str) -> Problems:
    if not isinstance(element, dict):
        yield f"must be an object@{at}"
    elif element.get("type") == "image":
        yield from _picture(element, at)
    else:
        yield from _text({"text": element}, "text", 3000, at)


def _actions(block: Block) -> Problems:
    return _items(block.get("elements"), 25, "elements", _element)


def _element(element: Any, at: str) -> Problems:
    if not isinstance(element, dict):
        yield f"must be an object@{at}"
    elif element.get("type") == "image":
        yield from _picture(element, at)
    elif element.get("type") == "button":
        yield from _text(element, "text", 75, at, plain=True)
        yield from _string(element, "value", 2000, at)
        yield from _string(element, "url", 3000, at)
        yield from _string(element, "action_id", 255, at)
        if element.get("style") not in (None, "primary", "danger"):
            yield f"must be a valid enum value@{at}/style"
    elif element.get("type") not in ELEMENTS:
        yield f"unsupported type: {element.get('type')}@{at}/type"


def _picture(thing: Block, at: str = "") -> Problems:
    if "slack_file" not in thing:
        yield from _string(thing, "image_url", 3000, at, needed=True)
    yield from _string(thing, "alt_text", 2000, at, needed=True)


def _markdown(block: Block) -> Problems:
    return _string(block, "text", 12_000, needed=True)


def _rich_text(block: Block) -> Problems:
    return _items(block.get("elements"), 1000, "elements")


def _input(block: Block) -> Problems:
    yield from _text(block, "label", 2000, plain=True)
    if not isinstance(block.get("element"), dict):
        yield "missing required field: element@"


def _fine(block: Block) -> Problems:
    return iter(())


ELEMENTS = frozenset(
    {
        "static_select", "multi_static_select", "external_select", "multi_external_select",
        "users_select", "multi_users_select", "conversations_select",
        "multi_conversations_select", "channels_select", "multi_channels_select", "overflow",
        "datepicker", "timepicker", "datetimepicker", "radio_buttons", "checkboxes",
        "workflow_button",
    }
)  # fmt: skip
CHECKS: dict[str, Callable[[Block], Problems]] = {
    "section": _section,
    "header": _header,
    "context": _context,
    "actions": _actions,
    "divider": _fine,
    "image": _picture,
    "markdown": _markdown,
    "rich_text": _rich_text,
    "input": _input,
    "video": _fine,
    "file": _fine,
    "table": _fine,
    "context_actions": _fine,
}


def identified(blocks: Iterable[Block], word: Callable[[int], str]) -> list[Block]:
    """The blocks as they are kept: each with an id."""
    return [{"block_id": word(5), **block} for block in blocks]
