"""What people do with a mail that has arrived.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event#engagement-events
"""

from __future__ import annotations

from typing import Any

from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.messages import Message

BROWSER = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Safari/605.1.15"
)
READER: dict[str, Any] = {"ip": "203.0.113.24", "useragent": BROWSER}
PREFERENCES = "https://u.example.invalid/asm/unsubscribe/"


def open_mail(account: Account, message: Message, *, machine: bool = False) -> None:
    account.outbox.emit(message, "open", sg_machine_open=machine, sg_content_type="html", **READER)


def click(account: Account, message: Message, url: str = "https://example.com/") -> None:
    offset = {"index": 0, "type": "html"}
    account.outbox.emit(message, "click", url=url, url_offset=offset, **READER)


def mark_spam(account: Account, message: Message) -> None:
    account.suppressions.add("spam_reports", message.email, account.seconds(), ip=READER["ip"])
    account.outbox.emit(message, "spamreport")


def unsubscribe(account: Account, message: Message) -> None:
    account.suppressions.add("unsubscribes", message.email, account.seconds())
    account.outbox.emit(message, "unsubscribe")


def group_unsubscribe(account: Account, message: Message, group: int) -> None:
    account.suppressions.groups.setdefault(group, {})[message.email.lower()] = account.seconds()
    account.outbox.emit(message, "group_unsubscribe", asm_group_id=group, url=PREFERENCES, **READER)


def group_resubscribe(account: Account, message: Message, group: int) -> None:
    account.suppressions.groups.setdefault(group, {}).pop(message.email.lower(), None)
    account.outbox.emit(message, "group_resubscribe", asm_group_id=group, url=PREFERENCES, **READER)
