"""Slack messages that belong together, and finding out what became of one."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from conftest import Rows
from sandbox_client import Sandbox
from slack_connection import reconnected, slack_delivery, written
from slack_workspace import Workspace

from atlvs.errors import IntegrationError, OutcomeUnknown, Unavailable
from atlvs.records import Delivery, Outcome
from blocks.slack import Slack
from tasks.notify.senders import sender_for
from tasks.slack import people

pytest_plugins = ["slack_fixtures"]


SENDER = sender_for("slack")


TASK = {"task_title": "Rig the stage", "url": "https://atlvs.test/tasks/1"}


async def sent(slack: Slack, delivery: Delivery) -> Outcome:
    await SENDER.turn(slack, [delivery])
    [outcome] = await SENDER.send(slack, [delivery])
    assert outcome.delivery == delivery.id
    return outcome


async def test_threads_and_updates(
    slack_bot: Slack, slack_workspace: Workspace, org: UUID, rows: Rows
):
    crew, record = slack_workspace.channel("crew"), uuid4()

    async def told(type: str, **facts: Any) -> Outcome:
        delivery = slack_delivery(org, type, crew, record=record, **facts)
        outcome = await sent(slack_bot, delivery)
        written(rows, delivery, provider_id=outcome.provider_id, place=outcome.place)
        return outcome

    first = await told("task_assigned", **TASK)
    await told("task_due_soon", due_at="2026-11-30", **TASK)
    await told("incident_reported", incident_title="Leak", severity="high")
    await told("incident_reported", incident_title="Leak", severity="high", status="watched")
    await told("incident_reported", incident_title="Leak", severity="low", status="closed")
    asked = await told("approval_required", approval_subject="Lights")
    decided = await told("approval_required", approval_subject="Lights", status="approved")
    messages = slack_workspace.received(channel=crew)
    assert len(messages) == 6
    threads = [message["thread_ts"] for message in messages]
    assert threads == [None, first.provider_id, None, messages[2]["ts"], messages[2]["ts"], None]
    assert decided.provider_id == asked.provider_id
    assert messages[5]["text"].startswith("Approval: approved")
    assert messages[5]["edited"]


async def test_decision_about_a_message_that_is_gone_is_a_message_of_its_own(
    slack_bot: Slack, slack_workspace: Workspace, org: UUID, rows: Rows
):
    crew, record = slack_workspace.channel("crew"), uuid4()
    asked = slack_delivery(org, "approval_required", crew, record=record, approval_subject="Lights")
    written(rows, asked, provider_id="1700000000.000100", place=crew)
    due = slack_delivery(org, "task_assigned", crew, record=record, **TASK)
    written(rows, due, provider_id="1700000000.000200", place=crew)
    decided = slack_delivery(
        org, "approval_required", crew, record=record, approval_subject="Lights", status="rejected"
    )
    soon = slack_delivery(org, "task_due_soon", crew, record=record, due_at="2026-11-30", **TASK)
    assert [(await sent(slack_bot, one)).state for one in (decided, soon)] == ["sent", "sent"]
    assert [one["thread_ts"] for one in slack_workspace.received()] == [None, None]


@pytest.mark.parametrize(
    ("fault", "error", "arrived"),
    [
        ({"kind": "429", "headers": {"Retry-After": "7"}}, Unavailable, 0),
        ({"kind": "500_before"}, OutcomeUnknown, 0),
        ({"kind": "500_after"}, OutcomeUnknown, 1),
        ({"kind": "reset_after"}, OutcomeUnknown, 1),
        ({"kind": "truncate"}, OutcomeUnknown, 1),
        (
            {"kind": "status", "status": 200, "body": {"ok": False, "error": "fatal_error"}},
            OutcomeUnknown,
            0,
        ),
        ({"kind": "status", "status": 502, "body": "<html>"}, OutcomeUnknown, 0),
    ],
    ids=lambda value: value.get("kind") if isinstance(value, dict) else None,
)
async def test_one_call_and_what_may_have_happened(
    slack_bot: Slack,
    slack_workspace: Workspace,
    org: UUID,
    sandbox: Sandbox,
    fault: dict[str, Any],
    error: type[IntegrationError],
    arrived: int,
):
    delivery = slack_delivery(org, "task_assigned", "default", **TASK)
    sandbox.fault(**fault, provider="slack", path="chat.postMessage", times=1)
    with pytest.raises(error) as told:
        await SENDER.send(slack_bot, [delivery])
    if error is Unavailable:
        assert told.value.retry_after == 7
    assert slack_workspace.counts()["messages"] == arrived
    people.forget()
    [looked] = await SENDER.look(slack_bot, [delivery])
    assert looked.state == ("sent" if arrived else "queued")
    assert bool(looked.provider_id) == bool(arrived)


async def test_without_the_right_to_read_nobody_can_tell(
    slack_workspace: Workspace, org: UUID, sandbox: Sandbox
):
    slack_workspace.act("set_scopes", scopes=["chat:write", "chat:write.public", "im:write"])
    slack = await reconnected(org, slack_workspace)
    delivery = slack_delivery(org, "task_assigned", "default", **TASK)
    [looked] = await SENDER.look(slack, [delivery])
    assert (looked.state, looked.provider_id) == ("unknown", None)


async def test_replies_are_found_in_their_thread(
    slack_bot: Slack, slack_workspace: Workspace, org: UUID, rows: Rows, sandbox: Sandbox
):
    crew, record = slack_workspace.channel("crew"), uuid4()
    first = slack_delivery(org, "task_assigned", crew, record=record, **TASK)
    outcome = await sent(slack_bot, first)
    written(rows, first, provider_id=outcome.provider_id, place=crew)
    soon = slack_delivery(org, "task_due_soon", crew, record=record, due_at="2026-11-30", **TASK)
    other = slack_delivery(org, "task_due_soon", crew, record=record, due_at="2026-12-30", **TASK)
    sandbox.fault("reset_after", provider="slack", path="chat.postMessage", times=1)
    with pytest.raises(OutcomeUnknown):
        await SENDER.send(slack_bot, [soon])
    found = {one.delivery: one for one in await SENDER.look(slack_bot, [soon, other])}
    assert [found[one.id].state for one in (soon, other)] == ["sent", "queued"]
