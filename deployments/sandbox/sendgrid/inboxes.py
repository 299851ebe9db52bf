"""What arrived: mails as their readers see them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.call import Object
from deployments.sandbox.sendgrid.demands import is_dynamic
from deployments.sandbox.sendgrid.messages import Message, custom_args
from deployments.sandbox.sendgrid.rendering import render, substituted


def received(account: Account, to: str | None, limit: int, offset: int) -> list[Object]:
    """In the order in which they were sent."""
    found = (each for each in _arrived(account) if to is None or each.email.lower() == to)
    return [shown(account, each) for each in islice(found, offset, offset + limit)]


def _arrived(account: Account) -> Iterator[Message]:
    return (each for each in account.messages if each.state == "delivered")


def shown(account: Account, message: Message) -> Object:
    body, own = message.mail.body, message.personalization
    subject, bodies = _texts(account, message)
    return {
        "recipient": message.email,
        "at": message.at,
        "message_id": message.id,
        "from": own.get("from") or body["from"],
        "reply_to": body.get("reply_to"),
        # Whoever is named here is seen by every recipient of the same personalization.
        "to": [each["email"] for each in own["to"]],
        "cc": [each["email"] for each in own.get("cc", ())],
        "subject": subject,
        **bodies,
        "attachments": [each["filename"] for each in body.get("attachments", ())],
        "headers": {**body.get("headers", {}), **own.get("headers", {})},
        "categories": body.get("categories", []),
        "custom_args": custom_args(message),
        "template_id": body.get("template_id"),
        "asm": body.get("asm"),
    }


def _texts(account: Account, message: Message) -> tuple[str, dict[str, str]]:
    body, own = message.mail.body, message.personalization
    subject = own.get("subject") or body.get("subject", "")
    bodies = {each["type"]: each["value"] for each in body.get("content", ())}
    version = account.active_version(body["template_id"]) if "template_id" in body else None
    if version and is_dynamic(body):
        data: Any = own.get("dynamic_template_data", {})
        html = render(version["html_content"], data)
        return render(version["subject"], data), {
            "text": render(version["plain_content"], data),
            "html": html,
        }
    pairs = own.get("substitutions", {})
    if version:
        subject = version["subject"].replace("<%subject%>", subject)
        bodies["text/html"] = version["html_content"].replace(
            "<%body%>", bodies.get("text/html", "")
        )
    texts = {"text": bodies.get("text/plain", ""), "html": bodies.get("text/html", "")}
    return substituted(subject, pairs), {
        name: substituted(text, pairs) for name, text in texts.items()
    }
