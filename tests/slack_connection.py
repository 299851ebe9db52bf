"""Our connection to a simulated workspace, and deliveries into it."""

from __future__ import annotations

import hashlib
import hmac
from time import time
from typing import Any
from uuid import UUID, uuid4

import orjson
from conftest import Rows
from slack_workspace import Workspace

from atlvs.db import connections
from atlvs.records import Delivery
from blocks.slack import Slack

Json = dict[str, Any]
FAST = {"posts_per_second": 1000.0, "posts_per_second_per_channel": 1000.0, "pace": 1000.0}


def slack_fields(workspace: Workspace, **more: Any) -> Json:
    """What connects to a workspace."""
    known = {
        "bot_token": workspace.token,
        "signing_secrets": workspace.made["signing_secret"],
        "client_id": workspace.made["client_id"],
        "client_secret": workspace.made["client_secret"],
        "default_channel": workspace.made["crew"],
        "api_base": workspace.sandbox.base("slack"),
        **FAST,
    }
    return {name: value for name, value in (known | more).items() if value is not None}


async def reconnected(org: UUID, workspace: Workspace, **more: Any) -> Slack:
    """The default connection, opened with other fields."""
    await connections.save(org, "slack", "default", slack_fields(workspace, **more))
    return await Slack.open()


def slack_delivery(org: UUID, type: str, address: str, /, **data: Any) -> Delivery:
    """One message to somebody; `record` names what it is about."""
    record = data.pop("record", None)
    return Delivery(
        id=uuid4(),
        org_id=org,
        notification_id=uuid4(),
        type=type,
        category="tasks",
        channel="slack",
        recipient=f"slack:{address}",
        address=address,
        data=data,
        record_type="things" if record else None,
        record_id=record,
    )


def written(rows: Rows, delivery: Delivery, state: str = "sent", **columns: Any) -> None:
    """The row of a delivery, as the fan-out has it."""
    rows(
        "insert into integration_notifications (id, org_id, key, fingerprint, type, category, data,"
        " audience, channels, origin, record_type, record_id, state)"
        " values (%s, %s, %s, '', %s, %s, %s, '{}', '{slack}', 'api', %s, %s, 'sending')",
        *(delivery.notification_id, delivery.org_id, str(delivery.notification_id)),
        *(delivery.type, delivery.category, orjson.dumps(delivery.data).decode()),
        *(delivery.record_type, delivery.record_id),
    )
    rows(
        "insert into integration_deliveries (id, org_id, notification_id, recipient, channel, address,"
        " state, provider_id, place, sent_at) values (%s, %s, %s, %s, 'slack', %s, %s, %s, %s, now())",
        *(delivery.id, delivery.org_id, delivery.notification_id, delivery.recipient),
        *(delivery.address, state, columns.get("provider_id"), columns.get("place")),
    )


def slack_signed(body: bytes, secret: str, age: float = 0) -> dict[str, str]:
    """The headers of a delivery."""
    at = str(int(time() - age))
    made = hmac.new(secret.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "x-slack-request-timestamp": at,
        "x-slack-signature": f"v0={made}",
        "content-type": "application/json",
    }
