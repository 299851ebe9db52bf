"""Handlebars as SendGrid speaks it, rendered here by handlebars-rust.

https://www.twilio.com/docs/sendgrid/for-developers/sending-email/using-handlebars

Our own contents are rendered in the process, at a hundredth of a millisecond. A template that somebody
else wrote may nest a million loops or call itself, which ends a process: it is rendered by this file as
a program, with little time and memory, and nothing of ours loaded.
"""

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pyhandlebars import PyHandlebars, PyHandlebarsError, Template

SECONDS, MEMORY, LONGEST = 3, 512 * 2**20, 2_000_000  # of a foreign template: time, space, output
# SendGrid's own block helpers as conditions that handlebars-rust knows.
CONDITIONS = {
    "equals": "eq",
    "notEquals": "ne",
    "greaterThan": "gt",
    "lessThan": "lt",
    "and": "and",
    "or": "or",
}
OPENED = re.compile(r"\{\{(~?)\s*#\s*(\w+)\s+([^{}]*?)\s*(~?)\}\}")
CHAINED = re.compile(r"\{\{(~?)\s*else\s+(\w+)\s+([^{}]*?)\s*(~?)\}\}")
CLOSED = re.compile(r"\{\{(~?)\s*/\s*(\w+)\s*(~?)\}\}")
MOMENT = re.compile(r"YYYY|MMMM|MMM|MM|M|DDDD|DD|D|dddd|ddd|HH|H|hh|h|mm|ss|A|a|Z|YY")
DATES = {
    "YYYY": "%Y",
    "YY": "%y",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "DDDD": "%A",
    "dddd": "%A",
    "ddd": "%a",
    "DD": "%d",
    "D": "%-d",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "h": "%-I",
    "mm": "%M",
    "ss": "%S",
    "A": "%p",
    "a": "%p",
    "Z": "%z",
}


class Unrenderable(Exception):
    """A template with a fault, or one that takes too much; the text tells a person which."""


def compiled(source: str, client: PyHandlebars | None = None) -> "Template[Any]":
    """A template with SendGrid's helpers, to be rendered many times."""
    try:
        return Template(translated(source), client=client or speaking())
    except PyHandlebarsError as error:
        raise Unrenderable(_told(error)) from None


def rendered(source: str, data: Mapping[str, Any]) -> str:
    """A template of our own, filled in."""
    try:
        return compiled(source).format(dict(data))
    except PyHandlebarsError as error:
        raise Unrenderable(_told(error)) from None


async def rendered_apart(parts: Mapping[str, str], data: Mapping[str, Any]) -> dict[str, str]:
    """Templates that somebody else wrote, filled in by a process of its own; Unrenderable when they
    are faulty or do not come to an end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(Path(__file__).resolve())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    asked = json.dumps({"parts": dict(parts), "data": dict(data)}, default=str).encode()
    try:
        answer, _ = await asyncio.wait_for(process.communicate(asked), 2 * SECONDS)
    except TimeoutError:
        raise Unrenderable("It takes too long to render.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise Unrenderable("It takes too much time or memory to render.")
    told = json.loads(answer)
    if "fault" in told:
        raise Unrenderable(told["fault"])
    return told


def speaking() -> PyHandlebars:
    """handlebars-rust with SendGrid's inline helpers. Every template stays in its client for as long
    as that lives, so a client is for one template."""
    client = PyHandlebars()
    client.register_helper("insert", _insert)
    client.register_helper("formatDate", _format_date)
    client.register_helper("length", lambda given, _: str(_length(given)))
    return client


def translated(source: str) -> str:
    """SendGrid's block helpers in words of handlebars-rust, where helpers of ours have no block."""
    source = OPENED.sub(_condition, source)
    source = CHAINED.sub(_chained, source)
    return CLOSED.sub(_end, source)


def _condition(found: re.Match[str]) -> str:
    left, name, words, right = found.groups()
    if name not in CONDITIONS:
        return found[0]
    return f"{{{{{left}#if ({CONDITIONS[name]} {words}){right}}}}}"


def _chained(found: re.Match[str]) -> str:
    left, name, words, right = found.groups()
    if name not in CONDITIONS:
        return found[0]
    return f"{{{{{left}else if ({CONDITIONS[name]} {words}){right}}}}}"


def _end(found: re.Match[str]) -> str:
    left, name, right = found.groups()
    return f"{{{{{left}/if{right}}}}}" if name in CONDITIONS else found[0]


def _insert(given: list[Any], _context: dict[str, Any]) -> str:
    """`{{insert name "default=Customer"}}`."""
    value, *more = [*given, ""]
    if value in (None, "", False):
        value = next(
            (str(one).partition("=")[2] for one in more if str(one).startswith("default=")), ""
        )
    return _escaped(value)


def _format_date(given: list[Any], _context: dict[str, Any]) -> str:
    """`{{formatDate at "MMMM DD, YYYY" "-0800"}}`; what is no time stays as it is."""
    text, pattern, offset = ([*map(str, given), "", "", ""])[:3]
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return _escaped(text)
    if re.fullmatch(r"[+-]\d{4}", offset):
        minutes = int(offset[1:3]) * 60 + int(offset[3:5])
        shift = timedelta(minutes=-minutes if offset[0] == "-" else minutes)
        if abs(shift) < timedelta(days=1):
            at = at.replace(tzinfo=at.tzinfo or timezone.utc).astimezone(timezone(shift))  # noqa: UP017
    return _escaped(MOMENT.sub(lambda found: at.strftime(DATES[found[0]]), pattern))


def _length(given: list[Any]) -> int:
    return len(given[0]) if given and isinstance(given[0], str | list | dict) else 0


def _escaped(value: Any) -> str:
    """As `{{ }}` does it: what a helper of ours returns is taken as it is."""
    text = "" if value is None else str(value)
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(sign, entity)
    return text.replace("'", "&#x27;")


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _program() -> None:
    """Render what stands on stdin, within limits that the kernel keeps."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    asked = json.loads(sys.stdin.buffer.read())
    try:
        told = {name: rendered(text, asked["data"]) for name, text in asked["parts"].items()}
        if sum(map(len, told.values())) > LONGEST:
            raise Unrenderable("It becomes too long.")
    except (Unrenderable, ValueError, TypeError) as error:
        told = {"fault": str(error)}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    _program()
