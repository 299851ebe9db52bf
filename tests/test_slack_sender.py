"""Notifications into the simulated Slack: where they go, in which thread, at which pace."""

from __future__ import annotations

import asyncio
from time import monotonic, process_time
from typing import Any
from uuid import UUID, uuid4

import pytest
from conftest import Rows
from sandbox_client import Sandbox
from slack_connection import reconnected, slack_delivery, written
from slack_workspace import Workspace

from atlvs.errors import OutcomeUnknown, Rejected, Unauthorized, Unavailable
from atlvs.records import Delivery, Outcome
from blocks.slack import Slack
from tasks.notify.senders import sender_for
from tasks.slack import people
from tasks.slack.messages import composed

pytest_plugins = ["slack_fixtures"]
SENDER = sender_for("slack")
TASK = {"task_title": "Rig the stage", "url": "https://atlvs.test/tasks/1"}


async def sent(slack: Slack, delivery: Delivery) -> Outcome:
    await SENDER.turn(slack, [delivery])
    [outcome] = await SENDER.send(slack, [delivery])
    assert outcome.delivery == delivery.id
    return outcome


async def test_message_comes_into_a_channel_with_its_mark(
    slack: Slack, slack_workspace: Workspace, org: UUID
):
    crew = slack_workspace.channel("crew")
    delivery = slack_delivery(org, "task_assigned", crew, **TASK)
    outcome = await sent(slack, delivery)
    [message] = slack_workspace.received()
    assert (outcome.state, outcome.provider_id, outcome.place) == ("sent", message["ts"], crew)
    assert message["text"] == "Task assigned: Rig the stage"
    assert message["metadata"] == {
        "event_type": "atlvs_task_assigned",
        "event_payload": {"delivery": str(delivery.id)},
    }
    shown = [
        {name: part for name, part in block.items() if name != "block_id"}
        for block in message["blocks"]
    ]
    assert shown == composed("task_assigned", TASK)["blocks"]


async def test_people_are_found_by_id_and_by_address(
    slack: Slack, slack_workspace: Workspace, org: UUID, sandbox: Sandbox
):
    sandbox.clear_requests()
    ada = slack_workspace.user("ada@example.com")
    for address in (ada, "ada@example.com", "ADA@example.com", ada):
        outcome = await sent(slack, slack_delivery(org, "task_assigned", address, **TASK))
        assert (outcome.state, (outcome.place or "")[:1]) == ("sent", "D")
    assert slack_workspace.counts(**{"as": "email"})["counts"] == {"ada@example.com": 4}
    asked = [one["path"] for one in sandbox.requests(provider="slack")]
    assert asked.count("/api/conversations.open") == 1
    assert asked.count("/api/users.lookupByEmail") == 2  # one of them is the test's own


async def test_mirror_knows_people_before_slack_is_asked(
    slack: Slack, slack_workspace: Workspace, org: UUID, rows: Rows, sandbox: Sandbox
):
    ben = slack_workspace.user("ben@example.com")
    rows(
        "insert into slack_users (org_id, connection_id, slack_user_id, email, raw, fetched_at)"
        " values (%s, %s, %s, 'ben@example.com', '{}', now())",
        *(org, slack.connection.id, ben),
    )
    sandbox.clear_requests()
    assert (
        await sent(slack, slack_delivery(org, "task_assigned", "Ben@example.com", **TASK))
    ).state == "sent"
    assert "/api/users.lookupByEmail" not in [
        one["path"] for one in sandbox.requests(provider="slack")
    ]


async def test_default_goes_where_the_type_is_routed(slack_workspace: Workspace, org: UUID):
    budget, crew = slack_workspace.channel("budget"), slack_workspace.channel("crew")
    slack = await reconnected(org, slack_workspace, channels={"budget_alert": budget})
    facts = {"budget_name": "Lights", "amount": 1, "spent": 1, "currency": "usd", "percent": 99}
    for address in ("default", ""):
        assert (
            await sent(slack, slack_delivery(org, "budget_alert", address, **facts))
        ).place == budget
    assert (
        await sent(slack, slack_delivery(org, "task_assigned", "default", **TASK))
    ).place == crew


async def test_nowhere_to_post_is_refused_before_anything_is_sent(
    slack_workspace: Workspace, org: UUID
):
    slack = await reconnected(org, slack_workspace, default_channel=None)
    with pytest.raises(Rejected, match="set default_channel"):
        SENDER.check(slack, slack_delivery(org, "task_assigned", "default", **TASK))
    SENDER.check(slack, slack_delivery(org, "task_assigned", "ada@example.com", **TASK))
    assert SENDER.estimate(slack, slack_delivery(org, "task_assigned", "U1", **TASK)) is None


