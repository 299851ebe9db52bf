"""Requests to send, as plain dicts: one personalization for each recipient, so that nobody sees another.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
What is alike for all stands once in the content; what differs is put in by substitution, under tags
that nobody can guess and write into a variable.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from atlvs.attachments import MOST_BYTES, OCTETS, check
from atlvs.errors import Rejected
from blocks.sendgrid import SendGrid
from tasks.sendgrid.letters import Letter
from tasks.sendgrid.variables import UNSEEN, one_line

Json = dict[str, Any]
MOST_SUBSTITUTED = 9_500  # bytes for one recipient; SendGrid refuses 10,000


def envelope(
    connector: SendGrid,
    personalizations: Sequence[Json],
    *,
    category: str,
    attachments: Sequence[Mapping[str, Any]] = (),
    group: int | None = None,
    secret: bool = False,
) -> Json:
    """What every request has. `secret`: its links let somebody in, and are not to be tracked."""
    body: Json = {
        "from": sender(connector),
        "personalizations": list(personalizations),
        "categories": [category],
        # Accounts may add an unsubscribe footer to everything: ours stands in the content.
        "tracking_settings": {"subscription_tracking": {"enable": False}},
    }
    if secret:
        body["tracking_settings"] |= {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
        }
    if connector.reply_to:
        body["reply_to"] = {"email": connector.reply_to}
    if attachments:
        body["attachments"] = [attachment(one) for one in attachments]
    if group is not None:
        body["asm"] = {"group_id": group}
    return body


def sender(connector: SendGrid) -> Json:
    """Who it is from."""
    name = one_line(connector.from_name or "", 100)
    return {"email": connector.from_email} | ({"name": name} if name else {})


def recipient(email: str, name: Any = None) -> Json:
    """One personalization's address."""
    shown = one_line(name or "", 100)
    return {"to": [{"email": email} | ({"name": shown} if shown else {})]}


def one_click(url: str) -> dict[str, str]:
    """Headers with which a mail program unsubscribes by itself: RFC 8058."""
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def content(subject: str, text: str | None, html: str) -> Json:
    """Subject and bodies; SendGrid wants the plain text first."""
    bodies = [("text/plain", text), ("text/html", html)]
    return {
        "subject": subject,
        "content": [{"type": kind, "value": value} for kind, value in bodies if value],
    }


def merged(letters: Sequence[Letter]) -> tuple[Json, list[Json]]:
    """One content for all letters, and for each what differs: its subject and substitutions."""
    token = secrets.token_hex(8)
    first, own = letters[0], [dict[str, str]() for _ in letters]
    bodies = dict[str, str]()
    for name in ("text", "html"):
        parts: list[str] = []
        for place, variants in enumerate(
            zip(*(getattr(one, name) for one in letters), strict=True)
        ):
            if len(set(variants)) == 1:
                parts.append(variants[0])
                continue
            tag = f"-{token}-{name}-{place}-"
            parts.append(tag)
            for substitutions, variant in zip(own, variants, strict=True):
                substitutions[tag] = variant
        bodies[name] = "".join(parts)
    differing: list[Json] = [{"substitutions": one} if one else {} for one in own]
    if any(one.subject != first.subject for one in letters):
        for personal, one in zip(differing, letters, strict=True):
            personal["subject"] = one.subject
    return content(first.subject, bodies["text"], bodies["html"]), differing


def fits(personal: Json) -> bool:
    """Whether what differs is small enough for SendGrid."""
    substitutions = personal.get("substitutions")
    return not substitutions or len(orjson.dumps(substitutions)) <= MOST_SUBSTITUTED


def encoded(body: Json) -> bytes:
    """The request as it is sent; Rejected when SendGrid would find it too large."""
    made = orjson.dumps(body)
    if len(made) > MOST_BYTES:
        raise Rejected(
            "sendgrid", "the mail and its attachments are larger than 30 MB.", code="too_large"
        )
    return made


def attachment(given: Mapping[str, Any]) -> Json:
    """One attachment as SendGrid wants it; Rejected, by field, when it is none."""
    one = check(given, "sendgrid")
    name = UNSEEN.sub("", str(one["filename"])).replace("\n", "").strip()
    name = re.split(r"[\\/]", name)[-1][:200]
    kind = one.get("type") or OCTETS
    return {
        "filename": name,
        "content": one["content"],
        "type": kind,
        "disposition": "attachment",
    }
