"""What people send back, and what STOP, START and HELP do.

https://www.twilio.com/docs/messaging/guides/opt-out-keywords
"""

from __future__ import annotations

from deployments.sandbox.twilio.account import Account
from deployments.sandbox.twilio.callbacks import inbound_params, post
from deployments.sandbox.twilio.ids import new_sid
from deployments.sandbox.twilio.message import Message
from deployments.sandbox.twilio.segments import segments_of
from deployments.sandbox.twilio.senders import Sender

KEYWORDS = {
    "STOP": {"STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"},
    "START": {"START", "UNSTOP", "YES"},
    "HELP": {"HELP", "INFO"},
}
REPLIES = {
    "STOP": "You have successfully been unsubscribed. You will not receive any more messages from "
    "this number. Reply START to resubscribe.",
    "START": "You have successfully been re-subscribed to messages from this number. Reply HELP "
    "for help. Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    "HELP": "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
}


def keyword_in(body: str) -> str | None:
    """Only a message that is nothing but the word counts."""
    word = body.strip().strip(".!").upper()
    return next((kind for kind, words in KEYWORDS.items() if word in words), None)


def receive(account: Account, phone: str, to: str, body: str) -> Message:
    """Somebody writes to one of the account's numbers."""
    sender = account.senders.get(to)
    if sender is None or sender.kind == "alphanumeric":
        raise ValueError(f"nothing can be sent to {to}")
    now = account.now()
    message = account.keep(
        Message(
            sid=new_sid("SM"),
            to=to,
            sender=phone,
            body=body,
            status="received",
            segments=segments_of(body),
            created=now,
            updated=now,
            sent=now,
            service=sender.service,
            direction="inbound",
        )
    )
    kind = keyword_in(body)
    if kind is not None:
        _obey(account, kind, phone, sender)
    url = _webhook(account, sender)
    if url:
        params = inbound_params(account, message, kind)
        post(account, url, "message.received", message.sid, params)
    return message


def _webhook(account: Account, sender: Sender) -> str:
    service = account.services.get(sender.service or "")
    if service is None or service.use_inbound_webhook_on_number:
        return sender.sms_url
    return service.inbound_request_url or ""


def _obey(account: Account, kind: str, phone: str, sender: Sender) -> None:
    """Toll-free carriers and Twilio answer the words themselves; the customer hears of it."""
    stopped = account.opted_out.setdefault(account.scope_of(sender.address), set())
    if kind == "STOP":
        stopped.add(phone)
    elif kind == "START":
        stopped.discard(phone)
    now = account.now()
    account.keep(
        Message(
            sid=new_sid("SM"),
            to=phone,
            sender=sender.address,
            body=REPLIES[kind],
            status="delivered",
            segments=segments_of(REPLIES[kind]),
            created=now,
            updated=now,
            sent=now,
            arrived=now,
            price=account.settings.price,
            service=sender.service,
            direction="outbound-reply",
        )
    )
