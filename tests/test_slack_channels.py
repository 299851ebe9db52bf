"""Channels of the simulated Slack: made, filled, listed; and what each method needs a scope for."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from conftest import Rows
from sandbox_client import Sandbox
from slack_connection import reconnected
from slack_workspace import Workspace

from atlvs.errors import Rejected, Unauthorized
from blocks.slack import Slack
from tasks.slack import SERVICE

pytest_plugins = ["slack_fixtures"]


Json = dict[str, Any]


async def call(slack: Slack, method: str, request: UUID | None = None, /, **given: Any) -> Json:
    """A method; writes under a request of their own unless it is given."""
    if method.startswith(("list_", "find_")):
        return await SERVICE[method].fn(slack, **given)
    return await SERVICE[method].fn(slack, request or uuid4(), **given)


async def test_channel_of_somebody_else_is_not_adopted(
    slack_bot: Slack, slack_workspace: Workspace, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tasks.policy.BACKOFF", lambda _: 0.05)
    slack_workspace.act("create_channel", name="theirs")
    sandbox.fault("reset", provider="slack", path="conversations.create", times=1)
    with pytest.raises(Rejected) as refused:
        await call(slack_bot, "create_channel", name="theirs")
    assert refused.value.code == "name_taken"
    with pytest.raises(Rejected) as refused:
        await call(slack_bot, "create_channel", name="old-show")
    assert refused.value.code == "name_taken"


async def test_made_channels_are_in_the_mirror(
    slack_bot: Slack, slack_workspace: Workspace, rows: Rows
):
    made_private = await call(slack_bot, "create_channel", name="vip", is_private=True)
    assert rows("select slack_channel_id, name, is_private, is_member from slack_channels") == [
        (made_private["id"], "vip", True, made_private["is_member"])
    ]
    with pytest.raises(Rejected) as refused:
        await call(slack_bot, "create_channel", name="Not A Name!")
    assert refused.value.code == "invalid_name_specials"


async def test_many_are_invited_by_hundreds(
    slack_workspace: Workspace, slack_bot: Slack, sandbox: Sandbox
):
    slack_workspace.control("POST", "seed", users=230)
    everybody = [
        one["id"]
        for one in slack_workspace("users.list", limit=1000)["members"]
        if not one["is_bot"] and not one["deleted"] and one["name"].count(".") == 2
    ]
    ada, gone = slack_workspace.user("ada@example.com"), "gone@example.com"
    sandbox.clear_requests()
    crew = slack_workspace.made["crew"]
    told = await call(
        slack_bot,
        "invite_to_channel",
        channel_id=crew,
        user_ids=[*everybody, ada, gone, "U0NOBODY000"],
    )
    assert len(everybody) == 230
    assert told["invited"] == everybody
    assert told["already"] == [ada]
    assert told["failed"] == [
        {"user": gone, "error": "users_not_found"},
        {"user": "U0NOBODY000", "error": "user_not_found"},
    ]
    asked = [one["path"] for one in sandbox.requests(provider="slack")]
    assert asked.count("/api/conversations.invite") == 3
    again = await call(slack_bot, "invite_to_channel", channel_id=crew, user_ids=everybody[:2])
    assert again["already"] == everybody[:2]
    with pytest.raises(Rejected) as refused:
        await call(slack_bot, "invite_to_channel", channel_id=crew, user_ids=["U0NOBODY000"])
    assert refused.value.code == "user_not_found"
    lobby = slack_workspace.channel("lobby")
    with pytest.raises(Rejected) as refused:
        await call(slack_bot, "invite_to_channel", channel_id=lobby, user_ids=[ada])
    assert refused.value.code == "not_in_channel"


async def test_reading_is_paged(slack_bot: Slack, slack_workspace: Workspace):
    first = await call(slack_bot, "list_users", limit=3)
    rest = await call(slack_bot, "list_users", limit=100, cursor=first["next_cursor"])
    assert len(first["members"]) == 3
    assert rest["next_cursor"] == ""
    everywhere: Json = {"types": ["public_channel", "private_channel"], "exclude_archived": False}
    names = {
        one["name"] for one in (await call(slack_bot, "list_channels", **everywhere))["channels"]
    }
    assert names == {"general", "random", "crew", "lobby", "budget", "old-show"}
    names = {one["name"] for one in (await call(slack_bot, "list_channels"))["channels"]}
    assert names == {"general", "random", "crew", "lobby"}
    found = await call(slack_bot, "find_user_by_email", email="ada@example.com")
    assert found["profile"]["email"] == "ada@example.com"


SCOPED: list[tuple[str, Json, str]] = [
    ("send_message", {"channel": "", "text": "x"}, "chat:write"),
    ("send_direct_message", {"user_id": "U0SOMEBODY0", "text": "x"}, "im:write"),
    ("create_channel", {"name": "x"}, "channels:manage"),
    ("create_channel", {"name": "x", "is_private": True}, "groups:write"),
    ("invite_to_channel", {"channel_id": "C0SOMEWHERE", "user_ids": ["U1"]}, "channels:manage"),
    ("list_channels", {"types": ["private_channel"]}, "groups:read"),
    ("list_users", {}, "users:read"),
    ("find_user_by_email", {"email": "a@b.c"}, "users:read.email"),
]


@pytest.mark.parametrize(
    ("method", "given", "scope"), SCOPED, ids=[each[2] + each[0] for each in SCOPED]
)
async def test_missing_scope_is_told_without_asking_slack(
    slack_workspace: Workspace, org: UUID, sandbox: Sandbox, method: str, given: Json, scope: str
):
    slack = await reconnected(org, slack_workspace, granted_scopes="team:read")
    sandbox.clear_requests()
    with pytest.raises(Unauthorized, match=f"reinstall needed: missing .*{scope}"):
        await call(slack, method, **given)
    assert sandbox.requests(provider="slack") == []
