"""How Zapier's routes appear in the OpenAPI description."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from atlvs.hooks import TRIGGERS
from deployments.web.openapi import ANSWERS, IDEMPOTENCY_KEY, failed, inlined

TEXT = {"type": "string"}
ID = {"type": "string", "format": "uuid"}
TIME = {"type": "string", "format": "date-time"}
OR_NULL = {"type": ["string", "null"]}
TIME_OR_NULL = OR_NULL | {"format": "date-time"}
STATES = {"type": "string", "enum": ["active", "paused", "disabled", "gone", "ended"]}
SIGNED = (
    "A key that was made as a signed one wants `X-Atlvs-Timestamp` (unix seconds, 5 minutes either way) and "
    "`X-Atlvs-Signature: v1,<base64>`: HMAC-SHA256 with the signing secret over "
    "`<timestamp>.<METHOD>.<path?query>.<body>`."
)
ME = {
    "type": "object",
    "required": ["org_id", "organization", "key", "scopes", "signed"],
    "properties": {
        "org_id": ID,
        "organization": TEXT,
        "key": TEXT | {"description": "Its name."},
        "scopes": {"type": "array", "items": TEXT},
        "signed": {"type": "boolean"},
    },
}
SUBSCRIBED = {
    "type": "object",
    "required": ["id", "event", "status", "secret", "created_at"],
    "properties": {
        "id": ID,
        "event": TEXT,
        "status": STATES,
        "secret": TEXT | {"description": "Signs each post, as Standard Webhooks say."},
        "created_at": TIME,
    },
}
LISTED = {
    "type": "object",
    "required": ["hooks"],
    "properties": {
        "hooks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "event", "status", "target", "created_at"],
                "properties": {
                    "id": ID,
                    "event": TEXT,
                    "status": STATES,
                    "target": TEXT | {"description": "As much of the address as may be seen."},
                    "created_at": TIME,
                    "last_success_at": TIME_OR_NULL,
                    "failing_since": TIME_OR_NULL,
                    "reason": OR_NULL,
                },
            },
        }
    },
}
ENDED = {
    "type": "object",
    "required": ["id", "status"],
    "properties": {"id": TEXT, "status": {"const": "ended"}},
}
PAYLOAD = {
    "type": "object",
    "required": ["id", "type", "occurred_at", "org_id", "data"],
    "properties": {
        "id": ID | {"description": "The event's: the same in every post of it."},
        "type": TEXT,
        "occurred_at": TIME,
        "org_id": ID,
        "data": {"type": "object", "description": "The record."},
    },
}
OBJECT = {
    "type": "object",
    "required": ["object", "id"],
    "properties": {"object": TEXT | {"description": "As contact."}, "id": ID},
}


def asking() -> dict[str, Any]:
    """What FastAPI is told about the test of a connection."""
    return _route(
        "me", "Whose key it is", "How Zapier tests a connection.", {200: ("The key.", ME)}
    )


def subscribing(body: type[BaseModel]) -> dict[str, Any]:
    """What FastAPI is told about switching a Zap on."""
    answers = {201: ("Subscribed.", SUBSCRIBED), 200: ("It was subscribed.", SUBSCRIBED)}
    text = "Have an event posted to an address. Once for each organization, event and address."
    return _route("subscribe", "Subscribe to an event", text, answers, body=_schema(body), code=201)


def listing() -> dict[str, Any]:
    """What FastAPI is told about the list of subscriptions."""
    text = "The organization's, newest first."
    return _route("hooks", "List subscriptions", text, {200: ("They.", LISTED)})


def unsubscribing() -> dict[str, Any]:
    """What FastAPI is told about switching a Zap off."""
    text = "Repeatable, also for an id that there never was."
    parameters = [_in_path("id")]
    answers = {200: ("It is ended.", ENDED)}
    return _route("unsubscribe", "End a subscription", text, answers, parameters=parameters)


def sampling() -> dict[str, Any]:
    """What FastAPI is told about samples."""
    limit = {"type": "integer", "minimum": 1, "maximum": 3, "default": 3}
    parameters = [
        _in_path("event", enum=list(TRIGGERS)),
        {"name": "limit", "in": "query", "required": False, "schema": limit},
    ]
    schema = {"type": "array", "minItems": 1, "maxItems": 3, "items": PAYLOAD}
    text = "Of exactly the shape that is posted: the newest, or made up where there are none."
    answers = {200: ("Payloads.", schema)}
    own = {404: "There is no such event."}
    return _route("samples", "Samples of an event", text, answers, parameters=parameters, own=own)


def acting(models: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """What FastAPI is told about the eight actions."""
    answers = {
        201: ("What was made.", OBJECT),
        200: ("What was there, was changed, or was answered to this key before.", OBJECT),
    }
    text = "\n\n".join(
        [
            "Numbers and truth values may come as text; an empty text is a field not given.",
            "A signed request that is sent again, with whatever Idempotency-Key, answers as the first did.",
            *(f"`{name}`: {model.__doc__}" for name, model in models.items()),
        ]
    )
    body = {"anyOf": [_call(name, model) for name, model in models.items()]}
    parameters = [IDEMPOTENCY_KEY]
    own = {404: "The organization has no such record."}
    return _route(
        "act",
        "Carry out an action",
        text,
        answers,
        body=body,
        parameters=parameters,
        own=own,
        code=201,
    )


def _call(name: str, model: type[BaseModel]) -> dict[str, Any]:
    return {
        "type": "object",
        "title": name,
        "required": ["action", "data"],
        "additionalProperties": False,
        "properties": {
            "action": {"const": name},
            "data": _schema(model),
            "zapId": {"type": "string", "maxLength": 100, "pattern": "^[!-~]+$"},
        },
    }


def _route(
    name: str,
    summary: str,
    text: str,
    answers: Mapping[int, tuple[str, dict[str, Any]]],
    *,
    body: dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
    own: Mapping[int, str] | None = None,
    code: int = 200,
) -> dict[str, Any]:
    extra: dict[str, Any] = {"parameters": parameters or []}
    failures = {401: "No valid API key, or not signed with its secret.", 429: "Too many requests."}
    failures |= {status: ANSWERS[status] for status in (403, 413, 415, 500, 503)}
    failures |= {422: "A parameter is missing or wrong."} if body or parameters else {}
    if body:
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
        failures |= {400: ANSWERS[400], 504: "It may have happened: ask again with the same key."}
    return {
        "status_code": code,
        "summary": summary,
        "description": f"{text}\n\n{SIGNED}",
        "operation_id": f"zapier_{name}",
        "tags": ["zapier"],
        "responses": {
            **{status: _answer(*answer) for status, answer in answers.items()},
            **{status: failed(why) for status, why in {**failures, **(own or {})}.items()},
        },
        "openapi_extra": extra,
    }


def _in_path(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", **schema}}


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    return inlined(schema, schema.pop("$defs", {}))
