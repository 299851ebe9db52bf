"""Slack's own description as a judge of requests and answers.

The description was closed in 2021: what the reference added since is listed here, by name.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from published import description

Schema = dict[str, Any]

# https://docs.slack.dev/reference/methods: arguments that are younger than the description.
ARGUMENTS: dict[str, set[str]] = {
    "chat.postMessage": {"metadata", "markdown_text", "client_msg_id"},
    "chat.update": {"metadata", "markdown_text", "reply_broadcast"},
    "chat.scheduleMessage": {"metadata", "markdown_text"},
    "chat.postEphemeral": {"markdown_text"},
    "conversations.create": {"team_id"},
    "conversations.history": {"include_all_metadata"},
    "conversations.invite": {"force"},
    "conversations.list": {"team_id"},
    "conversations.open": {"prevent_creation"},
    "conversations.replies": {"include_all_metadata"},
    "oauth.v2.access": {"grant_type", "refresh_token"},
    "users.list": {"team_id"},
}
PROPERTIES: dict[str, set[str]] = {
    "objs_message": {"app_id", "metadata", "edited"},
    "objs_conversation": {"context_team_id", "updated", "shared_team_ids", "is_user_deleted"},
    "objs_team": {"url"},
    "objs_user": {"who_can_share_contact_card", "is_email_confirmed"},
}
# Every answer may carry these.
EVERYWHERE = {"warning", "response_metadata"}
ANSWERS: dict[str, set[str]] = {
    "auth.test": {"expires_in"},
    "conversations.invite": {"errors"},
    "conversations.kick": {"errors"},
}
REFUSALS = {"needed", "provided", "errors", "deprecated_argument", *EVERYWHERE}
ERRORS = {
    "internal_error", "invalid_arg_name", "invalid_arguments", "missing_scope", "ratelimited",
    "service_unavailable", "token_expired", "token_revoked", "invalid_blocks",
    "invalid_blocks_format", "msg_blocks_too_long", "invalid_attachments",
    "invalid_metadata_format", "invalid_metadata_schema", "metadata_too_large",
    "markdown_text_conflict", "message_limit_exceeded", "cannot_dm_bot", "thread_not_found",
    "restricted_action", "restricted_action_read_only_channel",
    "restricted_action_thread_only_channel", "restricted_action_non_threadable_channel",
    "user_disabled", "invalid_limit", "invalid_cursor", "invalid_types", "not_in_channel",
    "channel_not_found", "cant_invite", "invalid_ts", "name_taken", "is_archived",
    "invalid_scheduled_message_id", "invalid_json", "json_not_object",
}  # fmt: skip


def is_described(method: str) -> bool:
    return f"/{method}" in description("slack-web")["paths"]


def check_request(method: str, given: dict[str, Any]) -> None:
    """The names that were sent, without the token; which are needed, of those always needed."""
    described = {each["name"]: each for each in _operation(method)["parameters"]}
    known = described.keys() | ARGUMENTS.get(method, set())
    assert not given.keys() - known, f"{method} was asked with {sorted(given.keys() - known)}"
    for name, parameter in described.items():
        needed = parameter.get("required") and name not in ("token", "code")
        assert not needed or name in given, f"{method} was asked without {name}"


def check_answer(method: str, body: Any) -> None:
    content = orjson.loads(body) if isinstance(body, str | bytes) else body
    answers = _operation(method)["responses"]
    if content["ok"]:
        schema = _changed(method, _strict(answers["200"]["schema"]))
        schema = _with(schema, ANSWERS.get(method, set()) | EVERYWHERE)
    else:
        schema = _with(_strict(answers["default"]["schema"]), REFUSALS)
        words = schema["properties"]["error"].get("enum")
        if words:
            schema["properties"]["error"] = {"enum": sorted({*words, *ERRORS})}
    _check(schema, content, f"{method} answered")


def _operation(method: str) -> dict[str, Any]:
    (found,) = description("slack-web")["paths"][f"/{method}"].values()
    return found


def _changed(method: str, schema: Schema) -> Schema:
    """Where the description is wrong by itself."""
    properties = schema.get("properties", {})
    if method == "chat.update":  # blocks are a list, there as everywhere
        properties["message"]["properties"]["blocks"] = {"$ref": "#/definitions/blocks"}
    if method == "chat.scheduleMessage":
        properties["message"] = _with(properties["message"], {"blocks", "app_id"})
    if method == "conversations.replies":  # it knows no messages of apps
        properties["messages"]["items"] = {"$ref": "#/definitions/objs_message"}
    return schema


def _check(schema: Schema, value: Any, what: str) -> None:
    error = best_match(_validator(orjson.dumps(schema)).iter_errors(value))
    if error is not None:
        where = "".join(f"[{part!r}]" for part in error.absolute_path) or "the whole"
        raise AssertionError(f"{what}: {where}: {error.message[:500]}")


@cache
def _validator(schema: bytes) -> Draft202012Validator:
    return Draft202012Validator(orjson.loads(schema) | {"definitions": _definitions()})


@cache
def _definitions() -> dict[str, Any]:
    return {
        name: _with(_strict(schema), PROPERTIES.get(name, set()))
        for name, schema in description("slack-web")["definitions"].items()
    }


def _with(schema: Schema, names: set[str]) -> Schema:
    """The schema, and each of its alternatives, with more properties."""
    if "anyOf" in schema:
        return schema | {"anyOf": [_with(each, names) for each in schema["anyOf"]]}
    if not names or "properties" not in schema:
        return schema
    return schema | {"properties": {**dict.fromkeys(names, True), **schema["properties"]}}


def _strict(schema: Any) -> Any:
    """Its dialect as JSON Schema: `items` with a list stands for alternatives there."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        name: {key: _strict(each) for key, each in value.items()}
        if name == "properties"
        else _strict(value)
        for name, value in schema.items()
        if name not in ("format", "minItems")
    }
    if isinstance(made.get("items"), list):
        alternatives = {"anyOf": made.pop("items")}
        return made | ({"items": alternatives} if made.get("type") == "array" else alternatives)
    return made
