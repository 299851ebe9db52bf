"""Connecting Slack: what check finds, OAuth, what is left when it is disconnected."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest
from conftest import Rows
from sandbox_client import Sandbox
from slack_connection import reconnected
from slack_workspace import Workspace

from atlvs.errors import Misconfigured, Rejected, Unauthorized, Unavailable
from atlvs.settings import settings
from blocks.slack import Slack
from blocks.slack_check import SCOPES
from tasks.slack import prepare

pytest_plugins = ["slack_fixtures"]


Json = dict[str, Any]


async def test_check_finds_all_well(slack_workspace: Workspace, org: UUID, rows: Rows):
    slack = await reconnected(org, slack_workspace)
    check = await slack.test_connection()
    assert check.ok, check.findings
    assert slack_workspace.made["team_id"] in check.findings[0].text
    [(account, live)] = rows("select account_id, livemode from integration_connections")
    assert (account, live) == (slack_workspace.made["team_id"], True)
    assert "chat:write" in ((await Slack.open()).granted_scopes or "").split(",")


async def test_check_tells_what_is_missing_and_how_to_mend_it(
    slack_workspace: Workspace, org: UUID, sandbox: Sandbox
):
    lobby, old = slack_workspace.channel("lobby"), slack_workspace.channel("old-show")
    slack_workspace.act("set_scopes", scopes=["chat:write", "channels:read", "users:read"])
    routes = {"budget_alert": lobby, "event_reminder": old, "task_assigned": "C0NOWHERE00"}
    slack = await reconnected(org, slack_workspace, channels=routes, signing_secrets=None)
    check = await slack.test_connection()
    wrong = [finding for finding in check.findings if not finding.ok]
    assert all(finding.mend and finding.text.endswith(".") for finding in wrong)
    told = " ".join(finding.text for finding in wrong)
    for scope in set(SCOPES) - {"chat:write", "channels:read", "users:read"}:
        assert f"Scope {scope} is missing" in told
    for part in (f"not in channel {lobby}", f"{old} is archived", "C0NOWHERE00", "signing secret"):
        assert part in told


async def test_webhook_is_tried_without_a_message(
    slack_workspace: Workspace, org: UUID, sandbox: Sandbox
):
    url = sandbox.base("slack") + slack_workspace.control("POST", "seed", hook="crew")["hook"]
    alone: Json = {"bot_token": None, "default_channel": None}
    slack = await reconnected(org, slack_workspace, incoming_webhook_url=url, **alone)
    assert (await slack.test_connection()).ok
    assert slack_workspace.received() == []
    slack = await reconnected(org, slack_workspace, incoming_webhook_url=url + "x", **alone)
    check = await slack.test_connection()
    assert [finding.ok for finding in check.findings] == [False, True]
    assert url.rpartition("/")[2] not in str(check)


async def test_scopes_are_learnt_from_every_answer(slack_bot: Slack, slack_workspace: Workspace):
    slack_workspace.act("set_scopes", scopes=["chat:write"])
    await slack_bot.api("auth.test", reading=True)
    with pytest.raises(Unauthorized, match="reinstall needed: missing im:write") as told:
        slack_bot.need("im:write")
    assert (told.value.code, told.value.field) == ("missing_scope", "im:write")
    slack_bot.need("channels:history", "chat:write")


async def test_prepare_learns_and_tells(slack_bot: Slack, slack_workspace: Workspace):
    line = (await prepare.fn(slack_bot)).line
    assert slack_workspace.made["team_id"] in line
    assert slack_bot.webhook_url() in line
    assert (await prepare.fn(slack_bot)).fields == {}


async def grant(slack: Slack, **asked: str) -> str:
    """The person's way through Slack's page, as far as the code."""
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(slack.get_auth_url(state="s1"), params=asked or None)
    assert answer.status_code == 302, answer.text
    back = parse_qs(urlsplit(answer.headers["location"]).query)
    assert back["state"] == ["s1"]
    return back["code"][0]


async def test_oauth_brings_token_scopes_and_a_channel(
    slack_workspace: Workspace, org: UUID, rows: Rows
):
    slack = await reconnected(org, slack_workspace, bot_token=None, default_channel=None)
    assert not slack.is_configured()
    await slack.handle_callback(await grant(slack))
    again = await Slack.open()
    assert again.is_configured()
    assert set(SCOPES) <= (again.scopes or set())
    assert again.default_channel
    assert again.has_hook
    assert again.app_id == slack_workspace.made["app_id"]
    assert (await again.test_connection()).findings[0].ok
    with pytest.raises(Rejected, match="invalid_code"):
        await again.handle_callback("nonsense")
    assert rows("integration_connections", "account_id") == [(slack_workspace.made["team_id"],)]


async def test_oauth_of_another_workspace_is_refused(
    slack_bot: Slack, sandbox: Sandbox, slack_workspace: Workspace
):
    other = Workspace(sandbox, f"{slack_workspace.name}-b", app=slack_workspace.name)
    before = slack_bot.stored_fields()
    code = await authorized(slack_bot, other)
    with pytest.raises(Rejected) as refused:
        await slack_bot.handle_callback(code)
    assert refused.value.code == "account_differs"
    assert (await Slack.open()).stored_fields() == before


async def authorized(slack: Slack, workspace: Workspace) -> str:
    async with httpx.AsyncClient() as browser:
        url = f"{slack.get_auth_url()}&team={workspace.made['team_id']}"
        answer = await browser.get(url)
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


async def test_token_of_the_environment_wins_and_says_so(
    slack_workspace: Workspace, org: UUID, monkeypatch: pytest.MonkeyPatch
):
    slack = await reconnected(org, slack_workspace)
    code = await grant(slack)
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-another")
    with pytest.raises(Misconfigured, match="SLACK_BOT_TOKEN"):
        await slack.handle_callback(code)


def test_oauth_needs_a_client():
    with pytest.raises(Misconfigured, match="SLACK_CLIENT_ID"):
        Slack.model_validate({}).get_auth_url()
    assert settings().public_base_url


async def test_disconnect_revokes(slack_bot: Slack, slack_workspace: Workspace, rows: Rows):
    await slack_bot.disconnect()
    assert slack_workspace.refused("auth.test") == "token_revoked"
    assert rows("integration_connections", "enabled", "sealed") == [(False, None)]
    await slack_bot.disconnect()


async def test_disconnect_wipes_while_slack_is_away_and_says_what_is_left(
    org: UUID, slack_workspace: Workspace, rows: Rows
):
    slack = await reconnected(org, slack_workspace, api_base="http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="Remove the app"):
        await slack.disconnect()
    assert rows("integration_connections", "enabled", "sealed") == [(False, None)]
