"""Deliveries by SMS and call, and a connection's fields, as tests want them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from twilio_client import NUMBER, PHONE, TwilioAccount

from atlvs.db.engine import database
from atlvs.records import Delivery

TASK = {"task_title": "Rig the lights", "url": "https://atlvs.test/t/1"}


def fields_of(account: TwilioAccount, **more: Any) -> dict[str, Any]:
    return {
        "account_sid": account.sid,
        "auth_tokens": account.token,
        "phone_number": NUMBER,
        "api_base": account.sandbox.base("twilio"),
        "messages_per_second": 1000.0,
    } | more


def delivery(org: UUID | None = None, kind: str = "task_assigned", **given: Any) -> Delivery:
    """One that is not in the database."""
    values: dict[str, Any] = {
        "id": uuid4(),
        "org_id": org or uuid4(),
        "notification_id": uuid4(),
        "type": kind,
        "category": "tasks",
        "channel": "sms",
        "recipient": PHONE,
        "address": PHONE,
        "data": TASK,
    }
    return Delivery(**values | given)


async def stored_delivery(
    rows: Any, org: UUID, state: str = "sending", kind: str = "task_assigned", **given: Any
) -> Delivery:
    """One with its rows, begun now."""
    now = await database().now()
    made = delivery(org, kind, **{"sending_at": now, "attempts": 1} | given)
    rows(
        "insert into integration_notifications (id, org_id, key, fingerprint, type, category, audience,"
        " channels, origin, state) values (%s, %s, %s, '', %s, 'tasks', '{}', '{sms}', 'api', 'sending')",
        *(made.notification_id, org, str(made.notification_id), kind),
    )
    rows(
        "insert into integration_deliveries (id, org_id, notification_id, recipient, channel, address, state,"
        " attempts, sending_at, due_at, connection_id) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, now(),"
        " (select id from integration_connections where provider = 'twilio' and name = 'default'))",
        *(made.id, org, made.notification_id, made.recipient, made.channel, made.address, state),
        *(made.attempts, made.sending_at),
    )
    return made


def states(rows: Any) -> list[tuple[Any, ...]]:
    """State, code and provider's id of all deliveries."""
    return rows("select state, code, provider_id from integration_deliveries order by seq")


def words(rows: Any) -> list[tuple[Any, ...]]:
    """The consent ledger."""
    return rows("select channel, address, verdict, reason from integration_consents order by id")


def aged(one: Delivery, seconds: float = 1) -> Delivery:
    """As if it had been sent earlier."""
    assert one.sending_at
    return replace(one, sending_at=one.sending_at - timedelta(seconds=seconds))
