"""Arguments as they come: form, multipart or JSON, each checked against the method's list.

https://docs.slack.dev/apis/web-api/#methods_supporting_json
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

import orjson

from deployments.sandbox.slack.errors import Refused, invalid, missing
from deployments.sandbox.wire import Request

FORM, JSON, MULTIPART = (
    "application/x-www-form-urlencoded",
    "application/json",
    "multipart/form-data",
)
CHARSETS = ("utf-8", "utf8", "iso-8859-1")
NAME = re.compile(r"^\w{1,60}$", re.ASCII)
STAMP = re.compile(r"^\d{1,10}(\.\d{1,6})?$", re.ASCII)
TRUE, FALSE = ("true", "1", True, 1), ("false", "0", False, 0, "")
# Arguments that every method takes.
ALWAYS = ("token", "pretty", "team_id")


def read(request: Request, *, json: bool, warnings: list[str]) -> dict[str, Any]:
    """What was sent, with whatever type it had. JSON is passed over where it is not taken."""
    given: dict[str, Any] = dict(parse_qsl(request.query.decode(), keep_blank_values=True))
    if not request.body:
        return given
    if "content-type" not in request.headers:
        raise Refused("missing_post_type")
    kind, _, parameters = request.headers["content-type"].partition(";")
    kind = kind.strip().lower()
    _check_charset(kind, parameters, warnings)
    if kind == JSON:
        return given | (_json(request.body) if json else {})
    if kind == FORM:
        return given | _form(request.body)
    if kind == MULTIPART:
        return given | _parts(request.headers["content-type"], request.body)
    raise Refused("invalid_post_type")


def _check_charset(kind: str, parameters: str, warnings: list[str]) -> None:
    name, _, charset = parameters.strip().partition("=")
    if name.strip().lower() == "charset":
        if charset.strip('" ').lower() not in CHARSETS:
            raise Refused("invalid_charset")
        if kind == FORM:
            warnings.append("superfluous_charset")
    elif kind == JSON:
        warnings.append("missing_charset")


def _json(body: bytes) -> dict[str, Any]:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused("invalid_json") from error
    if not isinstance(given, dict):
        raise Refused("json_not_object")
    return {name: value for name, value in given.items() if value is not None}


def _form(body: bytes) -> dict[str, Any]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
    except ValueError as error:
        raise Refused("invalid_form_data") from error


def _parts(content_type: str, body: bytes) -> dict[str, Any]:
    head = b"Content-Type: " + content_type.encode() + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    given: dict[str, Any] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            given[name] = content.decode("utf-8", "replace")
    if not given:
        raise Refused("invalid_form_data")
    return given


def checked(shape: Mapping[str, str], given: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    """Typed arguments. A `*` before a kind means that it must be there.

    The service passes over names it does not know; here they are refused, unless `strict` is
    off: a name that nobody reads is a mistake of the caller.
    """
    typed: dict[str, Any] = {}
    for name, value in given.items():
        kind = shape.get(name)
        if kind is not None:
            typed[name] = KINDS[kind.lstrip("*")](name, value)
        elif not NAME.match(name) or (strict and name not in ALWAYS):
            raise Refused("invalid_arg_name", messages=[f"unrecognized argument: {name}"])
    for name, kind in shape.items():
        if kind.startswith("*") and name not in typed:
            raise missing(name)
    return typed


def _string(name: str, value: Any) -> str:
    if isinstance(value, list):
        raise Refused("invalid_array_arg", messages=[f"must be a string [json-pointer:/{name}]"])
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise invalid(f"must be a string [json-pointer:/{name}]")
    return str(value)


def _boolean(name: str, value: Any) -> bool:
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise invalid(f"must be a boolean [json-pointer:/{name}]")


def _integer(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise invalid(f"must be an integer [json-pointer:/{name}]") from error


def _stamp(name: str, value: Any) -> str:
    text = _string(name, value)
    if not STAMP.match(text):
        raise Refused(f"invalid_ts_{name}" if name in ("oldest", "latest") else "invalid_ts")
    return text


def _ids(name: str, value: Any) -> list[str]:
    """Comma-separated; a list where JSON came."""
    items = value if isinstance(value, list) else _string(name, value).split(",")
    return [str(item).strip() for item in items if str(item).strip()]


def _structure(name: str, value: Any) -> Any:
    """A list or an object; as text where a form came."""
    if not isinstance(value, str):
        return value
    if not value:
        return None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Refused(MALFORMED.get(name, "invalid_arguments")) from error


MALFORMED = {
    "blocks": "invalid_blocks_format",
    "attachments": "invalid_attachments",
    "metadata": "invalid_metadata_format",
}
KINDS: dict[str, Callable[[str, Any], Any]] = {
    "string": _string,
    "boolean": _boolean,
    "integer": _integer,
    "ts": _stamp,
    "ids": _ids,
    "structure": _structure,
}
