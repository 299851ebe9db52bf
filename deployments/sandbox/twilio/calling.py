"""Placing a call, and how it goes.

https://www.twilio.com/docs/voice/api/call-resource
"""

from __future__ import annotations

from deployments.sandbox.twilio.account import Account
from deployments.sandbox.twilio.addresses import is_phone
from deployments.sandbox.twilio.callbacks import tell_of_call
from deployments.sandbox.twilio.calls import Call
from deployments.sandbox.twilio.errors import Refused
from deployments.sandbox.twilio.forms import Form
from deployments.sandbox.twilio.ids import is_sid, new_sid
from deployments.sandbox.twilio.voice import fetch_twiml, play

# https://www.twilio.com/docs/iam/test-credentials#test-calls
MAGIC_TO = {
    "+15005550001": 21217,
    "+15005550002": 21214,
    "+15005550003": 21215,
    "+15005550004": 21216,
}
VALID_FROM = "+15005550006"
EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
LONGEST = 4000
UNANSWERED = {"busy": "busy", "no-answer": "no-answer", "failed": "failed"}


def create_call(account: Account, form: Form) -> Call:
    to = _recipient(account, form)
    sender = _caller_id(account, form)
    now = account.now()
    url = form.url("Url", 21205)
    call = Call(
        sid=new_sid("CA"),
        to=to,
        sender=sender,
        created=now,
        updated=now,
        url=url,
        twiml=None if url else _twiml(form),
        callback=form.url("StatusCallback", 21609),
        events=_events(form),
        detects=bool(form.get("MachineDetection")),
        sender_sid=account.senders[sender].sid if sender in account.senders else None,
    )
    form.number("Timeout", 60, 1, 600)
    if account.test:
        return call
    account.calls[call.sid] = call
    tell_of_call(account, call, "initiated", now)
    account.agenda.at(now, _ring, account, call)
    return call


def hang_up(account: Account, call: Call, status: str, at: float) -> None:
    """`canceled` while it is not answered, `completed` at any time."""
    if call.is_over or (status == "canceled" and call.status == "in-progress"):
        raise Refused(21220)
    _end(account, call, "completed" if call.status == "in-progress" else "canceled", at)


def _recipient(account: Account, form: Form) -> str:
    to = form.get("To").strip()
    if not to:
        raise Refused(21201)
    if account.settings.magic and to in MAGIC_TO:
        raise Refused(MAGIC_TO[to], to)
    if not is_phone(to):
        raise Refused(21211, to)
    geo = account.settings.geo
    if geo is not None and not to.startswith(tuple(geo)):
        raise Refused(21215, to)
    return to


def _caller_id(account: Account, form: Form) -> str:
    given = form.get("From").strip()
    if not given:
        raise Refused(21213)
    if not is_phone(given) or (account.settings.magic and given == "+15005550001"):
        raise Refused(21212, given)
    sender = account.senders.get(given)
    known = (sender is not None and sender.voice) or given in account.verified
    if not known and not (account.test and given == VALID_FROM):
        raise Refused(21210, given)
    return given


def _twiml(form: Form) -> str:
    twiml = form.get("Twiml")
    if is_sid(form.get("ApplicationSid"), "AP"):
        raise Refused(21218, form.get("ApplicationSid"))
    if not twiml:
        raise Refused(21205)
    if len(twiml) > LONGEST:
        raise Refused(20001, "Twiml: longer than 4000 characters")
    return twiml


def _events(form: Form) -> frozenset[str]:
    events = frozenset(form.all("StatusCallbackEvent")) or frozenset({"completed"})
    if unknown := events - EVENTS:
        raise Refused(21626, ", ".join(sorted(unknown)))
    if form.get("StatusCallbackMethod", "POST").upper() != "POST":
        raise Refused(20001, "StatusCallbackMethod: the sandbox posts only", status=501)
    return events


def _change(account: Account, call: Call, status: str, event: str, at: float) -> None:
    call.status = status
    call.updated = at
    tell_of_call(account, call, event, at)


def _ring(account: Account, call: Call, at: float) -> None:
    if not call.is_over:
        _change(account, call, "ringing", "ringing", at)
        account.agenda.at(at + account.settings.ring, _answer, account, call)


def _answer(account: Account, call: Call, at: float) -> None:
    if call.is_over:
        return
    phone = account.phones.get(call.to)
    answers = phone.answers if phone else "human"
    if answers in UNANSWERED:
        _end(account, call, UNANSWERED[answers], at)
        return
    call.started = at
    if call.detects:
        call.answered_by = "machine_start" if answers == "machine" else "human"
    _change(account, call, "in-progress", "answered", at)
    if call.url is not None:
        fetch_twiml(account, call, call.url, _said)
    else:
        _said(account, call, call.twiml)


def _said(account: Account, call: Call, twiml: str | None) -> None:
    """What the call's document has to say; without one the call ends at once (11200)."""
    if call.is_over:
        return
    now = account.now()
    if twiml is None:
        call.error = 11200
    else:
        heard = play(twiml)
        call.error = 12100 if heard is None else None
        call.heard = heard or []
    talk = 0.0 if call.error else account.settings.talk
    account.agenda.at(now + talk, _over, account, call)


def _over(account: Account, call: Call, at: float) -> None:
    if not call.is_over:
        _end(account, call, "completed", at)


def _end(account: Account, call: Call, status: str, at: float) -> None:
    call.ended = at
    if status == "completed":
        call.price = 0.014
    _change(account, call, status, "completed", at)
