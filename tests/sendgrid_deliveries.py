"""Deliveries by e-mail, and a connection's fields, as tests want them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import orjson
from sendgrid_client import SENDER, Post

from atlvs.db import connections
from atlvs.db.engine import database
from atlvs.notices import TYPES
from atlvs.records import Delivery, Outcome
from blocks.sendgrid import SendGrid
from tasks.sendgrid import SENDERS

SENDER_OF_MAIL = SENDERS["email"]  # pyright: ignore[reportArgumentType]

SAMPLE: dict[str, Any] = {
    "task_title": "Rig the lights",
    "due_at": "2026-05-01T17:00:00+00:00",
    "approval_subject": "Stage 2",
    "event_name": "Summer night",
    "starts_at": "2026-05-01T17:00:00+00:00",
    "time_zone": "Europe/Berlin",
    "budget_name": "Crew",
    "amount": 1_250_000,
    "spent": 1_000_000,
    "currency": "usd",
    "percent": 80,
    "incident_title": "Power cut",
    "connection": "deal.won to hooks.example.com/…",
    "reason": "The target said 500.",
    "mend": "Enable it again.",
    "severity": "high",
    "reset_url": "https://atlvs.test/reset/abc",
    "invoice_number": "2026-7",
    "message": "First line.\nSecond line.",
    "headline": "Doors at eight",
    "url": "https://atlvs.test/t/1",
}


def fields_of(post: Post, **more: Any) -> dict[str, Any]:
    return {
        "api_key": post.key,
        "from_email": SENDER,
        "from_name": "ATLVS Platform",
        "api_base": post.base("sendgrid"),
        "sends_per_second": 1000.0,
        "calls_per_second": 1000.0,
    } | more


def mail_delivery(org: UUID | None = None, kind: str = "task_assigned", **given: Any) -> Delivery:
    """One that is not in the database."""
    notice = next(one for one in TYPES.values() if one.type == kind)
    address = given.pop("address", "ada@example.org")
    values: dict[str, Any] = {
        "id": uuid4(),
        "org_id": org or uuid4(),
        "notification_id": uuid4(),
        "type": kind,
        "category": str(notice.category),
        "channel": "email",
        "recipient": address,
        "address": address,
        "data": SAMPLE | given.pop("own", {}),
    }
    return Delivery(**values | given)


async def stored_mail(
    rows: Any, org: UUID, state: str = "sending", kind: str = "task_assigned", **given: Any
) -> Delivery:
    """One with its rows, begun now."""
    now = await database().now()
    made = mail_delivery(org, kind, **{"sending_at": now, "attempts": 1} | given)
    rows(
        "insert into integration_notifications (id, org_id, key, fingerprint, type, category, audience,"
        " channels, origin, state, data) values (%s, %s, %s, '', %s, %s, '{}', '{email}', 'api',"
        " 'sending', %s) on conflict do nothing",
        *(made.notification_id, org, str(made.notification_id), kind, made.category),
        orjson.dumps(made.data).decode(),
    )
    rows(
        "insert into integration_deliveries (id, org_id, notification_id, recipient, channel, address, state,"
        " attempts, sending_at, due_at, call_id, connection_id) values (%s, %s, %s, %s, %s, %s, %s, %s, %s,"
        " now(), %s, (select id from integration_connections where provider = 'sendgrid' limit 1))",
        *(made.id, org, made.notification_id, made.recipient, made.channel, made.address, state),
        *(made.attempts, made.sending_at, made.call_id),
    )
    return made


def mail_states(rows: Any) -> dict[str, tuple[Any, ...]]:
    """Address → state, code and reason of its delivery."""
    found = rows("select address, state, code, reason from integration_deliveries order by seq")
    return {address: tuple(more) for address, *more in found}


def mail_words(rows: Any) -> list[tuple[Any, ...]]:
    """The consent ledger."""
    return rows("select address, scope, verdict, reason from integration_consents order by id")


async def sent(mailer: SendGrid, *batch: Delivery) -> list[Outcome]:
    """A batch as the fan-out sends it."""
    await SENDER_OF_MAIL.turn(mailer, batch)
    return await SENDER_OF_MAIL.send(mailer, batch)


def of(mailer: SendGrid, kind: str = "task_assigned", **given: Any) -> Delivery:
    """A delivery of the connection's organization."""
    return mail_delivery(mailer.connection.org_id, kind, **given)


async def reopened(mailer: SendGrid, account: Post, **more: Any) -> SendGrid:
    """The connection with other fields."""
    org_id = mailer.connection.org_id
    await connections.save(org_id, "sendgrid", "default", fields_of(account, **more))
    return await SendGrid.open()
