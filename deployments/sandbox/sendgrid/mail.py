"""mail/send: accepted is only queued; what becomes of it is told in events.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.call import Call, Object, Reply
from deployments.sandbox.sendgrid.demands import check_mail
from deployments.sandbox.sendgrid.errors import Refused, forbidden, mail_error
from deployments.sandbox.sendgrid.recipients import TO
from deployments.sandbox.sendgrid.suppressed import is_on

MOST_BYTES = 30 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Mail:
    """One request, kept as it came: a thousand recipients share it."""

    id: str
    raw: bytes
    at: float

    @property
    def body(self) -> Object:
        return parsed(self.raw)


@dataclass(slots=True, eq=False)
class Message:
    """One mail to one recipient.

    The state goes queued → processed → (deferred)* → delivered | bounced | blocked, or ends in
    dropped, cancelled or lost.
    """

    mail: Mail
    number: int
    place: int
    email: str
    state: str = "queued"
    attempts: int = 0
    at: float = 0.0

    @property
    def personalization(self) -> Object:
        return self.mail.body["personalizations"][self.place]

    @property
    def id(self) -> str:
        """As events call it: X-Message-Id and where it went through."""
        tail = f"recvd-6f7b9d44c-x2k9q-1-{int(self.mail.at):X}-{self.number}"
        return f"{self.mail.id}.{tail}.0"

    def moment(self) -> float:
        own: float | None = self.personalization.get("send_at")
        return own if own is not None else self.mail.body.get("send_at", 0)


@lru_cache(maxsize=8)
def parsed(raw: bytes) -> Object:
    return orjson.loads(raw)


def send_mail(call: Call) -> Reply:
    account, body = call.account, call.body
    if len(call.raw) > MOST_BYTES:
        raise Refused(413, mail_error("content too large"))
    check_mail(account, body)
    _check_standing(account, body)
    if is_on(body.get("mail_settings", {}), "sandbox_mode"):
        return 200, None
    messages = _messages(Mail(account.ids.message(), call.raw, account.now()), body)
    _use_credits(account, len(messages))
    call.headers["x-message-id"] = messages[0].mail.id
    account.accept(messages)
    return 202, None


def _check_standing(account: Account, body: Object) -> None:
    if account.settings.suspended:
        raise forbidden()
    senders = [body["from"], *(each.get("from") for each in body["personalizations"])]
    for sender in filter(None, senders):
        if not account.may_send_as(sender.get("email", "")):
            raise Refused(
                403,
                mail_error(
                    "The from address does not match a verified Sender Identity. Mail cannot be "
                    "sent until this error is resolved. Visit https://sendgrid.com/docs/"
                    "for-developers/sending-email/sender-identity/ to see the Sender Identity "
                    "requirements",
                    "from",
                ),
            )


def _use_credits(account: Account, count: int) -> None:
    left = account.settings.credits
    if left is None:
        return
    if left < count:
        raise Refused(401, mail_error("Maximum credits exceeded"))
    account.settings.credits = left - count


def _messages(mail: Mail, body: Object) -> list[Message]:
    return [
        Message(mail, number, place, email, at=mail.at)
        for number, (place, email) in enumerate(_recipients(body))
    ]


def _recipients(body: Object) -> Iterator[tuple[int, str]]:
    for place, personalization in enumerate(body["personalizations"]):
        for field in TO:
            for recipient in personalization.get(field, ()):
                yield place, recipient["email"]


def custom_args(message: Message) -> dict[str, Any]:
    body, own = message.mail.body, message.personalization.get("custom_args")
    shared = body.get("custom_args")
    return {**shared, **own} if shared and own else own or shared or {}