async def test_secrets_go_to_people_only(slack: Slack, slack_workspace: Workspace, org: UUID):
    facts = {"reset_url": "https://atlvs.test/reset/x"}
    for address in ("default", slack_workspace.channel("crew")):
        delivery = slack_delivery(org, "password_reset", address, **facts)
        with pytest.raises(Rejected, match="people only"):
            SENDER.check(slack, delivery)
        assert (await sent(slack, delivery)).code == "private"
    assert (
        await sent(slack, slack_delivery(org, "password_reset", "ada@example.com", **facts))
    ).state == "sent"
    assert slack_workspace.counts()["messages"] == 1


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("nobody@example.com", "users_not_found"),
        ("gone@example.com", "users_not_found"),
        ("C0NOWHERE00", "channel_not_found"),
        ("U0NOBODY000", "user_not_found"),
        ("+14155550100", "address_invalid"),
    ],
)
async def test_who_cannot_be_reached_has_failed(
    slack: Slack, slack_workspace: Workspace, org: UUID, address: str, code: str
):
    outcome = await sent(slack, slack_delivery(org, "task_assigned", address, **TASK))
    assert (outcome.state, outcome.code) == ("failed", code)
    assert slack_workspace.counts()["messages"] == 0


async def test_deactivated_person_is_not_tried_again(
    slack: Slack, slack_workspace: Workspace, org: UUID, rows: Rows
):
    ben = slack_workspace.user("ben@example.com")
    slack_workspace.act("deactivate_user", user=ben)
    outcome = await sent(slack, slack_delivery(org, "task_assigned", ben, **TASK))
    assert (outcome.state, outcome.code) == ("failed", "user_disabled")
    assert rows("select channel, address, verdict, reason, source from integration_consents") == [
        ("slack", ben, "unreachable", "user disabled", "slack")
    ]


async def test_archived_and_closed_channels_have_failed(
    slack: Slack, slack_workspace: Workspace, org: UUID
):
    old, budget = slack_workspace.channel("old-show"), slack_workspace.channel("budget")
    slack_workspace.act("restrict_channel", channel=budget, kind="read_only")
    slack_workspace.act("set_scopes", scopes=["chat:write", "channels:read"])
    lobby = next(
        one["id"]
        for one in slack_workspace("conversations.list")["channels"]
        if one["name"] == "lobby"
    )
    wanted = {
        old: "is_archived",
        budget: "restricted_action_read_only_channel",
        lobby: "not_in_channel",
    }
    for channel, code in wanted.items():
        outcome = await sent(slack, slack_delivery(org, "task_assigned", channel, **TASK))
        assert (outcome.state, outcome.code) == ("failed", code)


async def test_missing_right_fails_the_message_that_needs_it_and_names_it(
    slack_workspace: Workspace, org: UUID, sandbox: Sandbox
):
    slack_workspace.act("set_scopes", scopes=["chat:write", "channels:read", "users:read.email"])
    slack = await reconnected(org, slack_workspace)
    await slack.learn()
    sandbox.clear_requests()
    outcome = await sent(slack, slack_delivery(org, "task_assigned", "ada@example.com", **TASK))
    assert (outcome.state, outcome.code) == ("failed", "missing_scope")
    assert "reinstall needed: missing im:write" in (outcome.reason or "")
    asked = [one["path"] for one in sandbox.requests(provider="slack")]
    assert "/api/conversations.open" not in asked
    crew = slack_workspace.made["crew"]
    assert (await sent(slack, slack_delivery(org, "task_assigned", crew, **TASK))).state == "sent"


async def test_without_the_right_to_post_a_person_must_mend_it(
    slack_workspace: Workspace, org: UUID
):
    slack_workspace.act("set_scopes", scopes=["channels:read"])
    slack = await reconnected(org, slack_workspace)
    delivery = slack_delivery(org, "task_assigned", "default", **TASK)
    with pytest.raises(Unauthorized, match="missing chat:write"):
        await SENDER.send(slack, [delivery])
    slack_workspace.act("revoke_tokens")
    with pytest.raises(Unauthorized, match="token_revoked"):
        await SENDER.send(await Slack.open(), [delivery])


