"""What Slack tells: signatures, and events of which no more is kept than is used.

https://docs.slack.dev/apis/events-api · https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from slack_sdk.signature import SignatureVerifier

from atlvs.errors import Rejected
from atlvs.records import ProviderEvent

Json = dict[str, Any]
FOREVER = 253_402_300_800  # the year 10000, where datetime ends
ID = re.compile(r"[A-Z][A-Z0-9]{1,30}")

PERSON_EVENTS = ("team_join", "user_change")
CHANNEL_EVENTS = (
    *("channel_created", "channel_rename", "channel_archive", "channel_unarchive"),
    *("channel_deleted", "channel_left", "group_rename", "group_archive", "group_unarchive"),
    *("group_deleted", "group_left"),
)
ENDINGS = ("app_uninstalled", "tokens_revoked")


def is_signed(body: bytes, headers: Mapping[str, str], secrets: list[str]) -> bool:
    """Whether any secret signed this body at most 300 s from now."""
    at, signature = (
        headers.get(f"x-slack-{name}") or "" for name in ("request-timestamp", "signature")
    )
    # The SDK raises on other digits, other letters and other bytes than Slack's own.
    if not (at.isascii() and at.isdecimal() and len(at) < 13 and signature.isascii()):
        return False
    try:
        return any(SignatureVerifier(secret).is_valid(body, at, signature) for secret in secrets)
    except UnicodeDecodeError:
        return False


def parsed_body(body: bytes) -> Json:
    """A signed body's JSON; Rejected when it is not of the Events API."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = None
    if isinstance(told, dict) and isinstance(told.get("type"), str):
        return told
    raise malformed()


def malformed() -> Rejected:
    """Signed, but not an event."""
    return Rejected("slack", "the body is not a Slack event.", code="malformed")


def event_from(told: Json) -> ProviderEvent | None:
    """An event as a hint, with no more of it than is used; None where nothing is."""
    if told["type"] != "event_callback":
        return None
    try:
        event, id, at = told["event"], told["event_id"], told["event_time"]
        kind = event["type"]
        if not (isinstance(id, str) and id and isinstance(kind, str) and type(at) is int):
            raise malformed()
        kept = _kept(kind, event)
        if kept is None:
            return None
        payload = {"team_id": str(told.get("team_id") or ""), "event_time": at, "event": kept}
        return ProviderEvent(
            id=id.replace("\0", "")[:200],
            type=kind,
            lane=_lane(kept),
            payload=payload,
            occurred_at=datetime.fromtimestamp(min(max(at, 0), FOREVER - 1), UTC),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise malformed() from error


def _kept(kind: str, event: Json) -> Json | None:
    if kind in PERSON_EVENTS:
        return {"type": kind, "user": person_from(event["user"])}
    if kind in CHANNEL_EVENTS:
        channel = event["channel"]
        return {
            "type": kind,
            "channel": an_id(channel if isinstance(channel, str) else channel["id"]),
        }
    if kind == "tokens_revoked" and not event["tokens"].get("bot"):
        return None  # people's own tokens, which nothing here uses
    return {"type": kind} if kind in ENDINGS else None


def _lane(kept: Json) -> str:
    subject = kept.get("channel") or (kept.get("user") or {}).get("id")
    return subject or "app"


def an_id(value: Any) -> str:
    """An id of Slack's; Rejected when it is none."""
    if not isinstance(value, str) or not ID.fullmatch(value):
        raise malformed()
    return value


def person_from(user: Json) -> Json:
    """What is kept of a person: no telephone, no picture, no status."""
    profile = user.get("profile") or {}
    kept: Json = {"id": an_id(user["id"])}
    for name in ("name", "real_name", "tz"):
        kept[name] = a_text(user.get(name) or profile.get(name))
    for name in ("display_name", "email"):
        kept[name] = a_text(profile.get(name))
    for name in ("deleted", "is_bot"):
        kept[name] = user.get(name) is True
    updated = user.get("updated")
    kept["updated"] = updated if type(updated) is int and 0 <= updated < FOREVER else 0
    return kept


def a_text(value: Any) -> str | None:
    """A text that PostgreSQL can hold."""
    return value.replace("\0", "")[:500] if isinstance(value, str) and value else None
