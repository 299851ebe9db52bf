"""The Slack connector: signatures and the challenge, what is kept of events, how errors sort."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest
from conftest import Rows
from connector_samples import assembled
from published import vectors
from sandbox_client import Sandbox
from slack_connection import reconnected, slack_signed
from slack_workspace import Workspace

from atlvs.db import connections
from atlvs.errors import OutcomeUnknown, Rejected, Unauthorized, Unavailable
from blocks import slack_events
from blocks.slack import Slack
from blocks.slack_answers import content_of, refusal
from blocks.slack_wire import without_secret
from blocks.wire import Answer

pytest_plugins = ["slack_fixtures"]
Json = dict[str, Any]


def test_signatures_are_those_of_the_reference(monkeypatch: pytest.MonkeyPatch):
    assert len(known := vectors("slack")) == 3
    for vector in known:
        monkeypatch.setattr("slack_sdk.signature.time", lambda now=vector["now"]: now)
        headers = {name.lower(): value for name, value in vector["headers"].items()}
        body = vector["body"].encode()
        signed = slack_events.is_signed(body, headers, ["other", vector["secret"]])
        assert signed == vector["expect"], vector["id"]
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
        connector = Slack.model_validate({"incoming_webhook_url": url})
        assert not connector.has_hook
        assert not connector.is_configured()
    assert Slack.model_validate(
        {"incoming_webhook_url": "https://hooks.slack.com/services/T/B/x"}
    ).is_configured()
    assert (
        without_secret("https://hooks.slack.com/services/T/B/x")
        == "https://hooks.slack.com/services"
    )
    assert (
        without_secret("https://slack.com/api/chat.update") == "https://slack.com/api/chat.update"
    )


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


async def test_connection_of_another_workspace_takes_no_events(slack_bot: Slack):
    secret = slack_fields_secret(slack_bot)
    told = {"type": "app_uninstalled"}
    body, _ = signed_event(told, team_id=(await connections.every("slack"))[0].account_id)
    bound = await Slack.open()
    assert len(bound.verify(body, slack_signed(body, secret))) == 1
    body, _ = signed_event(told, team_id="T0ANOTHER00")
    assert bound.verify(body, slack_signed(body, secret)) == []


def slack_fields_secret(slack: Slack) -> str:
    return slack.signing_secrets.get_secret_value() if slack.signing_secrets else ""
