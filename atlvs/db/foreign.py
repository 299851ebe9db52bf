"""JSON that others wrote: whatever PostgreSQL holds as jsonb can be read, and written again.

It holds more than programs do. A number beyond them, as 1e400, is null, and so is what lies too deep.
"""

import json
import re
from math import isfinite
from typing import Any

import orjson

DEEPEST = 200  # levels; orjson writes 254
MARK = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]')


def record_in(text: str | bytes) -> Any:
    """What a JSON text says, as far as it can be held."""
    raw = text.encode() if isinstance(text, str) else text
    try:
        found = orjson.loads(raw)
        if raw.count(b"[") + raw.count(b"{") > DEEPEST:
            orjson.dumps([[[[found]]]])  # with what lies around a record
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return json.loads(_shallow(raw), parse_int=_number, parse_float=_number)
    return found


def _shallow(raw: bytes) -> bytes:
    """The text with null for what lies too deep."""
    kept: list[bytes] = []
    depth = start = 0
    for mark in MARK.finditer(raw):
        match mark[0]:
            case b"[" | b"{":
                depth += 1
                if depth == DEEPEST + 1:
                    kept += [raw[start : mark.start()], b"null"]
            case b"]" | b"}":
                if depth == DEEPEST + 1:
                    start = mark.end()
                depth -= 1
            case _:  # a string, with whatever stands in it
                pass
    return b"".join([*kept, raw[start:]])


def _number(text: str) -> float | None:
    found = float(text)
    if not isfinite(found):
        return None
    return int(text) if text.lstrip("-").isdigit() and abs(found) < 2**62 else found