async def test_incoming_webhook_steps_in(slack_workspace: Workspace, org: UUID, rows: Rows):
    path = slack_workspace.control("POST", "seed", hook="crew")["hook"]
    url = slack_workspace.sandbox.base("slack") + path
    slack_workspace.act("set_scopes", scopes=["channels:read"])
    slack = await reconnected(org, slack_workspace, incoming_webhook_url=url)
    outcome = await sent(slack, slack_delivery(org, "task_assigned", "default", **TASK))
    assert (outcome.state, outcome.provider_id) == ("sent", None)
    slack = await reconnected(
        org, slack_workspace, incoming_webhook_url=url, bot_token=None, default_channel=None
    )
    assert slack.is_configured()
    assert (
        await sent(slack, slack_delivery(org, "task_assigned", "default", **TASK))
    ).state == "sent"
    outcome = await sent(slack, slack_delivery(org, "task_assigned", "ada@example.com", **TASK))
    assert (outcome.state, outcome.code) == ("failed", "hook_only")
    assert [one["channel_name"] for one in slack_workspace.received()] == ["crew", "crew"]
    await slack.wire.flush()
    assert path.rpartition("/")[2] not in str(rows("select path, operation from integration_calls"))


async def test_threads_and_updates(slack: Slack, slack_workspace: Workspace, org: UUID, rows: Rows):
    crew, record = slack_workspace.channel("crew"), uuid4()

    async def told(type: str, **facts: Any) -> Outcome:
        delivery = slack_delivery(org, type, crew, record=record, **facts)
        outcome = await sent(slack, delivery)
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
    slack: Slack, slack_workspace: Workspace, org: UUID, rows: Rows
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
    assert [(await sent(slack, one)).state for one in (decided, soon)] == ["sent", "sent"]
    assert [one["thread_ts"] for one in slack_workspace.received()] == [None, None]


async def test_refused_blocks_are_left_out(
    slack: Slack, slack_workspace: Workspace, org: UUID, sandbox: Sandbox
):
    refused = {"ok": False, "error": "invalid_blocks"}
    sandbox.fault(
        "status", provider="slack", path="chat.postMessage", times=1, status=200, body=refused
    )
    assert (
        await sent(slack, slack_delivery(org, "task_assigned", "default", **TASK))
    ).state == "sent"
    [message] = slack_workspace.received()
    assert (message["text"], message["blocks"]) == ("Task assigned: Rig the stage", None)


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
    slack: Slack,
    slack_workspace: Workspace,
    org: UUID,
    sandbox: Sandbox,
    fault: dict[str, Any],
    error: type[Exception],
    arrived: int,
):
    delivery = slack_delivery(org, "task_assigned", "default", **TASK)
    sandbox.fault(**fault, provider="slack", path="chat.postMessage", times=1)
    with pytest.raises(error) as told:
        await SENDER.send(slack, [delivery])
    if error is Unavailable:
        assert told.value.retry_after == 7  # type: ignore[attr-defined]
    assert slack_workspace.counts()["messages"] == arrived
    people.forget()
    [looked] = await SENDER.look(slack, [delivery])
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
    slack: Slack, slack_workspace: Workspace, org: UUID, rows: Rows, sandbox: Sandbox
):
    crew, record = slack_workspace.channel("crew"), uuid4()
    first = slack_delivery(org, "task_assigned", crew, record=record, **TASK)
    outcome = await sent(slack, first)
    written(rows, first, provider_id=outcome.provider_id, place=crew)
    soon = slack_delivery(org, "task_due_soon", crew, record=record, due_at="2026-11-30", **TASK)
    other = slack_delivery(org, "task_due_soon", crew, record=record, due_at="2026-12-30", **TASK)
    sandbox.fault("reset_after", provider="slack", path="chat.postMessage", times=1)
    with pytest.raises(OutcomeUnknown):
        await SENDER.send(slack, [soon])
    found = {one.delivery: one for one in await SENDER.look(slack, [soon, other])}
    assert [found[one.id].state for one in (soon, other)] == ["sent", "queued"]


async def test_one_channel_has_its_pace_and_others_do_not_wait_for_it(
    slack_workspace: Workspace, org: UUID
):
    slack = await reconnected(org, slack_workspace, posts_per_second_per_channel=5.0)
    crew, budget = slack_workspace.channel("crew"), slack_workspace.channel("budget")
    began = monotonic()
    ends: dict[str, list[float]] = {crew: [], budget: []}

    async def one(channel: str) -> None:
        assert (
            await sent(slack, slack_delivery(org, "task_assigned", channel, **TASK))
        ).state == "sent"
        ends[channel].append(monotonic() - began)

    await asyncio.gather(*(one(crew) for _ in range(5)), one(budget))
    assert 0.75 < max(ends[crew]) < 3
    assert ends[budget][0] < 0.5


async def test_messages_cost_little(slack: Slack, slack_workspace: Workspace, org: UUID):
    crew = slack_workspace.channel("crew")
    made = [slack_delivery(org, "task_assigned", crew, **TASK) for _ in range(200)]
    await sent(slack, made[0])
    began = process_time()
    for delivery in made[1:]:
        await SENDER.send(slack, [delivery])
    assert (process_time() - began) / 199 < 0.003
    assert slack_workspace.counts(by="payload.delivery")["counts"] == {crew: 200}
