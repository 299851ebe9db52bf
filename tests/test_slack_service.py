"""Slack's service interface against the simulated Slack: once per request, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sandbox_client import Sandbox
from slack_connection import reconnected, slack_fields
from slack_workspace import Workspace
from web_client import NOWHERE, new_key, run, serving

from atlvs.db import connections, consents
from atlvs.db.engine import database
from atlvs.errors import OutcomeUnknown, Rejected, Unavailable
from atlvs.records import Word
from blocks.slack import Slack
from blocks.wire import patience
from tasks.slack import SERVICE

pytest_plugins = ["slack_fixtures"]


Json = dict[str, Any]


async def call(slack: Slack, method: str, request: UUID | None = None, /, **given: Any) -> Json:
    """A method; writes under a request of their own unless it is given."""
    if method.startswith(("list_", "find_")):
        return await SERVICE[method].fn(slack, **given)
    return await SERVICE[method].fn(slack, request or uuid4(), **given)


async def test_message_is_posted_as_it_was_written(slack_bot: Slack, slack_workspace: Workspace):
    crew = slack_workspace.channel("crew")
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*Doors* open"}}]
    first = await call(
        slack_bot, "send_message", channel=crew, text="*Doors* <https://a.test|open>", blocks=blocks
    )
    await call(slack_bot, "send_message", channel="", text="more", thread_ts=first["ts"])
    await call(slack_bot, "send_message", channel="#budget", text="by name")
    messages = slack_workspace.received()
    assert messages[0]["text"] == "*Doors* <https://a.test|open>"
    assert messages[0]["blocks"][0]["text"]["text"] == "*Doors* open"
    assert (messages[0]["channel"], messages[0]["ts"]) == (first["channel"], first["ts"])
    assert messages[1]["thread_ts"] == first["ts"]
    assert messages[2]["channel_name"] == "budget"


async def test_broken_blocks_of_a_caller_are_told(slack_bot: Slack, slack_workspace: Workspace):
    with pytest.raises(Rejected) as refused:
        await call(slack_bot, "send_message", channel="", text="x", blocks=[{"type": "nothing"}])
    assert refused.value.code == "invalid_blocks"
    assert slack_workspace.received() == []


async def test_direct_message_by_id_and_by_address(slack_bot: Slack, slack_workspace: Workspace):
    ada = slack_workspace.user("ada@example.com")
    for user in (ada, "ada@example.com"):
        await call(slack_bot, "send_direct_message", user_id=user, text="hello")
    assert slack_workspace.counts(**{"as": "email"})["counts"] == {"ada@example.com": 2}
    for user, code in (
        ("C0CHANNEL00", "address_invalid"),
        ("nobody@example.com", "users_not_found"),
    ):
        with pytest.raises(Rejected) as refused:
            await call(slack_bot, "send_direct_message", user_id=user, text="hello")
        assert refused.value.code == code


async def test_who_refused_gets_nothing(slack_bot: Slack, slack_workspace: Workspace, org: UUID):
    ada = slack_workspace.user("ada@example.com")
    word = Word("slack", ada, "refused", "asked us to stop", "person")
    async with database().org(org) as tx:
        await consents.record(tx, org, [word])
    for method, given in (
        ("send_direct_message", {"user_id": "ada@example.com"}),
        ("send_message", {"channel": ada}),
    ):
        with pytest.raises(Rejected, match="asked us to stop") as refused:
            await call(slack_bot, method, None, text="hello", **given)
        assert refused.value.code == "suppressed"
    assert slack_workspace.received() == []


async def test_notification_looks_like_those_that_are_sent(
    slack_bot: Slack, slack_workspace: Workspace
):
    facts = {"task_title": "Rig <!here>", "url": "https://atlvs.test/1"}
    given = {"type": "task_assigned", "channel": "", "message": "Please & soon"}
    await call(slack_bot, "post_notification", None, **given, metadata=facts)
    own = [{"type": "section", "text": {"type": "mrkdwn", "text": "own"}}]
    await call(slack_bot, "post_notification", None, **given, blocks=own)
    rendered, given_blocks = slack_workspace.received()
    assert rendered["text"] == "Task assigned: Rig &lt;!here&gt; · Please &amp; soon"
    assert [block["type"] for block in rendered["blocks"]] == [
        "header",
        "section",
        "section",
        "actions",
    ]
    assert rendered["mentions"] == []
    assert rendered["metadata"]["event_type"] == "atlvs_task_assigned"
    assert list(rendered["metadata"]["event_payload"]) == ["request"]
    assert given_blocks["blocks"][0]["text"]["text"] == "own"
    with pytest.raises(Rejected, match="people only"):
        await call(slack_bot, "post_notification", type="password_reset", channel="", message="x")


WRITES: list[tuple[str, Callable[[Workspace], Json]]] = [
    ("send_message", lambda _: {"channel": "", "text": "x"}),
    ("send_direct_message", lambda _: {"user_id": "ada@example.com", "text": "x"}),
    ("post_notification", lambda _: {"type": "announcement", "channel": "", "message": "x"}),
    ("create_channel", lambda _: {"name": "gala-2026"}),
    (
        "invite_to_channel",
        lambda workspace: {
            "channel_id": workspace.made["crew"],
            "user_ids": ["ben@example.com", workspace.user("ada@example.com")],
        },
    ),
]


def made(workspace: Workspace) -> tuple[int, int, list[str]]:
    """Messages, channels and members in the workspace."""
    whole = workspace.control("GET", "object", id=workspace.made["team_id"])
    crew = workspace.control("GET", "object", id=workspace.made["crew"])
    public = workspace("conversations.list", limit=1000)["channels"]
    return whole["posted"], len(public), sorted(crew["members"])


@pytest.mark.parametrize(("method", "given"), WRITES, ids=[name for name, _ in WRITES])
async def test_twice_with_one_request_happens_once(
    slack_bot: Slack, slack_workspace: Workspace, method: str, given: Any
):
    before, request = made(slack_workspace), uuid4()
    arguments = given(slack_workspace)
    first = await call(slack_bot, method, request, **arguments)
    after = made(slack_workspace)
    assert after != before
    assert await call(slack_bot, method, request, **arguments) == first
    assert made(slack_workspace) == after
    other = next(name for name in arguments if name in ("text", "message", "name", "user_ids"))
    changed = ["ben@example.com"] if other == "user_ids" else "other"
    with pytest.raises(Rejected) as refused:
        await call(slack_bot, method, request, **arguments | {other: changed})
    assert refused.value.code == "idempotency_mismatch"


PATHS = {"create_channel": "conversations.create", "invite_to_channel": "conversations.invite"}


@pytest.mark.parametrize(
    "fault", ["500_before", "500_after", "reset", "reset_after", "truncate", "429"]
)
@pytest.mark.parametrize(("method", "given"), WRITES, ids=[name for name, _ in WRITES])
async def test_lost_answers_are_looked_up_and_nothing_happens_twice(
    slack_bot: Slack,
    slack_workspace: Workspace,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    given: Any,
    fault: str,
):
    monkeypatch.setattr("tasks.slack.service.SETTLED", timedelta(seconds=0.2))
    monkeypatch.setattr("tasks.policy.BACKOFF", lambda _: 0.05)
    before, request, arguments = made(slack_workspace), uuid4(), given(slack_workspace)
    sandbox.fault(fault, provider="slack", path=PATHS.get(method, "chat.postMessage"), times=1)
    result = await call(slack_bot, method, request, **arguments)
    after = made(slack_workspace)
    assert await call(slack_bot, method, request, **arguments) == result
    assert made(slack_workspace) == after
    changes = [after[0] - before[0], after[1] - before[1], len(after[2]) - len(before[2])]
    assert changes == {"create_channel": [0, 1, 0], "invite_to_channel": [0, 0, 1]}.get(
        method, [1, 0, 0]
    )


async def test_what_cannot_be_looked_up_is_left_to_a_person(
    slack_workspace: Workspace, org: UUID, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tasks.policy.BACKOFF", lambda _: 0.05)
    slack_workspace.act("set_scopes", scopes=["chat:write", "channels:read", "groups:read"])
    slack, request = await reconnected(org, slack_workspace), uuid4()
    sandbox.fault("reset_after", provider="slack", path="chat.postMessage", times=1)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown, match="Look there before") as told:
            await call(slack, "send_message", request, channel="", text="x")
        assert told.value.code == "ask_person"
    assert slack_workspace.counts()["messages"] == 1


async def test_long_waits_are_told_instead_of_waited(slack_bot: Slack, sandbox: Sandbox):
    token = patience.set(2.0)
    try:
        sandbox.fault(
            "429", provider="slack", path="users.list", times=1, headers={"Retry-After": "60"}
        )
        with pytest.raises(Unavailable) as told:
            await call(slack_bot, "list_users")
        assert told.value.retry_after == pytest.approx(60, abs=2)
    finally:
        patience.reset(token)


async def test_only_a_webhook_posts_where_it_can(
    slack_workspace: Workspace, org: UUID, sandbox: Sandbox
):
    url = sandbox.base("slack") + slack_workspace.control("POST", "seed", hook="crew")["hook"]
    crew = slack_workspace.made["crew"]
    slack = await reconnected(org, slack_workspace, incoming_webhook_url=url, bot_token=None)
    for channel in ("", "default", crew):
        told = await call(slack, "send_message", channel=channel, text="x")
        assert told == {"channel": crew, "ts": None}
    request = uuid4()
    for _ in range(2):
        await call(
            slack, "post_notification", request, type="announcement", channel="", message="x"
        )
    assert slack_workspace.counts()["messages"] == 4
    for channel in (slack_workspace.channel("budget"), "ada@example.com"):
        with pytest.raises(Rejected) as refused:
            await call(slack, "send_message", channel=channel, text="x")
        assert refused.value.code == "hook_only"


def test_seeds_interface_through_the_door(
    org: UUID, slack_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PREFECT_API_URL", NOWHERE)
    run(connections.save(org, "slack", "default", slack_fields(slack_workspace)))
    session = slack_workspace.session
    headers = {"Authorization": f"Bearer {new_key(org, 'services')}"}
    with serving() as url:

        def ask(method: str, status: int = 200, **given: Any) -> Json:
            answer = session.post(f"{url}/api/services/slack/{method}", json=given, headers=headers)
            assert answer.status_code == status, answer.text
            return answer.json()

        crew = slack_workspace.made["crew"]
        assert ask("sendMessage", channel=crew, text="hello", blocks=[])["channel"] == crew
        assert ask("sendDirectMessage", userId="ada@example.com", text="hello")["ts"]
        made_channel = ask("createChannel", name="by-door", isPrivate=True)
        told = ask("inviteToChannel", channelId=made_channel["id"], userIds=["ada@example.com"])
        assert len(told["invited"]) == 1
        given = {"type": "budget_alert", "channel": crew, "message": "x", "metadata": {"a": [1]}}
        assert ask("postNotification", **given)["ts"]
        assert (
            ask("postNotification", 422, **given | {"type": "nothing"})["error"]["field"] == "type"
        )
        assert ask("sendMessage", 422, channel=crew)["error"]["code"] == "parameter_missing"
        assert ask("sendMessage", 422, channel=crew, text="")["error"]["field"] == "text"
        assert (
            ask("sendMessage", 422, channel="C0NOWHERE00", text="x")["error"]["code"]
            == "channel_not_found"
        )
        assert (
            ask("inviteToChannel", 422, channelId="../x", userIds=["U1"])["error"]["field"]
            == "channelId"
        )
    assert slack_workspace.counts()["messages"] == 3
