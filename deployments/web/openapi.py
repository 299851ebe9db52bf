"""How a method appears in the OpenAPI description."""

from typing import Any

from deployments.web.methods import Method

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "field": {"type": "string"},
            },
        }
    },
}
ANSWERS = {
    400: "The body is not JSON.",
    401: "No valid API key.",
    403: "The key lacks the right.",
    404: "No such connection, or no such object at the provider.",
    409: "The Idempotency-Key was used with other parameters.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A parameter is wrong, or the provider refuses.",
    500: "A fault here; its id is in the log.",
    502: "The provider refuses the credential: a person must reconnect.",
    503: "Try again after Retry-After seconds.",
    504: "Sent, but no answer: ask again with the same Idempotency-Key.",
}
CONNECTION = {
    "name": "connection",
    "in": "query",
    "required": False,
    "schema": {"type": "string"},
    "description": "Which connection; needed when the organization has several.",
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": "The same key does the same thing once.",
}


def described(method: Method) -> dict[str, Any]:
    """What FastAPI is told about a method's route."""
    title = method.name.replace("_", " ")
    return {
        "summary": title[0].upper() + title[1:],
        "description": method.documentation,
        "operation_id": f"{method.provider}_{method.name}",
        "tags": [method.provider],
        "responses": {status: failed(text) for status, text in ANSWERS.items()},
        "openapi_extra": {
            "parameters": [CONNECTION, *([IDEMPOTENCY_KEY] if method.writes else [])],
            "requestBody": body_of(method),
        },
    }


def failed(text: str) -> dict[str, Any]:
    """An error answer."""
    return {"description": text, "content": {"application/json": {"schema": ERROR}}}


def body_of(method: Method) -> dict[str, Any]:
    """The parameters, in snake_case; camelCase is taken as well."""
    schema = method.parameters.model_json_schema()
    return {
        "required": bool(schema.get("required")),
        "content": {"application/json": {"schema": inlined(schema, schema.pop("$defs", {}))}},
    }


def inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema without references: they would point to the wrong document."""
    if isinstance(schema, list):
        return [inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: inlined(part, definitions) for key, part in schema.items()}
