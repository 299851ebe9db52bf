"""The fan-out into the simulated Slack: everybody once, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any
from uuid import UUID

import pytest
from conftest import Rows
from sandbox_client import Sandbox
from slack_connection import reconnected
from slack_workspace import Workspace

from atlvs.settings import settings
from tasks.notify.draining import drain_notifications
from tasks.notify.raising import raise_notification

pytest_plugins = ["slack_fixtures"]


@pytest.fixture
def slack_settles_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost answer is looked up after a moment."""
    monkeypatch.setenv("ATLVS_SETTLE_SECONDS", "0.3")
    settings.cache_clear()


async def told(rows: Rows, seconds: float = 90) -> dict[str, int]:
    """Drain until nothing is open; deliveries by their state."""
    until = monotonic() + seconds
    open_ones = "select count(*) from integration_deliveries where state in ('queued', 'sending', 'unknown')"
    while True:
        await drain_notifications(5)
        if rows(open_ones) == [(0,)]:
            break
        assert monotonic() < until, rows("select state, code, reason from integration_deliveries")
        await asyncio.sleep(0.2)
    return dict(rows("select state, count(*) from integration_deliveries group by state"))


def people(workspace: Workspace, number: int) -> list[dict[str, Any]]:
    workspace.control("POST", "seed", users=number)
    everybody = workspace("users.list", limit=1000)["members"]
    emails = [one["profile"].get("email", "") for one in everybody]
    return [{"email": email} for email in emails if email.count(".") == 3]


async def test_everybody_is_told_once_through_faults(
    slack_settles_soon: None, slack_workspace: Workspace, org: UUID, rows: Rows, sandbox: Sandbox
):
    await reconnected(org, slack_workspace)
    audience = people(slack_workspace, 60)
    assert len(audience) == 60
    await raise_notification(
        org,
        type="task_assigned",
        key="once",
        audience={"kind": "people", "people": [*audience, {"email": "nobody@example.com"}]},
        channels=["slack"],
        origin="api",
        data={"task_title": "Rig the stage"},
    )
    for fault in ("reset_after", "500_after", "500_before", "truncate"):
        sandbox.fault(fault, provider="slack", path="chat.postMessage", times=4, rate=0.3)
    headers = {"Retry-After": "1"}
    sandbox.fault(
        "429", provider="slack", path="chat.postMessage", times=3, skip=10, headers=headers
    )
    assert await told(rows) == {"sent": 60, "failed": 1}
    counted = slack_workspace.counts(by="payload.delivery", **{"as": "email"})
    assert counted["counts"] == {one["email"]: 1 for one in audience}
    named = "select count(*) from integration_deliveries where provider_id is not null and place like 'D%'"
    assert rows(named) == [(60,)]


async def test_flood_into_a_channel_becomes_a_digest(
    slack_settles_soon: None, slack_workspace: Workspace, org: UUID, rows: Rows
):
    await reconnected(org, slack_workspace)
    for number in range(30):
        await raise_notification(
            org,
            type="registration_received",
            key=f"registration {number}",
            audience={"kind": "slack_channel", "channel": "default"},
            channels=["slack"],
            origin="event",
            data={"event_name": "Gala", "registrant_name": f"Guest <{number}>"},
        )
    states = await told(rows)
    messages = slack_workspace.received(channel="crew")
    assert sum(states.values()) == 30
    assert len(messages) == states["sent"] < 30
    shown = " ".join(str(message["blocks"]) for message in messages)
    assert all(f"Guest &lt;{number}&gt;" in shown for number in range(30))
    assert not [message for message in messages if message["mentions"]]


async def test_dead_token_holds_messages_until_it_is_mended(
    slack_settles_soon: None, slack_workspace: Workspace, org: UUID, rows: Rows
):
    await reconnected(org, slack_workspace)
    slack_workspace.act("revoke_tokens")
    await raise_notification(
        org,
        type="task_assigned",
        key="later",
        audience={"kind": "slack_channel", "channel": "default"},
        channels=["slack"],
        origin="api",
        data={"task_title": "Rig the stage"},
    )
    drained = await drain_notifications(5)
    assert "atlvs check slack" in str(drained.sent.troubles)
    [(state, reason)] = rows("select state, reason from integration_deliveries")
    assert (state, "token_revoked" in reason) == ("queued", True)
    slack_workspace.act("install_app")
    rows("update integration_deliveries set due_at = now()")
    assert await told(rows) == {"sent": 1}
