"""Accepting a message: every reason to refuse it, then its place in the log.

https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from deployments.sandbox.twilio import delivering
from deployments.sandbox.twilio.account import Account
from deployments.sandbox.twilio.addresses import ALPHANUMERIC, CHANNEL, SHORT_CODE, is_phone, masked
from deployments.sandbox.twilio.dates import span_of
from deployments.sandbox.twilio.errors import Refused
from deployments.sandbox.twilio.forms import Form, is_url
from deployments.sandbox.twilio.ids import is_sid, new_sid
from deployments.sandbox.twilio.message import Message
from deployments.sandbox.twilio.segments import segments_of, smart_encoded
from deployments.sandbox.twilio.senders import Sender, Service

# https://www.twilio.com/docs/iam/test-credentials#test-sms-messages
MAGIC_FROM = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
MAGIC_TO = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
VALID_FROM = "+15005550006"
LONGEST = 1600
MOST_MEDIA = 10
SOONEST, LATEST = 300, 35 * 86_400
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
TRIAL = "Sent from your Twilio trial account - "


def create_message(account: Account, form: Form, others: dict[str, Account]) -> Message:
    to = _recipient(account, form)
    service = _service(account, form)
    sender = _sender(account, form, service, to, others)
    message = _message(account, form, to, sender, service)
    _check_queue(account, sender, service)
    if account.test or _is_lost(account, message):
        return message
    account.keep(message)
    delivering.begin(account, message, sender)
    return message


def _recipient(account: Account, form: Form) -> str:
    to = form.get("To").strip()
    if not to:
        raise Refused(21604)
    if CHANNEL.match(to):
        raise Refused(63007 if CHANNEL.match(form.get("From")) else 21910)
    if not is_phone(to):
        raise Refused(21211, masked(to))
    if account.settings.magic and to in MAGIC_TO:
        raise Refused(MAGIC_TO[to], masked(to))
    phone = account.phones.get(to)
    if phone is not None and phone.refuse is not None:
        raise Refused(phone.refuse, masked(to))
    geo = account.settings.geo
    if geo is not None and not to.startswith(tuple(geo)):
        raise Refused(21408, masked(to))
    if account.type == "Trial" and to not in account.verified:
        raise Refused(21608, masked(to))
    return to


def _service(account: Account, form: Form) -> Service | None:
    sid = form.get("MessagingServiceSid")
    # A service may stand in From as well.
    if not sid and is_sid(form.get("From"), "MG"):
        sid = form.get("From")
    if not sid:
        return None
    if not is_sid(sid, "MG"):
        raise Refused(21705, sid)
    service = account.services.get(sid)
    if service is None:
        raise Refused(21701, sid)
    if not service.senders:
        raise Refused(21704)
    return service


def _sender(
    account: Account, form: Form, service: Service | None, to: str, others: dict[str, Account]
) -> Sender | None:
    """The one that was asked for; a service may choose later."""
    given = form.get("From").strip()
    if service is not None and (not given or given == service.sid):
        _check_opt_out(account, to, service.sid)
        return None
    if not given:
        raise Refused(21603)
    if account.settings.magic and given in MAGIC_FROM:
        raise Refused(MAGIC_FROM[given], given)
    sender = _owned(account, given, to, others)
    if given == to:
        raise Refused(21266, masked(to))
    if service is not None and sender.service != service.sid:
        raise Refused(21712 if sender.service else 21711, given)
    if not sender.sms:
        raise Refused(21606, given)
    _check_opt_out(account, to, given)
    return sender


def _owned(account: Account, given: str, to: str, others: dict[str, Account]) -> Sender:
    sender = account.senders.get(given)
    if sender is not None:
        return sender
    if account.test and given == VALID_FROM:
        return Sender(new_sid("PN"), given, "long_code", account.now())
    if is_phone(given) or SHORT_CODE.fullmatch(given):
        if account.test:
            raise Refused(21606, given)
        elsewhere = any(given in other.senders for other in others.values())
        raise Refused(21660 if elsewhere else 21659, given)
    if not ALPHANUMERIC.fullmatch(given):
        raise Refused(21212, given)
    # North America knows no names as senders.
    if to.startswith("+1") or not account.settings.alphanumeric:
        raise Refused(21612, masked(to))
    sender = Sender(new_sid("AI"), given, "alphanumeric", account.now(), mms=False, voice=False)
    account.senders[given] = sender
    return sender


def _check_opt_out(account: Account, to: str, address: str) -> None:
    if account.is_opted_out(to, address):
        raise Refused(21610)


def _check_queue(account: Account, sender: Sender | None, service: Service | None) -> None:
    """A full queue is told at once; with a messaging service, afterwards (30001)."""
    if sender is None or service is not None:
        return
    if sender.wait(account.now()) > account.settings.queue_seconds / _scale(account):
        raise Refused(21611)


def _scale(account: Account) -> float:
    return account.settings.scale or 1.0


def _message(
    account: Account, form: Form, to: str, sender: Sender | None, service: Service | None
) -> Message:
    media = _media(form)
    body = _body(account, form, service, media)
    now = account.now()
    send_at = _send_at(account, form, service, now)
    status = "scheduled" if send_at else ("accepted" if service else "queued")
    callback = form.url("StatusCallback", 21609) or (service.status_callback if service else None)
    return Message(
        sid=new_sid("MM" if media else "SM"),
        to=to,
        sender=sender.address if sender and not service else None,
        body=body,
        status=status,
        segments=1 if media else segments_of(body),
        created=now,
        updated=now,
        service=service.sid if service else None,
        callback=callback,
        media=media,
        validity=form.number(
            "ValidityPeriod", service.validity_period if service else 36_000, 1, 36_000, 21624
        ),
        send_at=send_at,
        discards=form.get("ContentRetention") == "discard",
    )


def _media(form: Form) -> int:
    media = form.all("MediaUrl")
    if len(media) > MOST_MEDIA:
        raise Refused(21623)
    if not all(is_url(each) for each in media):
        raise Refused(21620)
    return len(media)


def _body(account: Account, form: Form, service: Service | None, media: int) -> str:
    body = form.get("Body")
    if form.get("ContentSid"):
        body = _filled(account, form)
    if not body and not media:
        raise Refused(21602)
    smart = form.get("SmartEncoded")
    if smart.lower() == "true" or (not smart and service is not None and service.smart_encoding):
        body = smart_encoded(body)
    if account.type == "Trial":
        body = TRIAL + body
    if len(body) > LONGEST:
        raise Refused(21617)
    return body


def _filled(account: Account, form: Form) -> str:
    template = account.templates.get(form.get("ContentSid"))
    if template is None:
        raise Refused(21655)
    try:
        values: Any = orjson.loads(form.get("ContentVariables") or "{}")
    except orjson.JSONDecodeError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(each, str) for each in values.values()):
        raise Refused(21656)
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)


def _send_at(account: Account, form: Form, service: Service | None, now: float) -> float | None:
    kind, text = form.get("ScheduleType"), form.get("SendAt")
    if not kind and not text:
        return None
    if kind != "fixed":
        raise Refused(35117)
    if service is None:
        raise Refused(35118)
    if not text:
        raise Refused(35111)
    try:
        due = span_of(text)[0]
    except ValueError:
        raise Refused(35115) from None
    if not SOONEST <= due - now <= LATEST:
        raise Refused(35115)
    if account.scheduled >= account.settings.scheduled:
        raise Refused(35125)
    return due


def _is_lost(account: Account, message: Message) -> bool:
    """Accepted all the same; a message that is stuck stands in the log for ever."""
    loss = next((each for each in account.losses if each.takes(message.to)), None)
    if loss is not None and loss.how == "stuck":
        account.keep(message)
    return loss is not None
