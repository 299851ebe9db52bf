"""The shape of JSON bodies: every name and type is checked before anything else.

A shape is "string", "integer", "number", "boolean", "object" (with free fields), [shape] for an
array, {"+": shape} for a map, or {"name": shape, …} for an object; * marks a required field.
"""

from __future__ import annotations

from typing import Any

from deployments.sandbox.sendgrid.errors import Error, Refused, mail_error

Shape = Any

TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
}


def checked(shape: Shape, body: Any) -> dict[str, Any]:
    """The body, or a refusal which names all that is wrong with it."""
    errors: list[Error] = []
    check(shape, body, "", errors)
    if errors:
        raise Refused(400, *errors)
    return body


def check(shape: Shape, value: Any, at: str, errors: list[Error]) -> None:
    if isinstance(shape, str):
        if not _is(shape, value):
            _wrong_type(shape, value, at, errors)
    elif not isinstance(value, type(shape)):
        _wrong_type("array" if isinstance(shape, list) else "object", value, at, errors)
    elif isinstance(shape, list):
        for number, each in enumerate(value):
            check(shape[0], each, f"{at}.{number}", errors)
    elif "+" in shape:
        for name, each in value.items():
            check(shape["+"], each, f"{at}.{name}", errors)
    else:
        _object(shape, value, at, errors)


def _object(shape: Shape, value: dict[str, Any], at: str, errors: list[Error]) -> None:
    for name, each in value.items():
        inner = shape.get(name) or shape.get("*" + name)
        if inner is None:
            errors.append(mail_error(f"Additional property {name} is not allowed", at or "(root)"))
        else:
            check(inner, each, f"{at}.{name}" if at else name, errors)
    for name in shape:
        if name[0] == "*" and name[1:] not in value:
            errors.append(mail_error(f"{name[1:]} is required", at or "(root)"))


def _is(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind])


def _wrong_type(kind: str, value: Any, at: str, errors: list[Error]) -> None:
    words = [part for part in at.split(".") if not part.isdigit()]
    message = _said_about(words) or f"Invalid type. Expected: {kind}, given: {_name_of(value)}."
    where = at or "(root)"
    if words[-2:-1] == ["custom_args"]:
        where = at.rpartition(".")[0]
    errors.append(mail_error(message, where, "message." + ".".join(words) if words else None))


def _said_about(words: list[str]) -> str | None:
    path = ".".join(words)
    for known in (path, ".".join(words[1:]), ".".join([*words[:-1], "+"])):
        if known in WORDS:
            return WORDS[known]
    if words[-2:-1] == ["custom_args"]:
        return "All values of custom arguments object must be strings"
    if words[-1:] == ["enable"]:
        return f"The {words[-2].replace('_', ' ')} enable param should be a boolean value."
    return None


def _name_of(value: Any) -> str:
    names = {bool: "boolean", str: "string", int: "integer", float: "number", list: "array"}
    return "null" if value is None else names.get(type(value), "object")


# What the service says of a wrong type, where it has words of its own.
WORDS = {
    "categories": "Categories must be an array of strings.",
    "subject": "The subject of your email must be a string at least one character in length.",
    "send_at": "The send_at parameter is expecting a Unix timestamp as an integer. We will send "
    "immediately if you include a send_at timestamp that is in the past.",
    "headers.+": "The header values must be strings.",
    "personalizations.headers.+": "All values of the headers object must be strings.",
    "personalizations.substitutions.+": "The substitution values must be an object of key/value "
    "pairs, where the values are all strings.",
    "asm.group_id": "The ASM group ID must be an integer.",
    "asm.groups_to_display": "The ASM Group IDs to display must be an array of integers.",
    "batch_id": "The batch_id must be a string.",
    "ip_pool_name": "The name of your IP pool must be a string.",
    "sections.+": "The section values must be strings.",
    "attachments.filename": "The filename of your attachment must be a string.",
    "content.value": "The content value must be a string at least one character in length.",
    "content.type": "Your content type must be a string with length of at least one character.",
}

EMAIL: Shape = {"email": "string", "name": "string"}
SWITCH: Shape = {"enable": "boolean"}
STRINGS: Shape = {"+": "string"}
PERSONALIZATION: Shape = {
    "from": EMAIL,
    "to": [EMAIL],
    "cc": [EMAIL],
    "bcc": [EMAIL],
    "subject": "string",
    "headers": STRINGS,
    "substitutions": STRINGS,
    "dynamic_template_data": "object",
    "custom_args": STRINGS,
    "send_at": "integer",
}
MAIL: Shape = {
    "personalizations": [PERSONALIZATION],
    "from": EMAIL,
    "reply_to": EMAIL,
    "reply_to_list": [EMAIL],
    "subject": "string",
    "content": [{"type": "string", "value": "string"}],
    "attachments": [
        {
            "content": "string",
            "type": "string",
            "filename": "string",
            "disposition": "string",
            "content_id": "string",
        }
    ],
    "template_id": "string",
    "sections": STRINGS,
    "headers": STRINGS,
    "categories": ["string"],
    "custom_args": STRINGS,
    "send_at": "integer",
    "batch_id": "string",
    "asm": {"group_id": "integer", "groups_to_display": ["integer"]},
    "ip_pool_name": "string",
    "mail_settings": {
        "bypass_list_management": SWITCH,
        "bypass_spam_management": SWITCH,
        "bypass_bounce_management": SWITCH,
        "bypass_unsubscribe_management": SWITCH,
        "footer": SWITCH | {"text": "string", "html": "string"},
        "sandbox_mode": SWITCH,
    },
    "tracking_settings": {
        "click_tracking": SWITCH | {"enable_text": "boolean"},
        "open_tracking": SWITCH | {"substitution_tag": "string"},
        "subscription_tracking": SWITCH
        | {"text": "string", "html": "string", "substitution_tag": "string"},
        "ganalytics": SWITCH
        | {"utm_source": "string", "utm_medium": "string", "utm_term": "string"}
        | {"utm_content": "string", "utm_campaign": "string"},
    },
}
