"""What the simulated Slack tells, through the receiver and the drain into our tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from conftest import Rows
from sandbox_client import Sandbox
from slack_connection import slack_fields, slack_signed
from slack_workspace import Workspace
from web_client import NOWHERE, run, serving, wait_until

from atlvs.db import connections
from blocks.base import release
from blocks.slack import Slack
from tasks.inbox import Drained, drain

pytest_plugins = ["slack_fixtures"]
EVENTS = [
    *("user_change", "team_join", "channel_created", "channel_rename", "channel_archive"),
    *("channel_deleted", "app_uninstalled", "tokens_revoked", "message.channels"),
]
Json = dict[str, Any]


class Told:
    """A receiver that the workspace delivers to."""

    def __init__(self, url: str, workspace: Workspace, rows: Rows) -> None:
        self.url, self.workspace, self.rows = url, workspace, rows

    def drained(self, events: int) -> Drained:
        """Drain once so many events have come."""
        wait_until(lambda: len(self.rows("integration_inbox", "event_id")) >= events)

        async def work() -> Drained:
            try:
                return await drain(5)
            finally:
                await release()

        return run(work())

    def deliver(self, event: Json, **more: Any) -> int:
        """By hand, rightly signed; the status of the answer."""
        told = {
            "type": "event_callback",
            "team_id": self.workspace.made["team_id"],
            "event_id": more.pop("event_id", "Ev0000000001"),
            "event_time": more.pop("event_time", 1_790_000_000),
            "event": event,
        }
        body = orjson.dumps(told | more)
        headers = slack_signed(body, self.workspace.made["signing_secret"])
        return httpx.post(self.url, content=body, headers=headers, timeout=20).status_code


@pytest.fixture
def slack_told(
    org: UUID, slack_workspace: Workspace, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Told]:
    """A workspace that delivers its events to a running receiver."""
    monkeypatch.setenv("PREFECT_API_URL", NOWHERE)
    run(connections.save(org, "slack", "default", slack_fields(slack_workspace)))
    run(learnt())
    with serving() as url:
        told = Told(f"{url}/api/webhooks/slack", slack_workspace, rows)
        slack_workspace.control("POST", "settings", events_url=told.url, events=EVENTS)
        yield told


async def learnt() -> None:
    try:
        async with Slack.opened() as slack:
            await slack.learn()
    finally:
        await release()


def test_challenge_was_answered_and_unsigned_is_refused(slack_told: Told):
    """The fixture has set the Request URL, which Slack takes only with the challenge answered."""
    unsigned = httpx.post(slack_told.url, json={"type": "url_verification", "challenge": "x"})
    assert unsigned.status_code == 401
    assert slack_told.rows("integration_inbox", "event_id") == []


def test_people_come_change_and_go(slack_told: Told, slack_workspace: Workspace, org: UUID):
    rows = slack_told.rows
    slack_workspace.act("join_workspace", email="Cleo@example.com", name="Cleo Rossi")
    slack_workspace.act("deactivate_user", user="ben@example.com")
    slack_told.drained(2)
    found = rows("select email, real_name, deactivated from slack_users order by email")
    assert found == [
        ("ben@example.com", "Ben Okafor", True),
        ("cleo@example.com", "Cleo Rossi", False),
    ]
    ben = slack_workspace.control("GET", "object", id=user_id(slack_workspace, "ben@example.com"))
    words = rows("select address, verdict from integration_consents order by address")
    assert words == [(ben["id"], "unreachable"), ("ben@example.com", "unreachable")]
    slack_workspace.act("reactivate_user", user="ben@example.com")
    slack_told.drained(3)
    standing = rows(
        "select distinct on (address) address, verdict from integration_consents"
        " order by address, occurred_at desc, id desc"
    )
    assert standing == [(ben["id"], "allowed"), ("ben@example.com", "allowed")]


def user_id(workspace: Workspace, email: str) -> str:
    return next(
        one["id"]
        for one in workspace("users.list", limit=1000)["members"]
        if one["profile"].get("email") == email
    )


def test_events_in_any_order_twice_and_late_end_the_same(
    slack_told: Told, slack_workspace: Workspace, sandbox: Sandbox
):
    rows, ada = slack_told.rows, slack_workspace.user("ada@example.com")

    def person(name: str, updated: int, **more: Any) -> Json:
        profile = {"real_name": name, "email": "ada@example.com"}
        return {
            "type": "user_change",
            "user": {"id": ada, "deleted": False, "updated": updated, "profile": profile} | more,
        }

    latest = person("Ada Three", 1_790_000_003, deleted=True)
    assert slack_told.deliver(latest, event_id="Ev3", event_time=1_790_000_003) == 200
    slack_told.drained(1)
    for id, name, at in (("Ev1", "Ada One", 1_790_000_001), ("Ev2", "Ada Two", 1_790_000_002)):
        for _ in range(2):
            assert slack_told.deliver(person(name, at), event_id=id, event_time=at) == 200
    slack_told.drained(3)
    assert slack_told.deliver(latest, event_id="Ev3", event_time=1_790_000_003) == 200
    assert len(rows("integration_inbox", "event_id")) == 3
    assert rows("slack_users", "real_name", "deactivated") == [("Ada Three", True)]
    assert {row[0] for row in rows("integration_consents", "verdict")} == {"unreachable"}


def test_refusal_of_a_person_outlives_their_return(
    slack_told: Told, slack_workspace: Workspace, org: UUID
):
    rows = slack_told.rows
    rows(
        "insert into integration_consents (org_id, channel, address, verdict, reason, source)"
        " values (%s, 'slack', 'ben@example.com', 'refused', 'asked us', 'person')",
        org,
    )
    slack_workspace.act("deactivate_user", user="ben@example.com")
    slack_told.drained(1)
    slack_workspace.act("reactivate_user", user="ben@example.com")
    slack_told.drained(2)
    words = rows(
        "select verdict from integration_consents where address = 'ben@example.com' order by id"
    )
    assert words == [("refused",)]


def test_channels_are_asked_for(slack_told: Told, slack_workspace: Workspace):
    rows = slack_told.rows
    made = slack_workspace.act("create_channel", name="front-of-house")
    crew = slack_workspace.made["crew"]
    slack_workspace.act("rename_channel", channel="crew", name="stage-crew")
    slack_workspace.act("archive_channel", channel="lobby")
    slack_told.drained(2)
    found = dict(rows("select name, is_archived from slack_channels"))
    assert found == {"stage-crew": False, "lobby": True}
    assert slack_told.deliver({"type": "channel_created", "channel": {"id": made["id"]}}) == 200
    slack_told.drained(3)
    slack_workspace.act("delete_channel", channel=crew)
    slack_told.drained(4)
    gone = dict(rows("select name, deleted_at is not null from slack_channels"))
    assert gone == {"stage-crew": True, "lobby": False, "front-of-house": False}


def test_channel_that_may_not_be_looked_at_holds_nothing_up(
    slack_told: Told, slack_workspace: Workspace
):
    slack_workspace.act("set_scopes", scopes=["chat:write"])
    assert slack_told.deliver({"type": "channel_rename", "channel": {"id": "C0000000001"}}) == 200
    drained = slack_told.drained(1)
    assert (drained.handled, drained.failed, drained.postponed) == (1, 0, 0)


def test_removed_app_ends_the_connection_and_keeps_its_rows(
    slack_told: Told, slack_workspace: Workspace
):
    rows = slack_told.rows
    slack_workspace.act("join_workspace", email="cleo@example.com", name="Cleo")
    slack_told.drained(1)
    slack_workspace.act("uninstall_app")
    slack_told.drained(2)
    assert rows("integration_connections", "enabled", "sealed") == [(False, None)]
    assert len(rows("slack_users")) == 1


def test_old_goodbye_does_not_end_a_new_connection(slack_told: Told):
    rows = slack_told.rows
    assert slack_told.deliver({"type": "app_uninstalled"}) == 200
    drained = slack_told.drained(1)
    assert (drained.handled, rows("integration_connections", "enabled")) == (1, [(True,)])


def test_messages_of_people_are_not_kept(slack_told: Told, slack_workspace: Workspace):
    slack_workspace.act("say", user="ada@example.com", channel="crew", text="between us")
    wait_until(lambda: slack_workspace.attempts() != [])
    wait_until(lambda: slack_workspace.attempts()[-1]["status"] == 200)
    assert slack_told.rows("integration_inbox", "payload") == []


def test_another_workspace_of_the_same_app_changes_nothing(slack_told: Told):
    user = {"id": "U0000000009", "deleted": True, "profile": {"real_name": "Foreign"}}
    told = {"type": "user_change", "user": user}
    assert slack_told.deliver(told, team_id="T0ANOTHER00") == 200
    assert slack_told.rows("integration_inbox", "event_id") == []
