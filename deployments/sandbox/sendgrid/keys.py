"""Who calls: an API key names the account and the rights.

A key is `SG.<22 letters>.<43 letters>`. One that was never introduced belongs to an account of
its own, named by its first part, and has every right; the control `keys` introduces others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deployments.sandbox.sendgrid.errors import Refused, mail_error, refusal

KEY = re.compile(r"^SG\.([\w-]{22})\.[\w-]{43}$", re.ASCII)

# A part of what a key with full access lists.
SCOPES = frozenset(
    """
    asm.groups.create asm.groups.delete asm.groups.read asm.groups.update
    asm.groups.suppressions.create asm.groups.suppressions.delete asm.groups.suppressions.read
    asm.groups.suppressions.update asm.suppressions.global.create asm.suppressions.global.delete
    asm.suppressions.global.read asm.suppressions.global.update
    mail.batch.create mail.batch.delete mail.batch.read mail.batch.update mail.send
    suppression.blocks.delete suppression.blocks.read suppression.bounces.delete
    suppression.bounces.read suppression.create suppression.delete
    suppression.invalid_emails.delete suppression.invalid_emails.read suppression.read
    suppression.spam_reports.delete suppression.spam_reports.read
    suppression.unsubscribes.delete suppression.unsubscribes.read suppression.update
    templates.create templates.delete templates.read templates.update
    templates.versions.create templates.versions.delete templates.versions.read
    templates.versions.update user.account.read user.credits.read user.scheduled_sends.create
    user.scheduled_sends.delete user.scheduled_sends.read user.scheduled_sends.update
    user.webhooks.event.settings.create user.webhooks.event.settings.delete
    user.webhooks.event.settings.read user.webhooks.event.settings.update whitelabel.read
    sender_verification_eligible 2fa_required
    """.split()
)


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
        raise wrong_key()
    return found.group(1)


def wrong_key() -> Refused:
    return Refused(
        401, mail_error("The provided authorization grant is invalid, expired, or revoked")
    )
