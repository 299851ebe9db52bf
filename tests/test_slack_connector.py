"""The Slack connector: signatures and the challenge, scopes, OAuth, what check finds, how errors sort."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import orjson
import pytest
from conftest import Rows
from connector_samples import assembled
from sandbox_client import ROOT, Sandbox
from slack_connection import reconnected, slack_signed
from slack_workspace import Workspace

from atlvs.db import connections
from atlvs.errors import Misconfigured, OutcomeUnknown, Rejected, Unauthorized, Unavailable
from atlvs.settings import settings
from blocks import slack_events
from blocks.slack import Slack
from blocks.slack_answers import content_of, refusal
from blocks.slack_check import SCOPES
from blocks.slack_wire import without_secret
from blocks.wire import Answer
from tasks.slack import prepare

pytest_plugins = ["slack_fixtures"]
VECTORS = Path(os.environ.get("ATLVS_VECTORS") or ROOT.parent / "shared" / "vectors")
Json = dict[str, Any]


def vectors() -> list[Json]:
    path = VECTORS / "vectors.json"
    if not path.exists():
        return []
    return [one for one in orjson.loads(path.read_bytes())["vectors"] if one["service"] == "slack"]


@pytest.mark.parametrize("vector", vectors(), ids=lambda one: one["id"])
def test_signatures_are_those_of_the_reference(vector: Json, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("slack_sdk.signature.time", lambda: vector["now"])
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    body = vector["body"].encode()
    assert slack_events.is_signed(body, headers, ["other", vector["secret"]]) == vector["expect"]
    assert not slack_events.is_signed(body, headers, [])


@pytest.mark.parametrize("age", [301, -301])
def test_old_and_future_signatures_are_refused(age: float):
    body = b"{}"
    assert not slack_events.is_signed(body, slack_signed(body, "s", age), ["s"])
    assert slack_events.is_signed(body, slack_signed(body, "s", age / 2), ["s"])


HOSTILE = [
    {"x-slack-request-timestamp": at, "x-slack-signature": signature}
    for at in ("", "x", "-1", "١٢٣", "9" * 400, "1e9", " 1", "1_0")
    for signature in ("", "v0=", "v0=é", "\ud800", "v0=" + "0" * 64)
]


@pytest.mark.parametrize("headers", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_headers_are_unauthorized(headers: dict[str, str]):
    for body in (b"", b"{}", b"\xff\xfe", b"\x00"):
        with pytest.raises(Unauthorized):
            assembled("slack").verify(body, headers, "")
    with pytest.raises(Unauthorized):
        assembled("slack").handshake("POST", headers, "", b'{"type":"url_verification"}')


def signed_event(event: Json, **more: Any) -> tuple[bytes, dict[str, str]]:
    told = {
        "type": "event_callback",
        "team_id": "T0000000001",
        "token": "verification",
        "event_id": "Ev1",
        "event_time": 1_790_000_000,
        "authorizations": [{"user_id": "U1"}],
        "event": event,
    }
    body = orjson.dumps(told | more)
    return body, slack_signed(body, "marked_older")


def test_of_an_event_only_what_is_used_is_kept():
    user = {
        "id": "U0000000002",
        "name": "ada\0",
        "deleted": False,
        "tz": "Europe/Oslo",
        "updated": 1_789_999_999,
        "profile": {"email": "ada@example.com", "phone": "+4712345678", "image_24": "https://x"},
    }
    [event] = assembled("slack").verify(*signed_event({"type": "user_change", "user": user}), "")
    assert (event.id, event.type, event.lane) == ("Ev1", "user_change", "U0000000002")
    kept = orjson.dumps(event.payload).decode()
    assert "ada@example.com" in kept
    for unwanted in ("+4712345678", "https://x", "verification", "authorizations", "\\u0000"):
        assert unwanted not in kept
    channel = {"type": "channel_rename", "channel": {"id": "C0000000001", "name": "secret plans"}}
    [event] = assembled("slack").verify(*signed_event(channel), "")
    assert (event.lane, event.payload["event"]) == (
        "C0000000001",
        {"type": "channel_rename", "channel": "C0000000001"},
    )


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message", "text": "something private", "channel": "C1"},
        {"type": "tokens_revoked", "tokens": {"oauth": ["U1"], "bot": []}},
    ],
)
def test_what_is_of_no_use_is_taken_and_not_kept(event: Json):
    assert assembled("slack").verify(*signed_event(event), "") == []
    body = b"payload=%7B%7D"
    headers = slack_signed(body, "marked") | {"content-type": "application/x-www-form-urlencoded"}
    assert assembled("slack").verify(body, headers, "") == []


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b'{"type":7}',
        b'{"type":"event_callback"}',
        b'{"type":"event_callback","event_id":"E","event_time":"x","event":{"type":"team_join"}}',
        b'{"type":"event_callback","event_id":"E","event_time":1,"event":{"type":"team_join"}}',
        b'{"type":"event_callback","event_id":"E","event_time":1,"event":{"type":"team_join","user":{"id":"../x"}}}',
    ],
)
def test_signed_and_malformed_is_rejected(body: bytes):
    with pytest.raises(Rejected) as refused:
        assembled("slack").verify(body, slack_signed(body, "marked"), "")
    assert refused.value.code == "malformed"


def test_challenge_is_answered_to_whoever_can_sign_it():
    body = b'{"type":"url_verification","challenge":"3eZbrw1aB10FEMAGAZd4FyFQ"}'
    answer = assembled("slack").handshake("POST", slack_signed(body, "marked"), "", body)
    assert answer == (200, b"3eZbrw1aB10FEMAGAZd4FyFQ", "text/plain; charset=utf-8")
    for other in (
        b'{"type":"event_callback","x":"url_verification"}',
        b'{"type":"url_verification"}',
    ):
        assert (
            assembled("slack").handshake("POST", slack_signed(other, "marked"), "", other) is None
        )
    assert assembled("slack").handshake("GET", {}, "", body) is None


@pytest.mark.parametrize(
    ("error", "reading", "kind", "code"),
    [
        ("ratelimited", False, Unavailable, "ratelimited"),
        ("internal_error", False, OutcomeUnknown, "no_answer"),
        ("internal_error", True, Unavailable, "no_answer"),
        ("invalid_auth", False, Unauthorized, "invalid_auth"),
        ("account_inactive", False, Unauthorized, "account_inactive"),
        ("missing_scope", False, Unauthorized, "missing_scope"),
        ("channel_not_found", False, Rejected, "channel_not_found"),
        ("something_new", False, Rejected, "something_new"),
        ("x" * 500, False, Rejected, "unknown_error"),
        ({"not": "a text"}, False, Rejected, "unknown_error"),
    ],
)
def test_refusals_say_what_to_do_next(error: Any, reading: bool, kind: type, code: str):
    found = refusal("chat.postMessage", {"ok": False, "error": error}, reading=reading)
    assert type(found) is kind
    assert found.code == code


def test_what_did_not_come_from_slack_tells_nothing():
    for status, body in ((200, b"<html>"), (502, b'{"ok":true}'), (200, b"[]"), (302, b"")):
        with pytest.raises(OutcomeUnknown):
            content_of("chat.postMessage", Answer(status, {}, body), reading=False)
        with pytest.raises(Unavailable):
            content_of("users.list", Answer(status, {}, body), reading=True)
    with pytest.raises(Unavailable) as told:
        content_of("users.list", Answer(429, {"Retry-After": "30"}, b""), reading=True)
    assert told.value.retry_after == 30


def test_webhook_addresses_are_slacks_only():
    for url in (
        "https://evil.test/services/T/B/x",
        "http://hooks.slack.com/services/T",
        "nonsense",
    ):
        connector = Slack(incoming_webhook_url=url)  # type: ignore[arg-type]
        assert not connector.has_hook
        assert not connector.is_configured()
    assert Slack(incoming_webhook_url="https://hooks.slack.com/services/T/B/x").is_configured()  # type: ignore[arg-type]
    assert (
        without_secret("https://hooks.slack.com/services/T/B/x")
        == "https://hooks.slack.com/services"
    )
    assert (
        without_secret("https://slack.com/api/chat.update") == "https://slack.com/api/chat.update"
    )


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


async def test_scopes_are_learnt_from_every_answer(slack: Slack, slack_workspace: Workspace):
    slack_workspace.act("set_scopes", scopes=["chat:write"])
    await slack.api("auth.test", reading=True)
    with pytest.raises(Unauthorized, match="reinstall needed: missing im:write") as told:
        slack.need("im:write")
    assert (told.value.code, told.value.field) == ("missing_scope", "im:write")
    slack.need("channels:history", "chat:write")


async def test_prepare_learns_and_tells(slack: Slack, slack_workspace: Workspace):
    line = (await prepare.fn(slack)).line
    assert slack_workspace.made["team_id"] in line
    assert slack.webhook_url() in line
    assert (await prepare.fn(slack)).fields == {}


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
    slack: Slack, sandbox: Sandbox, slack_workspace: Workspace
):
    other = Workspace(sandbox, f"{slack_workspace.name}-b", app=slack_workspace.name)
    before = slack.stored_fields()
    code = await authorized(slack, other)
    with pytest.raises(Rejected) as refused:
        await slack.handle_callback(code)
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
        Slack().get_auth_url()
    assert settings().public_base_url


async def test_disconnect_revokes(slack: Slack, slack_workspace: Workspace, rows: Rows):
    await slack.disconnect()
    assert slack_workspace.refused("auth.test") == "token_revoked"
    assert rows("integration_connections", "enabled", "sealed") == [(False, None)]
    await slack.disconnect()


async def test_disconnect_wipes_while_slack_is_away_and_says_what_is_left(
    org: UUID, slack_workspace: Workspace, rows: Rows
):
    slack = await reconnected(org, slack_workspace, api_base="http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="Remove the app"):
        await slack.disconnect()
    assert rows("integration_connections", "enabled", "sealed") == [(False, None)]


async def test_secrets_stay_out_of_errors_and_the_audit(
    slack_workspace: Workspace, org: UUID, rows: Rows, sandbox: Sandbox
):
    path = slack_workspace.control("POST", "seed", hook="crew")["hook"]
    slack = await reconnected(
        org, slack_workspace, incoming_webhook_url=sandbox.base("slack") + path
    )
    sandbox.fault("reset_after", provider="slack", path="/services/", times=1)
    with pytest.raises(OutcomeUnknown) as told:
        await slack.post_to_hook(b'{"text":"x"}')
    assert path.rpartition("/")[2] not in repr(told.value)
    assert told.value.__suppress_context__
    await slack.wire.flush()
    assert rows("integration_calls", "path") == [("/services",)]


async def test_connection_of_another_workspace_takes_no_events(slack: Slack):
    secret = slack_fields_secret(slack)
    told = {"type": "app_uninstalled"}
    body, _ = signed_event(told, team_id=(await connections.every("slack"))[0].account_id)
    bound = await Slack.open()
    assert len(bound.verify(body, slack_signed(body, secret))) == 1
    body, _ = signed_event(told, team_id="T0ANOTHER00")
    assert bound.verify(body, slack_signed(body, secret)) == []


def slack_fields_secret(slack: Slack) -> str:
    return slack.signing_secrets.get_secret_value() if slack.signing_secrets else ""
