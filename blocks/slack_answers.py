"""What Slack answers, as content or as one of our errors.

https://docs.slack.dev/apis/web-api/#responses
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson

from atlvs.errors import IntegrationError, OutcomeUnknown, Rejected, Unauthorized, Unavailable
from blocks.wire import Answer, retry_after

Json = dict[str, Any]
JSON = "application/json; charset=utf-8"
FORM = "application/x-www-form-urlencoded"
WORD = re.compile(r"[a-z][a-z0-9_]{1,60}")

LATER = ("ratelimited", "rate_limited")
TROUBLE = ("fatal_error", "internal_error", "request_timeout", "service_unavailable")
REFUSED = (
    *("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"),
    *("app_access_restricted", "not_allowed_token_type", "org_login_required"),
)
MENDS = {
    "not_in_channel": "Invite the bot into the channel, or grant chat:write.public.",
    "channel_not_found": "Give the channel's id; into a private channel the bot must be invited.",
    "is_archived": "Unarchive the channel or choose another.",
    "name_taken": "A channel has this name, perhaps an archived one. Choose another.",
    "message_limit_exceeded": "The workspace has reached the limit of its plan.",
    "users_not_found": "Nobody in the workspace has this address.",
    "user_not_found": "There is no such person in the workspace.",
    "user_disabled": "This person's account is deactivated.",
}
HOOK_DEAD = ("invalid_token", "no_active_hooks", "no_service", "no_team", "team_disabled")


def encoded(method: str, arguments: Mapping[str, Any] | bytes) -> tuple[str, bytes]:
    """Arguments as Slack takes them: JSON for messages, forms for all else."""
    if isinstance(arguments, bytes):
        return JSON, arguments
    given = {name: value for name, value in arguments.items() if value is not None}
    if method.startswith("chat."):
        return JSON, orjson.dumps(given)
    plain = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in given.items()
    }
    return FORM, urlencode(plain).encode()


def content_of(method: str, answer: Answer, *, reading: bool) -> Json:
    """An answer's JSON. What did not come from Slack does not tell what Slack did."""
    if answer.status == 429:
        wait = retry_after(answer.headers) or 1.0
        text = f"{method}: too many calls."
        raise Unavailable("slack", text, code="ratelimited", retry_after=wait)
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        content = None
    if answer.status >= 500 or not isinstance(content, dict) or "ok" not in content:
        kind = Unavailable if reading else OutcomeUnknown
        raise kind("slack", f"{method} was answered {answer.status}.", code="no_answer")
    return content


def refusal(method: str, content: Mapping[str, Any], *, reading: bool) -> IntegrationError:
    """A refusal, by what to do next. https://docs.slack.dev/apis/web-api/#responses"""
    told = content.get("error")
    code = told if isinstance(told, str) and WORD.fullmatch(told) else "unknown_error"
    if code in LATER:
        return Unavailable("slack", f"{method}: too many calls.", code=code, retry_after=1.0)
    if code in TROUBLE:
        kind = Unavailable if reading else OutcomeUnknown
        return kind("slack", f"{method}: {code}.", code="no_answer")
    if code == "missing_scope":
        return missing_scope(str(content.get("needed") or "a scope")[:200])
    if code in REFUSED:
        return Unauthorized("slack", f"{method}: {code}.", code=code)
    return Rejected("slack", f"{method}: {code}. {MENDS.get(code, '')}".rstrip(), code=code)


def missing_scope(needed: str) -> Unauthorized:
    """The token lacks a right that only a reinstall gives."""
    text = f"reinstall needed: missing {needed}. Add it under OAuth & Permissions and reinstall the app."
    return Unauthorized("slack", text, code="missing_scope", field=needed)


def hook_refusal(answer: Answer) -> IntegrationError:
    """What an incoming webhook answered. https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"""
    if answer.status == 429:
        wait = retry_after(answer.headers) or 1.0
        return Unavailable(
            "slack", "the incoming webhook is too busy.", code="ratelimited", retry_after=wait
        )
    told = answer.body[:100].decode("utf-8", "replace").strip()
    code = told if WORD.fullmatch(told) else f"status_{answer.status}"
    text = f"the incoming webhook answered {code}."
    if answer.status >= 500:
        return OutcomeUnknown("slack", text, code="no_answer")
    return (Unauthorized if code in HOOK_DEAD else Rejected)("slack", text, code=code)
