"""Controls of the simulated SendGrid: what the outside world does, and looking at the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from deployments.sandbox.provider import Control
from deployments.sandbox.sendgrid import engagement, inboxes, journey
from deployments.sandbox.sendgrid.account import Account, Object
from deployments.sandbox.sendgrid.keys import SCOPES, Grant, name_in
from deployments.sandbox.sendgrid.messages import Message
from deployments.sandbox.sendgrid.seed import sow
from deployments.sandbox.sendgrid.standing import add_sender

if TYPE_CHECKING:
    from deployments.sandbox.sendgrid.provider import SendGridSandbox

Given = dict[str, Any]


def _group_of(message: Message, given: Given) -> int:
    return int(given.get("group") or message.mail.body["asm"]["group_id"])


# What happens to one message that was sent.
TO_MESSAGES: dict[str, Callable[[Account, Message, Given], None]] = {
    "open": lambda account, message, given: engagement.open_mail(
        account, message, machine=bool(given.get("machine"))
    ),
    "click": lambda account, message, given: engagement.click(
        account, message, given.get("url", "https://example.com/")
    ),
    "mark_spam": lambda account, message, given: engagement.mark_spam(account, message),
    "unsubscribe": lambda account, message, given: engagement.unsubscribe(account, message),
    "group_unsubscribe": lambda account, message, given: engagement.group_unsubscribe(
        account, message, _group_of(message, given)
    ),
    "group_resubscribe": lambda account, message, given: engagement.group_resubscribe(
        account, message, _group_of(message, given)
    ),
    "bounce": lambda account, message, given: journey.bounce(account, message),
    "block": lambda account, message, given: journey.block(account, message),
    "deliver": lambda account, message, given: journey.deliver(account, message),
}


def _suspend(account: Account, given: Given) -> None:
    account.settings.suspended = bool(given.get("suspended", True))
    kind = "compliance_suspend" if account.settings.suspended else "compliance_reactivate"
    account.outbox.emit_about_account("account_status_change", type=kind)


def _unverify(account: Account, given: Given) -> None:
    account.senders.pop(given["id"].lower(), None)
    account.domains.discard(given["id"])


# What happens to the account.
TO_ACCOUNT: dict[str, Callable[[Account, Given], Any]] = {
    "suspend_account": _suspend,
    "verify_sender": lambda account, given: add_sender(account, given["id"]),
    "unverify_sender": _unverify,
    "turn_webhook_key": lambda account, given: account.webhooks[given["id"]].turn_key(),
    "deactivate_template": lambda account, given: [
        version.update(active=0) for version in account.templates[given["id"]]["versions"]
    ],
}


class Steering:
    """`/_sandbox/sendgrid/{control}`; `key` in every call names the account."""

    def __init__(self, provider: SendGridSandbox) -> None:
        self.provider = provider
        self.controls: Mapping[str, Control] = {
            "seed": lambda given: sow(self.account_of(given), given),
            "settings": self.settings,
            "keys": self.introduce,
            "act": self.act,
            "received": self.received,
            "counts": lambda given: dict(self.account_of(given).delivered),
            "count": lambda given: self.account_of(given).counts(),
            "told": lambda given: dict(self.account_of(given).told),
            "messages": self.messages,
            "object": lambda given: self.account_of(given).mails[given["id"]].body,
        }

    def account_of(self, given: Given) -> Account:
        """A subuser's with `subuser`."""
        name = name_in(given["key"])
        if grant := self.provider.grants.get(given["key"]):
            name = grant.account
        if subuser := given.get("subuser"):
            name = f"{name}/{subuser}"
        return self.provider.account(name)

    def settings(self, given: Given) -> Object:
        settings = self.account_of(given).settings
        changes = {name: each for name, each in given.items() if name not in ("key", "subuser")}
        unknown = set(changes.get("mailboxes", {}).values()) - journey.KNOWN
        if unknown:
            raise ValueError(f"mailboxes can: {', '.join(sorted(journey.KNOWN))}")
        settings.change(changes)
        return settings.shown()

    def introduce(self, given: Given) -> Object:
        """Another key of the account, with `scopes` of its own."""
        name_in(given["new"])
        scopes = frozenset(given.get("scopes", SCOPES))
        grant = Grant(self.account_of(given).name, scopes)
        self.provider.grants[given["new"]] = grant
        return {"account": grant.account, "scopes": sorted(scopes)}

    def act(self, given: Given) -> Object:
        """`id` is an address (the newest mail to it), a message id, or * for all delivered."""
        account, action = self.account_of(given), given["action"]
        if action == "revoke_key":
            self.provider.grant(given["key"]).revoked = bool(given.get("revoked", True))
            return {"changed": 1}
        if action in TO_ACCOUNT:
            TO_ACCOUNT[action](account, given)
            account.outbox.settle()
            return {"changed": 1}
        if action not in TO_MESSAGES:
            known = sorted([*TO_MESSAGES, *TO_ACCOUNT, "revoke_key"])
            raise ValueError(f"unknown action; one of {', '.join(known)}")
        chosen = _chosen(account, given["id"])
        for message in chosen:
            TO_MESSAGES[action](account, message, given)
        account.outbox.settle()
        return {"changed": len(chosen)}

    def received(self, given: Given) -> list[Object]:
        to = given["to"].lower() if "to" in given else None
        limit, offset = int(given.get("limit", 100)), int(given.get("offset", 0))
        return inboxes.received(self.account_of(given), to, limit, offset)

    def messages(self, given: Given) -> list[Object]:
        """What became of each, whether it arrived or not."""
        wanted = given.get("state"), given.get("to")
        return [
            {"id": each.id, "email": each.email, "state": each.state, "attempts": each.attempts}
            for each in self.account_of(given).messages
            if wanted[0] in (None, each.state) and wanted[1] in (None, each.email)
        ]


def _chosen(account: Account, wanted: str) -> list[Message]:
    if wanted == "*":
        return [each for each in account.messages if each.state == "delivered"]
    for message in reversed(account.messages):
        if wanted.lower() == message.email.lower() or wanted in (message.id, message.mail.id):
            return [message]
    raise LookupError(f"nothing was sent to {wanted}")
