"""The outside world: people reply, carriers refuse, phones get lost, tokens are rotated."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from deployments.sandbox.provider import Control
from deployments.sandbox.twilio.account import Account, Loss, Phone
from deployments.sandbox.twilio.delivering import FATES, arrive
from deployments.sandbox.twilio.errors import Refused
from deployments.sandbox.twilio.ids import is_sid, new_sid, sid_for
from deployments.sandbox.twilio.inbound import receive
from deployments.sandbox.twilio.message import Message
from deployments.sandbox.twilio.seed import add_number, sow, token_for

if TYPE_CHECKING:
    from deployments.sandbox.twilio.provider import TwilioSandbox

Given = dict[str, Any]
HOW = ("stuck", "vanish")


def _reply(account: Account, given: Given) -> Given:
    """{"from": phone, "to": one of the account's numbers, "body": "STOP"}"""
    return receive(account, given["from"], given["to"], given["body"]).shown(account.sid)


def _phone(account: Account, given: Given) -> Given:
    """{"id": number, "fate"?, "error"?, "refuse"?, "answers"?}; nothing else makes it usual."""
    wanted = {name: given[name] for name in Phone.__slots__ if name in given}
    phone = Phone(**wanted)
    if phone.fate not in FATES:
        raise ValueError(f"unknown fate; one of {', '.join(FATES)}")
    account.phones[given["id"]] = phone
    return {"number": given["id"], **wanted}


def _report(account: Account, given: Given) -> Given:
    """The carrier's (late) word on a message: {"id": sid, "status": …, "error"?}"""
    message = account.messages[given["id"]]
    arrive(account, message, given["status"], given.get("error"), account.now())
    return message.shown(account.sid)


def _status(account: Account, given: Given) -> Given:
    """active, suspended or closed."""
    account.status = given["status"]
    return {"status": account.status}


def _new_token(account: Account, given: Given) -> Given:
    """A secondary token beside the primary one; requests are signed with the primary."""
    account.secondary_token = new_sid("")
    return {"secondary_token": account.secondary_token}


def _promote_token(account: Account, given: Given) -> Given:
    """The secondary token becomes the only one."""
    account.auth_token = account.secondary_token or new_sid("")
    account.secondary_token = None
    return {"auth_token": account.auth_token}


def _revoke_key(account: Account, given: Given) -> Given:
    return {"revoked": account.keys.pop(given["id"]).sid}


def _add_number(account: Account, given: Given) -> Given:
    wanted = {name: value for name, value in given.items() if name not in CALLED}
    return add_number(account, wanted).shown(account.sid)


def _release_number(account: Account, given: Given) -> Given:
    sender = account.senders.pop(given["id"])
    if sender.service:
        account.services[sender.service].senders.remove(sender)
        sender.service = None
    return {"released": sender.sid}


def _lose(account: Account, given: Given) -> Given:
    """{"how": "stuck" | "vanish", "to"?: pattern, "times"?: n}; how null ends all losses."""
    if given.get("how") is None:
        account.losses.clear()
        return {"losses": 0}
    if given["how"] not in HOW:
        raise ValueError(f"unknown loss; one of {', '.join(HOW)}")
    to = given.get("to")
    account.losses.append(Loss(given["how"], re.compile(to) if to else None, given.get("times")))
    return {"losses": len(account.losses)}


CALLED = ("key", "account", "action", "id")
ACTS: dict[str, Callable[[Account, Given], Given]] = {
    "reply": _reply,
    "phone": _phone,
    "report": _report,
    "status": _status,
    "new_token": _new_token,
    "promote_token": _promote_token,
    "revoke_key": _revoke_key,
    "add_number": _add_number,
    "release_number": _release_number,
    "lose": _lose,
}


class Steering:
    """`/_sandbox/twilio/{control}`; `key` or `account` names the account."""

    def __init__(self, provider: TwilioSandbox) -> None:
        self.provider = provider
        self.controls: Mapping[str, Control] = {
            "seed": self.seed,
            "act": self.act,
            "settings": self.settings,
            "received": self.received,
            "received_counts": self.received_counts,
            "heard": self.heard,
            "dump": self.dump,
            "count": self.count,
            "object": self.show,
            "opted_out": self.opted_out,
        }

    def account_of(self, given: Given) -> Account:
        return self.provider.accounts[_sid_in(given)]

    def seed(self, given: Given) -> Given:
        sid = _sid_in(given)
        accounts = self.provider.accounts
        if sid not in accounts:
            token = token_for(given.get("key") or sid)
            accounts[sid] = Account(sid, token, self.provider.world, self.provider.agenda)
        return sow(accounts[sid], given)

    def act(self, given: Given) -> Given:
        do = ACTS.get(given["action"])
        if do is None:
            raise ValueError(f"unknown action; one of {', '.join(sorted(ACTS))}")
        try:
            return do(self.account_of(given), given)
        except Refused as refusal:
            raise ValueError(refusal.message) from refusal

    def settings(self, given: Given) -> Given:
        account = self.account_of(given)
        account.set({name: value for name, value in given.items() if name not in CALLED})
        return {name: getattr(account.settings, name) for name in type(account.settings).__slots__}

    def received(self, given: Given) -> bytes:
        """What lies on the phones, or on the phone `to`, in the order of arrival."""
        found = sorted(self._arrived(given), key=lambda each: each.arrived or 0.0)
        return orjson.dumps([each.heard() for each in found])

    def received_counts(self, given: Given) -> Given:
        """How many messages each phone received; `by=body` tells them apart by their text."""
        if given.get("by") != "body":
            return dict(Counter(each.to for each in self._arrived(given)))
        counts: dict[str, Counter[str]] = {}
        for each in self._arrived(given):
            counts.setdefault(each.to, Counter())[each.body] += 1
        return counts

    def heard(self, given: Given) -> list[Given]:
        """What people were told on the telephone."""
        return [
            {"to": each.to, "from": each.sender, "sid": each.sid, "heard": each.heard}
            for account in self._accounts(given)
            for each in account.calls.values()
            if each.started is not None and given.get("to") in (None, each.to)
        ]

    def dump(self, given: Given) -> bytes:
        """The whole log of `messages` or `calls`, oldest first."""
        account = self.account_of(given)
        things = account.calls if given.get("type") == "calls" else account.messages
        return orjson.dumps([each.shown(account.sid) for each in things.values()])

    def count(self, given: Given) -> Given:
        account = self.account_of(given)
        statuses = Counter(each.status for each in account.messages.values())
        return {"messages": len(account.messages), "calls": len(account.calls), **statuses}

    def show(self, given: Given) -> Given:
        account, sid = self.account_of(given), given["id"]
        found = account.calls.get(sid) or account.messages[sid]
        return found.shown(account.sid)

    def opted_out(self, given: Given) -> Given:
        """By number or messaging service, who wants nothing more from it."""
        account = self.account_of(given)
        return {scope: sorted(phones) for scope, phones in account.opted_out.items()}

    def _accounts(self, given: Given) -> list[Account]:
        """All of them where none is named: a phone does not know accounts."""
        if "key" in given or "account" in given:
            return [self.account_of(given)]
        return list(self.provider.accounts.values())

    def _arrived(self, given: Given) -> Iterator[Message]:
        to = given.get("to")
        for account in self._accounts(given):
            lists = account.by_to.values() if to is None else [account.by_to.get(to, [])]
            for messages in lists:
                yield from (
                    each
                    for each in messages
                    if each.arrived is not None and each.direction != "inbound"
                )


def _sid_in(given: Given) -> str:
    account = given.get("account")
    if account is not None:
        if not is_sid(account, "AC"):
            raise ValueError(f"{account} is no account SID")
        return account
    return sid_for("AC", given["key"])
