"""Twilio's own description as a judge of requests and answers.

It describes accounts, messages, calls and numbers; of messaging services (`/v1`) it says nothing.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from published import description

Schema = dict[str, Any]
FORM = "application/x-www-form-urlencoded"
REFUSAL: Schema = {
    "type": "object",
    "properties": {
        "code": {"type": "integer", "minimum": 10_000},
        "message": {"type": "string", "minLength": 1},
        "more_info": {"type": "string", "pattern": r"^https://www\.twilio\.com/docs/errors/\d+$"},
        "status": {"type": "integer"},
    },
    "required": ["code", "message", "more_info", "status"],
    "additionalProperties": False,
}
FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time-rfc-2822", raises=ValueError)
def _is_rfc2822(value: object) -> bool:
    return not isinstance(value, str) or parsedate_to_datetime(value).tzinfo is not None


def check_request(method: str, path: str, params: dict[str, Any]) -> None:
    """Parameters by name; every value a string, or a list of them."""
    operation = _operation(method, path)
    known: dict[str, Schema] = {
        each["name"]: each["schema"]
        for each in operation.get("parameters", [])
        if each["in"] == "query"
    }
    required: list[str] = []
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"][FORM]["schema"]
        known |= schema["properties"]
        required = schema.get("required", [])
    judge = {
        "type": "object",
        "properties": known,
        "required": required,
        "additionalProperties": False,
    }
    typed = {name: _typed(known.get(name, {}), value) for name, value in params.items()}
    _check(judge, typed, f"{method} {path} asked")


def check_answer(method: str, path: str, status: int, body: bytes) -> None:
    if status >= 400:
        _check(REFUSAL, orjson.loads(body), f"{method} {path} answered {status}")
        return
    answers = _operation(method, path)["responses"]
    assert str(status) in answers, f"{method} {path} answered {status}, described {list(answers)}"
    content = answers[str(status)].get("content")
    if content is None:
        assert body == b"", f"{method} {path} answered {status} with a body"
        return
    schema = content["application/json"]["schema"]
    _check(_complete(schema), orjson.loads(body), f"{method} {path} answered {status}")


@cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    paths = sorted(description("twilio-api")["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/.]+", each)), each) for each in paths]


def _operation(method: str, path: str) -> dict[str, Any]:
    for pattern, template in _templates():
        found = description("twilio-api")["paths"][template].get(method.lower())
        if pattern.fullmatch(path) and found:
            return found
    raise AssertionError(f"{method} {path} is not described")


def _complete(schema: Schema) -> Schema:
    """An answer shows every described field."""
    schema = _resolved(schema)
    return schema | {"required": list(schema["properties"])}


def _resolved(schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = description("twilio-api")["components"]["schemas"][
            schema["$ref"].rsplit("/", 1)[1]
        ]
    return schema


def _typed(schema: Schema, value: Any) -> Any:
    schema = _resolved(schema)
    match schema.get("type"):
        case "array":
            return [value] if isinstance(value, str) else value
        case "integer" if isinstance(value, str) and value.isdigit():
            return int(value)
        case "boolean" if value in ("true", "false"):
            return value == "true"
        case _:
            return value


def _check(schema: Schema, value: Any, what: str) -> None:
    error = best_match(_validator(orjson.dumps(schema)).iter_errors(value))
    if error is not None:
        where = "".join(f"[{part!r}]" for part in error.absolute_path) or "the whole"
        raise AssertionError(f"{what}: {where}: {error.message[:500]}")


@cache
def _validator(schema: bytes) -> Draft202012Validator:
    components = {"schemas": _strict(description("twilio-api")["components"]["schemas"])}
    judge = _strict(orjson.loads(schema)) | {"components": components}
    return Draft202012Validator(judge, format_checker=FORMATS)


def _strict(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: null where allowed, no unknown fields."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _strict(value) for name, value in schema.items() if name != "nullable"}
    if isinstance(made.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    if schema.get("nullable") is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made
