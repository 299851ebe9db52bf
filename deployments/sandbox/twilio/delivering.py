"""What becomes of an accepted message: it waits for its sender, is sent, and arrives or does not.

https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks
"""

from __future__ import annotations

from deployments.sandbox.twilio.account import Account, Phone
from deployments.sandbox.twilio.callbacks import tell
from deployments.sandbox.twilio.errors import Refused
from deployments.sandbox.twilio.message import Message
from deployments.sandbox.twilio.senders import Sender

# What a carrier says of a phone: the state that the message ends in, and its error.
FATES: dict[str, tuple[str, int | None]] = {
    "delivered": ("delivered", None),
    "no_receipt": ("sent", None),
    "unreachable": ("undelivered", 30003),
    "blocked": ("undelivered", 30004),
    "unknown": ("undelivered", 30005),
    "landline": ("undelivered", 30006),
    "filtered": ("undelivered", 30007),
    "lost": ("undelivered", 30008),
}
USUAL = Phone()


def begin(account: Account, message: Message, sender: Sender | None) -> None:
    service = account.services.get(message.service or "")
    if service is not None and sender is not None:
        service.chosen[message.to] = sender
    if message.send_at is not None:
        account.scheduled += 1
        account.agenda.at(message.send_at, _release, account, message)
    elif service is not None:
        tell(account, message)
        account.agenda.at(message.created, _route, account, message)
    elif sender is not None:
        _enqueue(account, message, sender, message.created)


def change(account: Account, message: Message, status: str, at: float) -> None:
    message.status = status
    message.updated = max(message.updated, at)
    tell(account, message)


def fail(account: Account, message: Message, error: int, at: float, status: str = "failed") -> None:
    message.error = error
    change(account, message, status, at)


def cancel(account: Account, message: Message, at: float) -> None:
    if message.status != "scheduled":
        raise Refused(30410, status=409)
    account.scheduled -= 1
    change(account, message, "canceled", at)


def arrive(account: Account, message: Message, status: str, error: int | None, at: float) -> None:
    """The carrier's last word, or `sent` where it has none."""
    if status in ("delivered", "sent"):
        message.arrived = at
    message.error = error
    if status != message.status:
        change(account, message, status, at)


def _release(account: Account, message: Message, at: float) -> None:
    """A scheduled message begins to live; a canceled one does not."""
    if message.status != "scheduled":
        return
    account.scheduled -= 1
    if account.is_opted_out(message.to, message.service or ""):
        fail(account, message, 21610, at)
        return
    change(account, message, "accepted", at)
    _route(account, message, at)


def _route(account: Account, message: Message, at: float) -> None:
    """The messaging service chooses who sends."""
    service = account.services.get(message.service or "")
    sender = service.sender_for(message.to, at) if service else None
    if sender is None:
        fail(account, message, 21703, at)
        return
    message.sender = sender.address
    if sender.wait(at) > account.settings.queue_seconds / (account.settings.scale or 1.0):
        fail(account, message, 30001, at)
        return
    _enqueue(account, message, sender, at)


def _enqueue(account: Account, message: Message, sender: Sender, at: float) -> None:
    start = sender.book(at, message.segments, account.settings.scale)
    change(account, message, "queued", at)
    if start - at > message.validity:
        account.agenda.at(at + message.validity, _expire, account, message)
    else:
        account.agenda.at(start, _send, account, message, sender)


def _expire(account: Account, message: Message, at: float) -> None:
    fail(account, message, 30036, at)


def _send(account: Account, message: Message, sender: Sender, at: float) -> None:
    if message.is_final:
        return
    if account.status != "active":
        fail(account, message, 30002, at)
        return
    message.status = "sending"
    message.sent = at
    message.price = account.settings.price * message.segments
    change(account, message, "sent", at)
    account.agenda.at(at + account.settings.transit, _reach, account, message, sender)


def _reach(account: Account, message: Message, sender: Sender, at: float) -> None:
    if message.is_final:
        return
    phone = account.phones.get(message.to, USUAL)
    status, error = FATES[phone.fate]
    if not sender.registered and message.to.startswith("+1"):
        status, error = "undelivered", 30032 if sender.kind == "toll_free" else 30034
    arrive(account, message, status, error if phone.error is None else phone.error, at)
