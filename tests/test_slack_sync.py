"""People and channels of the simulated workspace, read whole into our tables."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any
from uuid import UUID

import pytest
from conftest import Rows
from products import Up
from sandbox_client import ROOT, Sandbox
from slack_connection import reconnected
from slack_workspace import Workspace

from blocks.slack import Slack
from deployments.prefect_server import client_environment
from flows import sync_flow

pytest_plugins = ["slack_fixtures"]
Json = dict[str, Any]


@pytest.fixture
def slack_flows(
    slack_connected: UUID, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> UUID:
    """A connected organization beside a Prefect server."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    return slack_connected


async def synced(full: bool = True, **given: Any) -> Json:
    return await sync_flow("slack", full=full)(**given)


def counts(summary: Json, stream: str) -> tuple[int, ...]:
    found = summary["streams"][stream]
    return tuple(found[name] for name in ("read", "created", "updated", "unchanged", "deleted"))


async def test_full_sync_twice_writes_once(slack_flows: UUID, rows: Rows):
    first = await synced()
    assert counts(first, "users") == (7, 7, 0, 0, 0)
    assert counts(first, "channels") == (6, 6, 0, 0, 0)
    people = rows("select email, real_name, deactivated, is_bot from slack_users order by email")
    assert ("ada@example.com", "Ada Weber", False, False) in people
    assert [row[0] for row in people if row[2]] == ["gone@example.com"]
    channels = rows(
        "select name, is_private, is_archived, is_member from slack_channels order by name"
    )
    assert ("budget", True, False, True) in channels
    assert ("old-show", False, True, True) in channels
    before = rows("select slack_user_id, updated_at from slack_users order by 1")
    again = await synced()
    assert counts(again, "users") == (7, 0, 0, 7, 0)
    assert counts(again, "channels") == (6, 0, 0, 6, 0)
    assert rows("select slack_user_id, updated_at from slack_users order by 1") == before
    assert {row[0] for row in rows("integration_cursors", "stream")} == {"channels", "users"}
    assert rows("select kind, state from integration_syncs") == [("full", "done")] * 2


async def test_deactivated_people_become_words_once(
    slack_flows: UUID, slack_workspace: Workspace, rows: Rows
):
    await synced(full=False)
    await synced(full=False)
    told = "select address, verdict, reason from integration_consents order by address"
    [(gone_id, *_), (gone, verdict, reason)] = rows(told)
    assert gone_id.startswith("U")
    assert (gone, verdict, reason) == ("gone@example.com", "unreachable", "deactivated in Slack")
    slack_workspace.act("reactivate_user", user="gone@example.com")
    await synced(full=False)
    assert [row[1] for row in rows(told)].count("allowed") == 2


async def test_pages_are_followed_to_the_end(
    slack_flows: UUID, slack_workspace: Workspace, rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tasks.slack.reading.PAGE", 40)
    slack_workspace.control("POST", "seed", users=250, channels=90)
    summary = await synced()
    assert counts(summary, "users")[:2] == (257, 257)
    assert counts(summary, "channels")[:2] == (96, 96)
    assert summary["calls"] >= 10
    assert rows("select count(*) from slack_users") == [(257,)]


async def test_dry_run_stores_nothing(slack_flows: UUID, rows: Rows):
    summary = await synced(dry_run=True)
    assert counts(summary, "users")[:2] == (7, 7)
    for table in ("slack_users", "slack_channels", "integration_syncs", "integration_consents"):
        assert rows(f"select count(*) from {table}") == [(0,)], table


async def test_deleted_channels_vanish_by_a_full_sync_only(
    slack_flows: UUID, slack_workspace: Workspace, rows: Rows
):
    await synced()
    slack_workspace.act("delete_channel", channel="lobby")
    deleted = "select name from slack_channels where deleted_at is not null"
    assert counts(await synced(full=False), "channels")[-1] == 0
    assert rows(deleted) == []
    assert counts(await synced(), "channels")[-1] == 1
    assert rows(deleted) == [("lobby",)]
    assert counts(await synced(), "channels")[-1] == 0


async def test_many_vanished_channels_wait_for_a_person(
    slack_flows: UUID, slack_workspace: Workspace, rows: Rows
):
    slack_workspace.control("POST", "seed", channels=[f"room-{n}" for n in range(14)])
    await synced()
    for n in range(12):
        slack_workspace.act("delete_channel", channel=f"room-{n}")
    held = await synced()
    assert held["streams"]["channels"]["skipped"] == {"vanished, held": 12}
    assert "12 of 20 channels are no longer in Slack" in held["notes"][0]
    assert rows("select state from integration_syncs order by started_at")[-1] == ("held",)
    assert counts(await synced(allow_deletes=True), "channels")[-1] == 12


async def test_private_channels_are_left_alone_without_the_right(
    slack_flows: UUID, slack_workspace: Workspace, rows: Rows
):
    await synced()
    slack_workspace.act("set_scopes", scopes=["chat:write", "channels:read", "users:read"])
    summary = await synced()
    assert "groups:read is missing" in summary["notes"][0]
    assert rows("select name from slack_channels where deleted_at is not null") == []
    known = rows("select count(*) from slack_users where email is not null")
    assert known == [(5,)], "an address that Slack no longer tells is not forgotten"


async def test_only_one_kind(slack_flows: UUID):
    assert set((await synced(only=["channels"]))["streams"]) == {"channels"}


async def test_outage_within_a_reading_is_ridden_out(
    slack_flows: UUID, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tasks.policy.BACKOFF", lambda _: 0.05)
    for fault in ("500_before", "429", "reset_after", "truncate"):
        sandbox.fault(fault, provider="slack", path="users.list", times=1)
    assert counts(await synced(), "users")[:2] == (7, 7)


async def test_another_workspaces_token_is_refused(
    slack_flows: UUID, slack_workspace: Workspace, sandbox: Sandbox, rows: Rows
):
    other = Workspace(sandbox, f"{slack_workspace.name}-other")
    await reconnected(slack_flows, slack_workspace, bot_token=other.token)
    with pytest.raises(Exception, match="is bound to"):
        await synced()
    assert rows("select count(*) from slack_users") == [(0,)]


RUN = "import asyncio; from flows import sync_flow; asyncio.run(sync_flow('slack', full=True)())"


async def test_killed_reading_begins_anew(
    slack_flows: UUID, prefect_up: Up, prefect_server: str, rows: Rows
):
    prefect = client_environment(prefect_up.settings, prefect_server)
    environment = {**os.environ, **prefect, "ATLVS_KILL_AT": "sync.page"}
    killed = subprocess.run(
        [sys.executable, "-c", RUN], cwd=ROOT, env=environment, timeout=120, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert rows("select count(*) from slack_users") == [(7,)]
    assert rows("select state from integration_syncs") == [("running",)]
    summary = await synced()
    assert counts(summary, "users") == (7, 0, 0, 7, 0)
    assert counts(summary, "channels")[:2] == (6, 6)
    assert rows("select state from integration_syncs") == [("done",)]
    assert (await Slack.open()).granted_scopes
