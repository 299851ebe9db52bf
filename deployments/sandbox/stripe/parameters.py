"""Strict parameters: every name, type and word is checked against the description's table.

`parameters.json` is made by `describe.py`, which also explains its notation.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson

from deployments.sandbox.stripe.errors import Refused, required

Shape = Any
TABLE: dict[str, Any] = orjson.loads(Path(__file__).with_name("parameters.json").read_bytes())
VERSION: str = TABLE["version"]
EXPANDABLE: dict[str, frozenset[str]] = {
    name: frozenset(paths) for name, paths in TABLE["expandable"].items()
}

_RANGE = {
    "any of": [{"gt": "integer", "gte": "integer", "lt": "integer", "lte": "integer"}, "integer"]
}
_RETRIEVE = {"expand": ["string"]}
_LIST = {
    "ending_before": "string",
    "expand": ["string"],
    "limit": "integer",
    "starting_after": "string",
}

# The description leaves these paths out; the service has them.
OPERATIONS: dict[str, Shape] = TABLE["operations"] | {
    "GET /v1/payouts": _LIST
    | {
        "arrival_date": _RANGE,
        "created": _RANGE,
        "destination": "string",
        "status": {"one of": ["canceled", "failed", "in_transit", "paid", "pending"]},
    },
    "GET /v1/payouts/{payout}": _RETRIEVE,
    "GET /v1/charges/{charge}/refunds": _LIST,
}

UNSET = {"one of": [""]}
SCALARS = {
    "integer": (re.compile(r"^-?\d+$"), int),
    "number": (re.compile(r"^-?\d+(\.\d+)?$"), float),
    "decimal": (re.compile(r"^-?\d+(\.\d+)?$"), str),
    "boolean": (re.compile(r"^(true|false)$"), lambda text: text == "true"),
}

# Writing it was given up in 2026-09-30.endive.
# https://docs.stripe.com/changelog/endive
GIVEN_UP = {
    "payment_method_types": frozenset(
        {
            "POST /v1/payment_intents",
            "POST /v1/payment_intents/{intent}",
            "POST /v1/payment_intents/{intent}/confirm",
            "POST /v1/checkout/sessions",
        }
    )
}


def checked(operation: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with their real types; refuses what the description does not know."""
    for name, operations in GIVEN_UP.items():
        if name in params and operation in operations:
            raise Refused(
                400,
                f"The parameter {name} is no longer supported. Use dynamic payment methods, "
                "allowed_payment_method_types or excluded_payment_method_types.",
                code=f"{name}_no_longer_supported",
                param=name,
            )
    return _object(OPERATIONS[operation], params, "")


def _object(shape: dict[str, Shape], given: dict[str, Any], at: str) -> dict[str, Any]:
    for name in shape:
        if name.startswith("*") and name[1:] not in given:
            raise required(_join(at, name[1:]))
    typed: dict[str, Any] = {}
    for name, value in given.items():
        inner = shape.get(name, shape.get("*" + name))
        if inner is None:
            raise Refused(
                400,
                f"Received unknown parameter: {_join(at, name)}",
                code="parameter_unknown",
                param=_join(at, name),
            )
        typed[name] = _typed(inner, value, _join(at, name), needed="*" + name in shape)
    return typed


def _typed(shape: Shape, value: Any, at: str, *, needed: bool = False) -> Any:
    if isinstance(shape, list):
        return _array(shape[0], value, at)
    if isinstance(shape, str):
        return _scalar(shape, value, at, needed=needed)
    if "any of" in shape:
        return _first_fitting(shape["any of"], value, at)
    if "one of" in shape:
        return _word(shape["one of"], value, at)
    return _hash(shape, value, at)


def _hash(shape: Shape, value: Any, at: str) -> dict[str, Any]:
    if "+" in shape and isinstance(value, list):  # metadata[0]=… looks like an array
        value = {str(number): each for number, each in enumerate(value)}
    if not isinstance(value, dict):
        raise _empty_or(value, at, "Invalid hash", "parameter_invalid_hash")
    if "+" in shape:
        return {key: _typed(shape["+"], each, _join(at, key)) for key, each in value.items()}
    return _object(shape, value, at)


def _array(shape: Shape, value: Any, at: str) -> list[Any]:
    if isinstance(value, dict) and all(key.isdigit() for key in value):
        value = [value[key] for key in sorted(value, key=int)]
    if not isinstance(value, list):
        raise _empty_or(value, at, "Invalid array", "parameter_invalid_array")
    return [_typed(shape, each, f"{at}[{number}]") for number, each in enumerate(value)]


def _scalar(kind: str, value: Any, at: str, *, needed: bool) -> Any:
    if kind == "any":
        return value
    if kind == "string":
        if not isinstance(value, str):
            raise Refused(400, "Invalid string", code="parameter_invalid_string", param=at)
        if needed and not value:
            raise _empty(at)
        return value
    pattern, convert = SCALARS[kind]
    if not isinstance(value, str) or not pattern.match(value):
        raise _empty_or(value, at, f"Invalid {kind}", f"parameter_invalid_{kind}")
    return convert(value)


def _word(words: list[str], value: Any, at: str) -> str:
    if value in words:
        return value
    shown = ", ".join(word for word in words[:20] if word)
    raise _empty_or(value, at, f"Invalid {at}: must be one of {shown}", "parameter_invalid_enum")


def _first_fitting(shapes: list[Shape], value: Any, at: str) -> Any:
    """Try each alternative; complain in the words of the one that looks most like the value."""
    refusals: list[tuple[bool, Refused]] = []
    for shape in shapes:
        try:
            return _typed(shape, value, at)
        except Refused as refusal:
            alike = isinstance(value, str) != _is_hash(shape)
            refusals.append((alike and shape != UNSET, refusal))
    raise max(refusals[::-1], key=lambda each: each[0])[1]


def _is_hash(shape: Shape) -> bool:
    return isinstance(shape, list) or (isinstance(shape, dict) and "one of" not in shape)


def _empty_or(value: Any, at: str, message: str, code: str) -> Refused:
    if value == "":
        return _empty(at)
    return Refused(400, f"{message}: {value}", code=code, param=at)


def _empty(at: str) -> Refused:
    return Refused(
        400,
        f"You passed an empty string for '{at}'. We assume empty values are an attempt to unset "
        f"a parameter; however '{at}' cannot be unset. You should remove '{at}' from your "
        "request or supply a non-empty value.",
        code="parameter_invalid_empty",
        param=at,
    )


def _join(at: str, name: str) -> str:
    return f"{at}[{name}]" if at else name
