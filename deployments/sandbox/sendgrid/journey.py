"""What becomes of an accepted message: held, dropped, processed, deferred, delivered, bounced."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any

from deployments.sandbox.sendgrid import engagement
from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.messages import Message
from deployments.sandbox.sendgrid.suppressed import bypassed_by

# What mail servers say: reason, enhanced status, SendGrid's classification.
BOUNCE = (
    "550 5.1.1 The email account that you tried to reach does not exist. Please try "
    "double-checking the recipient's email address for typos or unnecessary spaces.",
    "5.1.1",
    "Invalid Address",
)
BLOCK = ("550 5.7.1 Message blocked due to spam content in the message.", "5.7.1", "Content")
EXPIRED = ("unable to get mx info: failed to get IPs from PTR record", "4.0.0", "Unclassified")
LATER = "451 4.7.1 Greylisted, please try again in a few minutes"
SERVER = "167.89.101.76"


def accept(account: Account, messages: list[Message]) -> None:
    """Queue them for when they are wanted; most are wanted now."""
    account.mails[messages[0].mail.id] = messages[0].mail
    account.messages += messages
    body = messages[0].mail.body
    if "send_at" not in body and not any("send_at" in each for each in body["personalizations"]):
        release(account, messages)
        return
    for moment, group in groupby(sorted(messages, key=Message.moment), key=Message.moment):
        account.agenda.at(moment, partial(release, account, list(group)))


def release(account: Account, messages: list[Message]) -> None:
    batch = messages[0].mail.body.get("batch_id", "")
    said = account.scheduled.get(batch)
    if said == "pause":
        account.held.setdefault(batch, []).append(messages)
    elif said == "cancel":
        for message in messages:
            message.state = "cancelled"
    else:
        due = account.now() + account.settings.process_seconds
        account.agenda.at(due, partial(_process, account, messages))


def _process(account: Account, messages: list[Message]) -> None:
    body = messages[0].mail.body
    group = body.get("asm", {}).get("group_id")
    bypassed = bypassed_by(body.get("mail_settings", {}))
    broken = "template_id" in body and account.active_version(body["template_id"]) is None
    going: list[Message] = []
    for message in messages:
        behaviour = account.settings.behaviour(message.email.lower())
        if behaviour == "lose":
            message.state = "lost"
            continue
        if behaviour == "invalid":
            reason = "Mail domain mentioned in email address is unknown"
            account.suppressions.add(
                "invalid_emails", message.email, account.seconds(), reason=reason
            )
        why = account.suppressions.why_dropped(message.email, group, bypassed)
        if broken:
            # An unknown template is found out here only, after the 202.
            why = "Invalid SMTPAPI header"
        if why:
            _move(account, message, "dropped", reason=why, status="5.0.0")
            continue
        _move(account, message, "processed")
        going.append(message)
    if going:
        due = account.now() + account.settings.deliver_seconds
        account.agenda.at(due, partial(_attempt_all, account, going))


def _attempt_all(account: Account, messages: list[Message]) -> None:
    for message in messages:
        attempt(account, message)


def attempt(account: Account, message: Message) -> None:
    BEHAVIOURS[account.settings.behaviour(message.email.lower())](account, message)


def deliver(account: Account, message: Message) -> None:
    message.at = account.now()
    account.delivered[message.email.lower()] += 1
    _move(account, message, "delivered", response="250 2.0.0 OK", ip=SERVER, tls=1)


def bounce(account: Account, message: Message, said: tuple[str, str, str] = BOUNCE) -> None:
    reason, status, kind = said
    account.suppressions.add(
        "bounces", message.email, account.seconds(), reason=reason, status=status
    )
    _bounced(account, message, "bounced", "bounce", reason, status, kind)


def block(account: Account, message: Message, said: tuple[str, str, str] = BLOCK) -> None:
    reason, status, kind = said
    account.suppressions.add(
        "blocks", message.email, account.seconds(), reason=reason, status=status
    )
    _bounced(account, message, "blocked", "blocked", reason, status, kind)


def defer(account: Account, message: Message, then: Callable[[Account, Message], None]) -> None:
    """Not now, says the other server; after some attempts comes what is `then`."""
    if message.attempts >= account.settings.defer_attempts:
        then(account, message)
        return
    message.attempts += 1
    _move(account, message, "deferred", response=LATER, attempt=str(message.attempts), tls=1)
    due = account.now() + max(0.001, account.settings.defer_seconds)
    account.agenda.at(due, partial(defer, account, message, then))


def _bounced(
    account: Account, message: Message, state: str, kind: str, reason: str, status: str, why: str
) -> None:
    message.state = state
    more = {"reason": reason, "status": status, "type": kind, "bounce_classification": why}
    account.outbox.emit(message, "bounce", ip=SERVER, tls=1, **more)


def _move(account: Account, message: Message, state: str, **more: Any) -> None:
    message.state = state
    account.outbox.emit(message, state, **more)


def _swallow(account: Account, message: Message) -> None:
    """Processed, and never heard of again."""


def _then(act: Callable[[Account, Message], None]) -> Callable[[Account, Message], None]:
    def delivered_then(account: Account, message: Message) -> None:
        deliver(account, message)
        act(account, message)

    return delivered_then


BEHAVIOURS: dict[str, Callable[[Account, Message], None]] = {
    "deliver": deliver,
    "bounce": bounce,
    "block": block,
    "defer": partial(defer, then=deliver),
    "stuck": partial(defer, then=partial(block, said=EXPIRED)),
    "swallow": _swallow,
    "spam": _then(engagement.mark_spam),
    "open": _then(engagement.open_mail),
    "click": _then(engagement.click),
    "unsubscribe": _then(engagement.unsubscribe),
}
KNOWN = frozenset({*BEHAVIOURS, "invalid", "lose"})
