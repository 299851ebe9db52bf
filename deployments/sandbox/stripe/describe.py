"""Makes `parameters.json` out of a description of the Stripe API (OpenAPI 3).

    python -m deployments.sandbox.stripe.describe stripe.openapi.json

The table holds what the sandbox needs to be strict: for each operation its parameters, and for
each object which of its fields can be expanded. A parameter is written as

    "string" "integer" "number" "boolean" "decimal" "any"    a scalar, or anything
    {"one of": ["a", "b"]}                                    these words only
    ["string"]                                                an array of that
    {"*amount": "integer", "currency": "string"}              an object; * marks a required field
    {"+": "string"}                                           a map with free keys
    {"any of": […]}                                           alternatives, in order
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

TABLE = Path(__file__).with_name("parameters.json")
Shape = Any


def describe(source: Path) -> dict[str, Any]:
    """The table for the description at `source`."""
    description = orjson.loads(source.read_bytes())
    schemas = description["components"]["schemas"]
    operations = {
        f"{method.upper()} {path}": _parameters(operation, schemas)
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    }
    return {
        "version": description["info"]["version"],
        "operations": dict(sorted(operations.items())),
        "expandable": dict(sorted(_expandable(schemas))),
    }


def write(source: Path, target: Path = TABLE) -> None:
    """One line per operation and object, so that a new version reads well as a diff."""
    table = describe(source)
    parts = [
        f"{_json(key)}: " + _lines(value)
        if isinstance(value, dict)
        else f"{_json(key)}: {_json(value)}"
        for key, value in table.items()
    ]
    target.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def _lines(table: dict[str, Any]) -> str:
    return (
        "{\n" + ",\n".join(f"{_json(key)}: {_json(value)}" for key, value in table.items()) + "\n}"
    )


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _parameters(operation: dict[str, Any], schemas: dict[str, Any]) -> Shape:
    form = operation.get("requestBody", {}).get("content", {})
    schema = form.get("application/x-www-form-urlencoded", {}).get("schema")
    return _shape(schema or operation.get("x-query-schema") or {"properties": {}}, schemas)


def _shape(schema: dict[str, Any], schemas: dict[str, Any]) -> Shape:
    if "$ref" in schema:
        return _shape(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    if "anyOf" in schema:
        return _alternatives([_shape(each, schemas) for each in schema["anyOf"]])
    if schema.get("x-trimmed"):
        return "any"
    words = schema.get("enum") or schema.get("x-known-values")
    # The SDK's "open" enums are closed on the server, except where "" is the only known word.
    if words and (schema.get("enum") or words != [""]):
        return {"one of": sorted(map(str, words))}
    if schema.get("type") == "array":
        return [_shape(schema["items"], schemas)]
    if "properties" in schema:
        required = set(schema.get("required", ()))
        return {
            ("*" if name in required else "") + name: _shape(each, schemas)
            for name, each in schema["properties"].items()
        }
    if "additionalProperties" in schema:
        return {"+": _shape(schema["additionalProperties"], schemas)}
    return "decimal" if schema.get("format") == "decimal" else schema.get("type", "any")


def _alternatives(shapes: list[Shape]) -> Shape:
    """One shape for several: an open enum is closed, and what repeats is dropped."""
    words = sorted({w for shape in shapes if _is_enum(shape) for w in shape["one of"]})
    others = [shape for shape in shapes if not _is_enum(shape)]
    if words and words != [""]:
        others = [shape for shape in others if shape != "string"]
    if words and "string" not in others:
        others.insert(0, {"one of": words})
    kept = [shape for at, shape in enumerate(others) if shape not in others[:at]]
    return kept[0] if len(kept) == 1 else {"any of": kept}


def _is_enum(shape: Shape) -> bool:
    return isinstance(shape, dict) and "one of" in shape


def _expandable(schemas: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for schema in schemas.values():
        words = schema.get("properties", {}).get("object", {}).get("enum")
        if words and "deleted" not in schema.get("required", ()):
            yield words[0], sorted(set(_links(schema, schemas, ())))


def _links(schema: dict[str, Any], schemas: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Dotted paths of the fields which hold an id that can be replaced by its object."""
    for name, field in schema.get("properties", {}).items():
        here = (*path, name)
        if field.get("x-expandable"):
            yield ".".join(here)
        elif (inner := _inner(field, schemas)) and len(here) < 4:
            yield from _links(inner, schemas, here)


def _inner(field: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any] | None:
    """The part of a field which is neither a scalar nor a resource with an id of its own."""
    field = field.get("items", field)
    for each in field.get("allOf", [field]):
        if each.get("x-expandable"):
            return {"properties": {}}
        schema = schemas[each["$ref"].rsplit("/", 1)[1]] if "$ref" in each else each
        properties = schema.get("properties", {})
        if properties and not {"id", "object"} <= set(properties) and "data" not in properties:
            return schema
    return None


if __name__ == "__main__":
    write(Path(sys.argv[1]))
