"""Notifications into the simulated Slack: where they go, who cannot be reached, at which pace."""

from __future__ import annotations

import asyncio
from time import monotonic, process_time
from uuid import UUID

import pytest
from conftest import Rows
from sandbox_client import Sandbox
from slack_connection import reconnected, slack_delivery
from slack_workspace import Workspace

from atlvs.errors import Rejected, Unauthorized
from atlvs.records import Delivery, Outcome
from blocks.slack import Slack
from tasks.notify.senders import sender_for
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
    slack_bot: Slack, slack_workspace: Workspace, org: UUID
):
    crew = slack_workspace.channel("crew")
    delivery = slack_delivery(org, "task_assigned", crew, **TASK)
    outcome = await sent(slack_bot, delivery)
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
    slack_bot: Slack, slack_workspace: Workspace, org: UUID, sandbox: Sandbox
):
    sandbox.clear_requests()
    ada = slack_workspace.user("ada@example.com")
    for address in (ada, "ada@example.com", "ADA@example.com", ada):
        outcome = await sent(slack_bot, slack_delivery(org, "task_assigned", address, **TASK))
        assert (outcome.state, (outcome.place or "")[:1]) == ("sent", "D")
    assert slack_workspace.counts(**{"as": "email"})["counts"] == {"ada@example.com": 4}
    asked = [one["path"] for one in sandbox.requests(provider="slack")]
    assert asked.count("/api/conversations.open") == 1
    assert asked.count("/api/users.lookupByEmail") == 2  # one of them is the test's own


async def test_mirror_knows_people_before_slack_is_asked(
    slack_bot: Slack, slack_workspace: Workspace, org: UUID, rows: Rows, sandbox: Sandbox
):
    ben = slack_workspace.user("ben@example.com")
    rows(
        "insert into slack_users (org_id, connection_id, slack_user_id, email, raw, fetched_at)"
        " values (%s, %s, %s, 'ben@example.com', '{}', now())",
        *(org, slack_bot.connection.id, ben),
    )
    sandbox.clear_requests()
    assert (
        await sent(slack_bot, slack_delivery(org, "task_assigned", "Ben@example.com", **TASK))
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


async def test_secrets_go_to_people_only(slack_bot: Slack, slack_workspace: Workspace, org: UUID):
    facts = {"reset_url": "https://atlvs.test/reset/x"}
    for address in ("default", slack_workspace.channel("crew")):
        delivery = slack_delivery(org, "password_reset", address, **facts)
        with pytest.raises(Rejected, match="people only"):
            SENDER.check(slack_bot, delivery)
        assert (await sent(slack_bot, delivery)).code == "private"
    assert (
        await sent(slack_bot, slack_delivery(org, "password_reset", "ada@example.com", **facts))
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
    slack_bot: Slack, slack_workspace: Workspace, org: UUID, address: str, code: str
):
    outcome = await sent(slack_bot, slack_delivery(org, "task_assigned", address, **TASK))
    assert (outcome.state, outcome.code) == ("failed", code)
    assert slack_workspace.counts()["messages"] == 0


async def test_deactivated_person_is_not_tried_again(
    slack_bot: Slack, slack_workspace: Workspace, org: UUID, rows: Rows
):
    ben = slack_workspace.user("ben@example.com")
    slack_workspace.act("deactivate_user", user=ben)
    outcome = await sent(slack_bot, slack_delivery(org, "task_assigned", ben, **TASK))
    assert (outcome.state, outcome.code) == ("failed", "user_disabled")
    assert rows("select channel, address, verdict, reason, source from integration_consents") == [
        ("slack", ben, "unreachable", "user disabled", "slack")
    ]


async def test_archived_and_closed_channels_have_failed(
    slack_bot: Slack, slack_workspace: Workspace, org: UUID
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
        outcome = await sent(slack_bot, slack_delivery(org, "task_assigned", channel, **TASK))
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


async def test_refused_blocks_are_left_out(
    slack_bot: Slack, slack_workspace: Workspace, org: UUID, sandbox: Sandbox
):
    refused = {"ok": False, "error": "invalid_blocks"}
    sandbox.fault(
        "status", provider="slack", path="chat.postMessage", times=1, status=200, body=refused
    )
    assert (
        await sent(slack_bot, slack_delivery(org, "task_assigned", "default", **TASK))
    ).state == "sent"
    [message] = slack_workspace.received()
    assert (message["text"], message["blocks"]) == ("Task assigned: Rig the stage", None)


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


async def test_messages_cost_little(slack_bot: Slack, slack_workspace: Workspace, org: UUID):
    crew = slack_workspace.channel("crew")
    made = [slack_delivery(org, "task_assigned", crew, **TASK) for _ in range(200)]
    await sent(slack_bot, made[0])
    began = process_time()
    for delivery in made[1:]:
        await SENDER.send(slack_bot, [delivery])
    assert (process_time() - began) / 199 < 0.003
    assert slack_workspace.counts(by="payload.delivery")["counts"] == {crew: 200}
