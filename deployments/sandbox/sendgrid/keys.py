"""Who calls: an API key names the account and the rights.

A key is `SG.<22 letters>.<43 letters>`. One that was never introduced belongs to an account of
its own, named by its first part, and has every right; the control `keys` introduces others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deployments.sandbox.sendgrid.errors import Refused, mail_error, refusal

KEY = re.compile(r"^SG\.([\w-]{22})\.[\w-]{43}$", re.ASCII)

RIGHTS = ("create", "delete", "read", "update")
# A part of what a key with full access lists.
AREAS = (
    "asm.groups",
    "asm.groups.suppressions",
    "asm.suppressions.global",
    "mail.batch",
    "suppression",
    "suppression.blocks",
    "suppression.bounces",
    "suppression.invalid_emails",
    "suppression.spam_reports",
    "suppression.unsubscribes",
    "templates",
    "templates.versions",
    "user.account",
    "user.credits",
    "user.scheduled_sends",
    "user.username",
    "user.webhooks.event.settings",
    "whitelabel",
)
SCOPES = frozenset({"mail.send", *(f"{area}.{right}" for area in AREAS for right in RIGHTS)})


@dataclass(slots=True)
class Grant:
    account: str
    scopes: frozenset[str] = SCOPES
    revoked: bool = False

    def allows(self, scope: str | None) -> bool:
        """A scope also covers the finer ones below it: suppression.read, suppression.bounces.read."""
        if scope is None or scope in self.scopes:
            return True
        area, _, right = scope.rpartition(".")
        return f"{area.partition('.')[0]}.{right}" in self.scopes


def key_of(headers: dict[str, str]) -> str:
    authorization = headers.get("authorization", "")
    scheme, _, key = authorization.partition(" ")
    if not authorization or scheme.lower() != "bearer":
        raise refusal(401, "authorization required")
    return key.strip()


def name_in(key: str) -> str:
    found = KEY.match(key)
    if found is None:
        raise refusal(401, "authorization required")
    return found.group(1)


def wrong_key() -> Refused:
    """As mail/send says it; elsewhere the same words serve for no key and a wrong one."""
    message = "The provided authorization grant is invalid, expired, or revoked"
    return Refused(401, mail_error(message))
