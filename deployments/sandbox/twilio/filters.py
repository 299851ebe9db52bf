"""What lists of messages and calls are narrowed by.

https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources
"""

from __future__ import annotations

from collections.abc import Callable

from deployments.sandbox.twilio.calls import Call
from deployments.sandbox.twilio.dates import span_of
from deployments.sandbox.twilio.errors import Refused
from deployments.sandbox.twilio.forms import Form
from deployments.sandbox.twilio.message import Message

Span = tuple[float, float]
EVER = (float("-inf"), float("inf"))


def span_in(form: Form, name: str) -> Span:
    """`Name=`, `Name<=` and `Name>=`: all of a date, or of a second, is meant."""
    low, high = EVER
    for sign in ("", "<", ">"):
        text = form.get(name + sign)
        if not text:
            continue
        try:
            first, after = span_of(text)
        except ValueError:
            raise Refused(20001, f"{name}: {text}") from None
        low = first if sign != "<" else low
        high = after if sign != ">" else high
    return low, high


def is_within(moment: float | None, span: Span) -> bool:
    """What has no moment yet is within nothing but everything."""
    if span == EVER:
        return True
    return moment is not None and span[0] <= moment < span[1]


def messages_wanted(form: Form) -> Callable[[Message], bool]:
    to, sender, sent = form.get("To"), form.get("From"), span_in(form, "DateSent")

    def wanted(message: Message) -> bool:
        return (
            (not to or message.to == to)
            and (not sender or message.sender == sender)
            and is_within(message.sent, sent)
        )

    return wanted


def calls_wanted(form: Form) -> Callable[[Call], bool]:
    to, sender, status = form.get("To"), form.get("From"), form.get("Status")
    started, ended = span_in(form, "StartTime"), span_in(form, "EndTime")

    def wanted(call: Call) -> bool:
        return (
            (not to or call.to == to)
            and (not sender or call.sender == sender)
            and (not status or call.status == status)
            and is_within(call.started, started)
            and is_within(call.ended, ended)
        )

    return wanted
