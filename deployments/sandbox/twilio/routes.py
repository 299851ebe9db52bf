"""The operations that are simulated, by method and path."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deployments.sandbox.twilio.account import Account
from deployments.sandbox.twilio.calling import create_call, hang_up
from deployments.sandbox.twilio.calls import Call
from deployments.sandbox.twilio.delivering import cancel
from deployments.sandbox.twilio.errors import Refused, not_found
from deployments.sandbox.twilio.filters import calls_wanted, messages_wanted
from deployments.sandbox.twilio.forms import Form
from deployments.sandbox.twilio.lists import page_of, shown_2010, shown_v1
from deployments.sandbox.twilio.message import Message
from deployments.sandbox.twilio.senders import Sender, Service
from deployments.sandbox.twilio.sending import create_message


@dataclass(slots=True)
class Ask:
    """One call of the API. `base` is where the caller reached it, for absolute links."""

    account: Account
    accounts: dict[str, Account]
    form: Form
    path: str
    base: str
    sid: str = ""


Result = tuple[int, Any]


def fetch_account(ask: Ask) -> Result:
    return 200, ask.account.shown()


def send(ask: Ask) -> Result:
    return 201, create_message(ask.account, ask.form, ask.accounts).shown(ask.account.sid)


def list_messages(ask: Ask) -> Result:
    account = ask.account
    wanted = messages_wanted(ask.form)
    page = page_of(ask.form, account.log, lambda sid: account.messages[sid].position, wanted)
    return 200, shown_2010(
        ask.path, ask.form, "messages", page, lambda each: each.shown(account.sid)
    )


def fetch_message(ask: Ask) -> Result:
    return 200, _message(ask).shown(ask.account.sid)


def update_message(ask: Ask) -> Result:
    """Cancel a scheduled message, or blank the text of one."""
    message = _message(ask)
    status = ask.form.get("Status")
    if status == "canceled":
        cancel(ask.account, message, ask.account.now())
    elif status:
        raise Refused(20001, f"Status: {status}")
    elif "Body" in ask.form.values:
        if ask.form.get("Body"):
            raise Refused(20001, "Body: only an empty one is allowed")
        message.discards = True
    return 200, message.shown(ask.account.sid)


def delete_message(ask: Ask) -> Result:
    message = _message(ask)
    if not message.is_final and message.status != "sent":
        raise Refused(20009, status=409)
    ask.account.forget(message)
    return 204, None


def call(ask: Ask) -> Result:
    return 201, create_call(ask.account, ask.form).shown(ask.account.sid)


def list_calls(ask: Ask) -> Result:
    calls = list(ask.account.calls.values())
    wanted = calls_wanted(ask.form)
    page = page_of(ask.form, calls, lambda sid: _place(calls, sid), wanted)
    return 200, shown_2010(
        ask.path, ask.form, "calls", page, lambda each: each.shown(ask.account.sid)
    )


def fetch_call(ask: Ask) -> Result:
    return 200, _call(ask).shown(ask.account.sid)


def update_call(ask: Ask) -> Result:
    found = _call(ask)
    status = ask.form.get("Status")
    if status not in ("", "canceled", "completed"):
        raise Refused(20001, f"Status: {status}")
    if not status:
        raise Refused(20001, "the sandbox ends calls, and does not redirect them", status=501)
    hang_up(ask.account, found, status, ask.account.now())
    return 200, found.shown(ask.account.sid)


def delete_call(ask: Ask) -> Result:
    found = _call(ask)
    if not found.is_over:
        raise Refused(20009, status=409)
    del ask.account.calls[found.sid]
    return 204, None


def list_numbers(ask: Ask) -> Result:
    number, name = ask.form.get("PhoneNumber").lstrip("+"), ask.form.get("FriendlyName")
    numbers = _numbers(list(ask.account.senders.values()))

    def wanted(each: Sender) -> bool:
        return number in each.address and (not name or each.friendly_name == name)

    page = page_of(ask.form, numbers, lambda sid: _place(numbers, sid), wanted)
    return 200, shown_2010(
        ask.path,
        ask.form,
        "incoming_phone_numbers",
        page,
        lambda each: each.shown(ask.account.sid),
    )


def fetch_number(ask: Ask) -> Result:
    return 200, _number(ask).shown(ask.account.sid)


def update_number(ask: Ask) -> Result:
    """Where messages and calls that come in are told of; an empty address takes it away."""
    number = _number(ask)
    for name, field in (("SmsUrl", "sms_url"), ("VoiceUrl", "voice_url")):
        if name in ask.form.values:
            setattr(number, field, ask.form.url(name, 21502) or "")
    number.friendly_name = ask.form.get("FriendlyName", number.friendly_name)
    return 200, number.shown(ask.account.sid)


def list_services(ask: Ask) -> Result:
    services = list(ask.account.services.values())
    page = page_of(ask.form, services, lambda sid: _place(services, sid), lambda each: True)
    return 200, shown_v1(
        ask.base,
        ask.path,
        ask.form,
        "services",
        page,
        lambda each: each.shown(ask.account.sid, ask.base),
    )


def fetch_service(ask: Ask) -> Result:
    return 200, _service(ask).shown(ask.account.sid, ask.base)


def update_service(ask: Ask) -> Result:
    service = _service(ask)
    if "InboundRequestUrl" in ask.form.values:
        service.inbound_request_url = ask.form.url("InboundRequestUrl", 21502)
    if "UseInboundWebhookOnNumber" in ask.form.values:
        service.use_inbound_webhook_on_number = ask.form.flag("UseInboundWebhookOnNumber")
    return 200, service.shown(ask.account.sid, ask.base)


def list_pool(ask: Ask) -> Result:
    service = _service(ask)
    numbers = _numbers(service.senders)
    page = page_of(ask.form, numbers, lambda sid: _place(numbers, sid), lambda each: True)
    return 200, shown_v1(
        ask.base,
        ask.path,
        ask.form,
        "phone_numbers",
        page,
        lambda each: each.shown_in(ask.account.sid, service.sid, ask.base),
    )


def _numbers(senders: list[Sender]) -> list[Sender]:
    return [each for each in senders if each.address.startswith("+")]


def _place(things: list[Any], sid: str) -> int:
    return [each.sid for each in things].index(sid)


def _message(ask: Ask) -> Message:
    found = ask.account.messages.get(ask.sid)
    if found is None:
        raise not_found(ask.path)
    return found


def _number(ask: Ask) -> Sender:
    for each in _numbers(list(ask.account.senders.values())):
        if each.sid == ask.sid:
            return each
    raise not_found(ask.path)


def _call(ask: Ask) -> Call:
    found = ask.account.calls.get(ask.sid)
    if found is None:
        raise not_found(ask.path)
    return found


def _service(ask: Ask) -> Service:
    found = ask.account.services.get(ask.sid)
    if found is None:
        raise not_found(ask.path)
    return found


Operation = Callable[[Ask], Result]
ACCOUNT = r"/2010-04-01/Accounts/(?P<account>AC[0-9a-fA-F]{32})"
ROUTES: list[tuple[str, dict[str, Operation]]] = [
    (rf"{ACCOUNT}/Messages", {"POST": send, "GET": list_messages}),
    (
        rf"{ACCOUNT}/Messages/(?P<sid>[SM]M[0-9a-fA-F]{{32}})",
        {"GET": fetch_message, "POST": update_message, "DELETE": delete_message},
    ),
    (ACCOUNT, {"GET": fetch_account}),
    (rf"{ACCOUNT}/Calls", {"POST": call, "GET": list_calls}),
    (
        rf"{ACCOUNT}/Calls/(?P<sid>CA[0-9a-fA-F]{{32}})",
        {"GET": fetch_call, "POST": update_call, "DELETE": delete_call},
    ),
    (rf"{ACCOUNT}/IncomingPhoneNumbers", {"GET": list_numbers}),
    (
        rf"{ACCOUNT}/IncomingPhoneNumbers/(?P<sid>PN[0-9a-fA-F]{{32}})",
        {"GET": fetch_number, "POST": update_number},
    ),
    (r"/v1/Services", {"GET": list_services}),
    (r"/v1/Services/(?P<sid>MG[0-9a-fA-F]{32})", {"GET": fetch_service, "POST": update_service}),
    (r"/v1/Services/(?P<sid>MG[0-9a-fA-F]{32})/PhoneNumbers", {"GET": list_pool}),
]
COMPILED = [
    (re.compile(path + (r"\.json" if path.startswith("/2010") else "")), operations)
    for path, operations in ROUTES
]
# What test credentials may do; everything else is 403.
FOR_TESTS = frozenset({send, call})


@dataclass(slots=True)
class Found:
    operation: Operation
    account: str | None
    sid: str


def find(method: str, path: str) -> Found:
    for pattern, operations in COMPILED:
        match = pattern.fullmatch(path)
        if match is None:
            continue
        operation = operations.get(method)
        if operation is None:
            raise Refused(20004, status=405)
        named = match.groupdict()
        return Found(operation, named.get("account"), named.get("sid") or "")
    raise not_found(path)
