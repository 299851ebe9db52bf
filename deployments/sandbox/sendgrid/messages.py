"""Mails as they came, and what each recipient gets of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from deployments.sandbox.sendgrid.recipients import TO

Object = dict[str, Any]


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


def messages_in(mail: Mail, body: Object) -> list[Message]:
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
