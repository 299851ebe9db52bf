"""Stripe's own description as a judge of requests and answers."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from published import description

Schema = dict[str, Any]
# Objects that are cut short in the description: nothing can be said about their fields.
OPEN = frozenset({"_Trimmed"})
NOTHING: Schema = {"type": "object", "properties": {}}


class Operation(NamedTuple):
    name: str
    parameters: Schema
    answer: Schema
    refusal: Schema


def operation_for(method: str, path: str) -> Operation:
    """The described operation at a path as it is called, without base and query."""
    parts = path.partition("?")[0].strip("/").split("/")
    for template in _templates(len(parts)):
        words = template.strip("/").split("/")
        if all(
            word == part or word.startswith("{") for word, part in zip(words, parts, strict=True)
        ):
            found = description("stripe")["paths"][template].get(method.lower())
            if found:
                return _operation(f"{method.upper()} {template}", found)
    raise AssertionError(f"{method} {path} is not described")


def check_request(method: str, path: str, params: Any) -> None:
    """Parameters as they were sent: nested, every leaf a string."""
    operation = operation_for(method, path)
    _check(
        operation.parameters, coerced(operation.parameters, params or {}), f"{operation.name} asked"
    )


def check_answer(method: str, path: str, status: int, body: Any) -> None:
    operation = operation_for(method, path)
    content = orjson.loads(body) if isinstance(body, str | bytes) else body
    if status == 200:
        _check(operation.answer, content, f"{operation.name} answered")
        return
    assert isinstance(content.get("error"), dict), (
        f"{operation.name} answered {status} without an error"
    )
    assert content["error"].get("message"), f"{operation.name} answered {status} without a message"
    _check(operation.refusal, content, f"{operation.name} answered {status}")


def check_object(name: str, thing: Any) -> None:
    """A thing against a schema of the description, by the schema's name."""
    _check({"$ref": f"#/components/schemas/{name}"}, thing, name)


def coerced(schema: Schema, value: Any) -> Any:
    """Strings become what the schema says they are, where they can."""
    schema = _resolved(schema)
    if "anyOf" in schema:
        return _first_fitting(schema["anyOf"], value)
    kind = schema.get("type")
    if kind == "array" and isinstance(value, list | dict):
        items = value.values() if isinstance(value, dict) else value
        return [coerced(schema["items"], each) for each in items]
    if isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties")
        return {name: coerced(known.get(name) or rest or {}, each) for name, each in value.items()}
    if isinstance(value, str):
        return _scalar(kind, value)
    return value


def _scalar(kind: str | None, text: str) -> Any:
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    try:
        return int(text) if kind == "integer" else float(text) if kind == "number" else text
    except ValueError:
        return text


def _first_fitting(schemas: list[Schema], value: Any) -> Any:
    typed = [coerced(each, value) for each in schemas]
    for schema, each in zip(schemas, typed, strict=True):
        if _validator(orjson.dumps(schema)).is_valid(each):
            return each
    return typed[0]


@cache
def _templates(length: int) -> list[str]:
    """Paths of so many parts, words before placeholders."""
    paths = [
        path for path in description("stripe")["paths"] if path.strip("/").count("/") == length - 1
    ]
    return sorted(paths, key=lambda path: path.count("{"))


def _operation(name: str, found: dict[str, Any]) -> Operation:
    form = (
        found.get("requestBody", {}).get("content", {}).get("application/x-www-form-urlencoded", {})
    )
    answers = found["responses"]
    return Operation(
        name,
        form.get("schema") or found.get("x-query-schema") or NOTHING,
        answers["200"]["content"]["application/json"]["schema"],
        answers["default"]["content"]["application/json"]["schema"],
    )


def _check(schema: Schema, value: Any, what: str) -> None:
    error = best_match(_validator(orjson.dumps(schema)).iter_errors(value))
    if error is not None:
        where = "".join(f"[{part!r}]" for part in error.absolute_path) or "the whole"
        raise AssertionError(f"{what}: {where}: {error.message[:500]}")


@cache
def _validator(schema: bytes) -> Draft202012Validator:
    return Draft202012Validator(_strict(orjson.loads(schema)) | {"components": _components()})


@cache
def _components() -> dict[str, Any]:
    schemas = description("stripe")["components"]["schemas"]
    return {
        "schemas": {
            name: schema if name in OPEN else _strict(schema) for name, schema in schemas.items()
        }
    }


def _resolved(schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = description("stripe")["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _strict(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: null where allowed, no unknown fields, no unknown words."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        name: {key: _strict(each) for key, each in value.items()}
        if name == "properties"
        else _strict(value)
        for name, value in schema.items()
        if name not in ("nullable", "x-known-values", "format")
    }
    words = schema.get("x-known-values")
    if words and words != [""]:
        made["enum"] = words
    if schema.get("properties") and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") else made
