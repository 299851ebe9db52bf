"""SendGrid's own description as a judge of requests and answers."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from published import description

Schema = dict[str, Any]
ERRORS: Schema = {"$ref": "#/components/schemas/ErrorResponse"}
# The service has these, the description was cut without them.
OUTSIDE = re.compile(
    r"^/v3/(verified_senders.*|whitelabel/domains|user/account|user/credits|user/username"
    r"|asm/suppressions/[^/]+@[^/]+|asm/groups/\d+/suppressions/[^/]+|templates/[^/]+/versions)$"
)
# Where the description is wrong: links are strings or null, dynamic ids have 34 letters, and
# there are errors without a field.
CORRECTED: dict[str, Schema] = {
    "help": {"type": ["string", "null"]},
    "field": {"type": ["string", "null"]},
}


def check_request(method: str, path: str, query: dict[str, Any], body: Any) -> None:
    """What was sent and accepted: every parameter is described, and the body fits."""
    if OUTSIDE.match(path):
        return
    operation, shared = _operation(method, path)
    asked = [_resolved(each) for each in [*operation.get("parameters", []), *shared]]
    known = {each["name"]: each for each in asked if each["in"] == "query"}
    for name, value in query.items():
        assert name in known, f"{method} {path}: {name} is not described"
        _check(known[name]["schema"], _typed(known[name]["schema"], value), f"{path}?{name}")
    for name, each in known.items():
        assert name in query or not each.get("required"), f"{method} {path}: {name} is missing"
    content = _resolved(operation.get("requestBody", {})).get("content", {})
    if body is not None:
        assert content, f"{method} {path} takes no body"
        _check(content["application/json"]["schema"], body, f"{method} {path} asked")


def check_answer(method: str, path: str, status: int, body: bytes) -> None:
    if OUTSIDE.match(path) and status < 400:
        return
    schema = _schema_for(method, path, status)
    if schema is None:
        assert body == b"", f"{method} {path} answered {status} with {body[:200]!r}"
        return
    content = orjson.loads(body)
    if status >= 400:
        assert content.get("errors"), f"{method} {path} answered {status} without errors"
    _check(schema, content, f"{method} {path} answered {status}")


def _schema_for(method: str, path: str, status: int) -> Schema | None:
    """None where there is nothing to say; refusals of all kinds look alike."""
    otherwise = ERRORS if status >= 400 else None
    try:
        operation, _ = _operation(method, path)
    except AssertionError:
        if status < 400:
            raise
        return otherwise
    content = _resolved(operation["responses"].get(str(status), {})).get("content")
    return content["application/json"]["schema"] if content else otherwise


def _operation(method: str, path: str) -> tuple[dict[str, Any], list[Any]]:
    parts = path.strip("/").split("/")
    for template in sorted(description("sendgrid-mail")["paths"], key=lambda each: each.count("{")):
        words = template.strip("/").split("/")
        alike = len(words) == len(parts) and all(
            word == part or word.startswith("{") for word, part in zip(words, parts, strict=True)
        )
        found = description("sendgrid-mail")["paths"][template]
        if alike and method.lower() in found:
            return found[method.lower()], found.get("parameters", [])
    raise AssertionError(f"{method} {path} is not described")


def _typed(schema: Schema, text: Any) -> Any:
    if schema.get("type") in ("integer", "number") and str(text).lstrip("-").isdigit():
        return int(text)
    return text


def _check(schema: Schema, value: Any, what: str) -> None:
    error = best_match(_validator(orjson.dumps(schema)).iter_errors(value))
    if error is not None:
        where = "".join(f"[{part!r}]" for part in error.absolute_path) or "the whole"
        raise AssertionError(f"{what}: {where}: {error.message[:500]}")


@cache
def _validator(schema: bytes) -> Draft202012Validator:
    schemas = description("sendgrid-mail")["components"]["schemas"]
    components = {name: _strict(each) for name, each in schemas.items()}
    made = _strict(orjson.loads(schema)) | {"components": {"schemas": components}}
    return Draft202012Validator(made)


def _resolved(thing: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in thing:
        found: Any = description("sendgrid-mail")
        for word in thing["$ref"].removeprefix("#/").split("/"):
            found = found[word]
        thing = found
    return thing


def _strict(schema: Any, name: str = "") -> Any:
    """No unknown fields; null where it is allowed."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if name in CORRECTED:
        return CORRECTED[name]
    made = {
        key: {inner: _strict(each, inner) for inner, each in value.items()}
        if key == "properties"
        else _strict(value)
        for key, value in schema.items()
        if key not in ("nullable", "format", "description", "example", "examples")
    }
    if name == "id":
        made = {key: value for key, value in made.items() if "Length" not in key}
    if schema.get("properties") and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") else made
