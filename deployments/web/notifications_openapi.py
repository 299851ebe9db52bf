"""How raising and reading notifications appear in the OpenAPI description."""

from typing import Any

from pydantic import BaseModel

from deployments.web.openapi import ANSWERS, IDEMPOTENCY_KEY, failed, inlined

STATE = {
    "type": "string",
    "enum": ["raised", "held", "sending", "paused", "cancelled", "done", "refused"],
}
TIME = {"type": ["string", "null"], "format": "date-time"}
TEXT = {"type": ["string", "null"]}
RAISED = {
    "type": "object",
    "required": ["id", "state", "created"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "state": STATE,
        "created": {"type": "boolean", "description": "False: the key was known."},
    },
}
TOLD = {
    "type": "object",
    "required": ["id", "state", "deliveries"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        **{name: {"type": "string"} for name in ("key", "type", "category")},
        "state": STATE,
        "subject": TEXT,
        "reason": TEXT,
        "dry_run": {"type": "boolean"},
        **dict.fromkeys(("created_at", "planned_at", "finished_at"), TIME),
        "deliveries": {
            "type": "object",
            "description": "Channel → state → how many.",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": {"type": "integer", "minimum": 0},
            },
        },
    },
}


def raising(body: type[BaseModel]) -> dict[str, Any]:
    """What FastAPI is told about raising."""
    schema = body.model_json_schema()
    schema = inlined(schema, schema.pop("$defs", {}))
    own = {
        409: "The key was used for another notification.",
        422: "A parameter or a variable of the type is missing or wrong.",
    }
    return {
        "status_code": 202,
        "summary": "Raise a notification",
        "description": "Tell people something. It is written down, then sent by who drains.",
        "operation_id": "notifications_raise",
        "tags": ["notifications"],
        "responses": {
            202: _answer("Written down.", RAISED),
            200: _answer("The key is known: nothing new was written.", RAISED),
            **_failures(400, 401, 403, 409, 413, 415, 422, 500, 503, own=own),
        },
        "openapi_extra": {
            "parameters": [IDEMPOTENCY_KEY],
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        },
    }


def reading() -> dict[str, Any]:
    """What FastAPI is told about reading."""
    where = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "summary": "Read a notification",
        "description": "Its state, and its deliveries by channel and state.",
        "operation_id": "notifications_read",
        "tags": ["notifications"],
        "responses": {
            200: _answer("The notification.", TOLD),
            **_failures(401, 403, 404, 500, 503, own={404: "There is no such notification."}),
        },
        "openapi_extra": {"parameters": [where]},
    }


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _failures(*statuses: int, own: dict[int, str]) -> dict[int | str, Any]:
    return {status: failed(own.get(status, ANSWERS[status])) for status in statuses}
