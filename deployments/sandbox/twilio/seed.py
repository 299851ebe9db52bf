"""Accounts as tests and demos want them.

{"key": "demo", "auth_token": "...", "type": "Full", "test": false,
 "api_keys": [{"sid": "SK…", "secret": "…", "kind": "standard"}],
 "numbers": ["+14155552671", {"number": "+18005550100", "sms_url": "…", "registered": false}],
 "services": [{"name": "alerts", "numbers": ["+14155552671"], "inbound_request_url": "…"}],
 "templates": {"HX…": "Hello {{1}}"}, "opted_out": {"+1…": ["+1…"]}, "verified": ["+1…"],
 "phones": {"+1…": {"fate": "landline"}}, "settings": {"scale": null}, "messages": 1000, "days": 30}

`key` is any word: the account's SID and token are made from it where they are not given. Seeding
an account again adds to it.
"""

from __future__ import annotations

from typing import Any

from deployments.sandbox.twilio.account import Account, Key, Phone
from deployments.sandbox.twilio.addresses import kind_of
from deployments.sandbox.twilio.dates import DAY
from deployments.sandbox.twilio.ids import new_sid, sid_for
from deployments.sandbox.twilio.message import Message
from deployments.sandbox.twilio.segments import segments_of
from deployments.sandbox.twilio.senders import Sender, Service

Given = dict[str, Any]
PLAIN = ("type", "status", "friendly_name", "owner", "test", "auth_token", "secondary_token")


def token_for(key: str) -> str:
    return sid_for("", key)


def sow(account: Account, given: Given) -> Given:
    for name in PLAIN:
        if name in given:
            setattr(account, name, given[name])
    account.settings.magic = account.settings.magic or account.test
    account.set(given.get("settings", {}))
    keys = [_key(account, each) for each in given.get("api_keys", [])]
    for each in given.get("numbers", []):
        add_number(account, each)
    services = [_service(account, each) for each in given.get("services", [])]
    account.templates |= given.get("templates", {})
    account.verified |= set(given.get("verified", []))
    for scope, phones in given.get("opted_out", {}).items():
        account.opted_out.setdefault(account.scope_of(scope), set()).update(phones)
    for number, phone in given.get("phones", {}).items():
        account.phones[number] = Phone(**phone)
    for number in range(int(given.get("messages", 0))):
        _old_message(account, number, int(given.get("messages", 0)), float(given.get("days", 30)))
    return {
        "account": account.sid,
        "auth_token": account.auth_token,
        "api_keys": [{"sid": key.sid, "secret": key.secret} for key in keys],
        "numbers": {each.address: each.sid for each in account.senders.values()},
        "services": {each.friendly_name: each.sid for each in services},
    }


def add_number(account: Account, given: str | Given) -> Sender:
    wanted: Given = {"number": given} if isinstance(given, str) else dict(given)
    address = wanted.pop("number")
    sender = Sender(
        sid=wanted.pop("sid", None) or sid_for("PN", account.sid + address),
        address=address,
        kind=wanted.pop("kind", None) or kind_of(address),
        created=account.now(),
        **wanted,
    )
    account.senders[address] = sender
    return sender


def _service(account: Account, given: Given) -> Service:
    wanted = dict(given)
    name, numbers = wanted.pop("name"), wanted.pop("numbers", [])
    sid = wanted.pop("sid", None) or sid_for("MG", account.sid + name)
    service = Service(sid, name, account.now(), **wanted)
    for number in numbers:
        sender = account.senders.get(number) or add_number(account, number)
        sender.service = sid
        service.senders.append(sender)
    account.services[sid] = service
    return service


def _key(account: Account, given: Given) -> Key:
    key = Key(
        given.get("sid") or new_sid("SK"),
        given.get("secret") or new_sid(""),
        given.get("kind", "standard"),
    )
    account.keys[key.sid] = key
    return key


def _old_message(account: Account, number: int, of: int, days: float) -> None:
    """One of `of` messages of the last `days`, to a thousand phones in turn."""
    at = account.now() - days * DAY * (of - number) / of
    body = f"Reminder {number}: doors open at seven"
    sender = next((each.address for each in account.senders.values() if each.sms), None)
    segments = segments_of(body)
    account.keep(
        Message(
            sid=sid_for("SM", f"{account.sid}{len(account.log)}"),
            to=f"+1415555{number % 1000:04}",
            sender=sender,
            body=body,
            status="undelivered" if number % 50 == 49 else "delivered",
            error=30003 if number % 50 == 49 else None,
            segments=segments,
            created=at,
            updated=at + 2,
            sent=at + 1,
            arrived=None if number % 50 == 49 else at + 2,
            price=account.settings.price * segments,
        )
    )
