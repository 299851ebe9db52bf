"""The sandbox's Slack and the world around it: events, limits, faults, costs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
import requests
from published import vectors
from sandbox_client import Sandbox
from slack_workspace import CHANNELS, PEOPLE, Workspace, lent
from webhook_listener import Listener

from deployments.sandbox.app import create_app
from deployments.sandbox.slack.signing import signature
from deployments.sandbox.wire import Request

Object = dict[str, Any]


@pytest.fixture
def slack(sandbox: Sandbox) -> Iterator[Workspace]:
    yield from lent(sandbox)


@pytest.fixture
def events(slack: Workspace, listener: Listener) -> Listener:
    slack.control("POST", "settings", events_url=listener.url, verify=False)
    return listener


def verified(slack: Workspace, sent: tuple[bytes, dict[str, str]]) -> Object:
    body, headers = sent
    at = headers["x-slack-request-timestamp"]
    assert headers["x-slack-signature"] == signature(slack.made["signing_secret"], at, body)
    assert abs(time.time() - int(at)) < 10
    return json.loads(body)


def test_signature_is_that_of_the_reference() -> None:
    mine = vectors("slack")
    assert {each["id"] for each in mine} >= {"slack-docs-example", "slack-body-tampered"}
    for each in mine:
        at = each["headers"]["X-Slack-Request-Timestamp"]
        fresh = abs(each["now"] - int(at)) <= 300
        made = signature(each["secret"], at, each["body"].encode())
        assert (fresh and made == each["headers"]["X-Slack-Signature"]) == each["expect"], each[
            "id"
        ]


def test_uninstalling_tells_the_app_and_ends_its_tokens(slack: Workspace, events: Listener) -> None:
    slack.act("uninstall_app")
    sent = [verified(slack, each) for each in events.wait(2)]
    kinds = {each["event"]["type"]: each for each in sent}
    assert kinds.keys() == {"tokens_revoked", "app_uninstalled"}
    revoked = kinds["tokens_revoked"]
    assert revoked["event"]["tokens"] == {"oauth": [], "bot": [slack.made["bot_user_id"]]}
    assert (revoked["team_id"], revoked["type"]) == (slack.made["team_id"], "event_callback")
    assert revoked["event_id"].startswith("Ev")
    assert slack.refused("auth.test") == "account_inactive"


def test_revoking_is_final(slack: Workspace, events: Listener) -> None:
    assert slack("auth.revoke", test="1") == {"ok": True, "revoked": False}
    assert slack("auth.revoke")["revoked"]
    events.wait(2)
    assert slack.refused("auth.test") == "token_revoked"
    slack.act("install_app")
    slack("auth.test")
    client = {"client_id": slack.made["client_id"], "client_secret": "wrong"}
    assert slack.refused("apps.uninstall", **client) == "bad_client_secret"
    slack("apps.uninstall", **client | {"client_secret": slack.made["client_secret"]})
    assert slack.refused("auth.test") == "account_inactive"


def test_events_are_sent_again_and_say_so(
    slack: Workspace, events: Listener, sandbox: Sandbox
) -> None:
    sandbox.webhooks(backoff=0.02)
    slack.control("POST", "settings", events=["user_change", "message.im"])
    events.answer_with(500, 503)
    slack.act("rename_user", user="ada@example.com", name="Ada Brandt")
    sent = events.wait(3)
    assert [each[1].get("x-slack-retry-num") for each in sent] == [None, "1", "2"]
    assert {each[1].get("x-slack-retry-reason") for each in sent[1:]} == {"http_error"}
    assert len({verified(slack, each)["event_id"] for each in sent}) == 1
    slack.act("say", user="ada@example.com", text="hello bot")
    event = verified(slack, events.wait(4)[3])["event"]
    assert (event["type"], event["channel_type"], event["text"]) == ("message", "im", "hello bot")


def test_events_are_doubled_shuffled_and_dropped(
    slack: Workspace, events: Listener, sandbox: Sandbox
) -> None:
    slack.control("POST", "settings", events=["user_change", "channel_archive"])
    sandbox.webhooks(paused=True, drop_types=["channel_archive"])
    slack.act("archive_channel", channel="crew")
    for name in ("One", "Two", "Three"):
        slack.act("rename_user", user="ben@example.com", name=name)
    flushed = sandbox.control(
        "POST", "webhooks/flush", {"account": slack.name, "duplicate": 1, "shuffle": True}
    )
    assert [each["status"] for each in flushed] == [200] * 6
    assert [a["outcome"] for a in slack.attempts()].count("dropped") == 1
    assert len({json.loads(body)["event_id"] for body, _ in events.received}) == 3


def test_clicks_come_as_forms(slack: Workspace, listener: Listener) -> None:
    slack.control("POST", "settings", interactivity_url=listener.url)
    sent = slack("chat.postMessage", channel="crew", text="Approve?")
    given = {"channel": sent["channel"], "ts": sent["ts"], "action_id": "approve", "value": "7"}
    slack.act("click", user="ada@example.com", **given)
    ((body, headers),) = listener.wait(1)
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    at = headers["x-slack-request-timestamp"]
    assert headers["x-slack-signature"] == signature(slack.made["signing_secret"], at, body)
    payload = json.loads(parse_qs(body.decode())["payload"][0])
    assert (payload["type"], payload["actions"][0]["value"]) == ("block_actions", "7")


def test_request_urls_must_answer_the_challenge(slack: Workspace, listener: Listener) -> None:
    given = {"key": slack.name, "events_url": listener.url}
    url = f"{slack.sandbox.url}/_sandbox/slack/settings"
    answer = requests.post(url, json=given, timeout=30)
    assert (answer.status_code, "without the challenge" in answer.text) == (400, True)
    ((body, headers),) = listener.wait(1)
    assert verified(slack, (body, headers))["type"] == "url_verification"


def test_posting_is_limited_by_channel(slack: Workspace) -> None:
    slack.limits(default=True)
    answers = [slack.ask("chat.postMessage", channel="crew", text="x") for _ in range(5)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
    assert answers[3].json() == {"ok": False, "error": "ratelimited"}
    assert answers[3].headers["retry-after"] == "1"
    slack("chat.postMessage", channel="budget", text="another channel")
    slack.limits(post=10, burst=1)
    slack("chat.postMessage", channel="crew", text="x")
    assert slack.ask("chat.postMessage", channel="crew", text="x").status_code == 429
    time.sleep(0.1)
    slack("chat.postMessage", channel="crew", text="x")


def test_methods_are_limited_by_tier(slack: Workspace) -> None:
    slack.limits(default=True)
    statuses = [slack.ask("users.list", limit=1).status_code for _ in range(22)]
    assert statuses == [200] * 20 + [429] * 2
    slack.limits(scale=10)
    assert {slack.ask("users.list", limit=1).status_code for _ in range(60)} == {200}


def test_faults_speak_slack(slack: Workspace, sandbox: Sandbox) -> None:
    def post() -> requests.Response:
        return slack.ask("chat.postMessage", channel="crew", text="x")

    def fault(kind: str, **rule: Any) -> None:
        sandbox.fault(kind, provider="slack", path="chat.postMessage", times=1, **rule)

    fault("429", headers={"Retry-After": "7"})
    assert (post().headers["retry-after"], slack.counts()["messages"]) == ("7", 0)
    fault("500_before")
    answer = post()
    assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
    assert slack.counts()["messages"] == 0
    fault("500_after")
    assert (post().status_code, slack.counts()["messages"]) == (500, 1)
    fault("reset_after")
    with pytest.raises(requests.ConnectionError):
        post()
    assert slack.counts()["messages"] == 2, "accepted, only the answer is lost"
    fault("status", status=200, body={"ok": False, "error": "fatal_error"})
    url, headers = slack.base + "chat.postMessage", {"authorization": f"Bearer {slack.token}"}
    given = {"channel": "crew", "text": "x"}
    answered = requests.post(url, json=given, headers=headers, timeout=30).json()
    assert answered["error"] == "fatal_error"


def test_accepted_messages_may_never_arrive(slack: Workspace) -> None:
    slack.control("POST", "lose", text="invoice", times=1)
    crew = slack.channel("crew")
    lost = slack("chat.postMessage", channel=crew, text="invoice 7")
    slack("chat.postMessage", channel=crew, text="invoice 7")
    messages = slack("conversations.history", channel=crew)["messages"]
    assert lost["ts"] not in {each["ts"] for each in messages}
    assert slack.counts()["messages"] == len(messages) == 1


def test_scheduled_messages_come_in_time(slack: Workspace, sandbox: Sandbox) -> None:
    crew, now = slack.channel("crew"), int(sandbox.clock())
    later = slack("chat.scheduleMessage", channel=crew, text="later", post_at=now + 3600)
    gone = slack("chat.scheduleMessage", channel=crew, text="gone", post_at=now + 3600)
    assert (
        slack.refused("chat.scheduleMessage", channel=crew, text="x", post_at=1) == "time_in_past"
    )
    identifier = gone["scheduled_message_id"]
    slack("chat.deleteScheduledMessage", channel=crew, scheduled_message_id=identifier)
    (waiting,) = slack("chat.scheduledMessages.list")["scheduled_messages"]
    assert waiting["id"] == later["scheduled_message_id"]
    assert slack.received() == []
    sandbox.clock(advance=3601)
    assert [each["text"] for each in slack.received()] == ["later"]


async def test_messages_are_cheap() -> None:
    app = create_app(["slack"])
    provider = app.providers["slack"]
    provider.controls["seed"]({"key": "bulk", "people": PEOPLE, "channels": CHANNELS})
    app.controls.set_limits({"provider": "slack", "off": True})
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "*Task* stage"}}
    body = orjson.dumps({"channel": "crew", "text": "Task", "blocks": [block] * 4})
    headers = {
        "authorization": "Bearer xoxb-sandbox-bulk",
        "content-type": "application/json;charset=utf-8",
    }
    started = time.process_time()
    for _ in range(3000):
        await provider.answer(Request("POST", "/api/chat.postMessage", b"", headers, body))
    assert (time.process_time() - started) / 3000 < 0.0003
    counted = provider.controls["counts"]({"key": "bulk", "by": "text", "as": "email"})
    assert counted["repeated"] == {"#crew": {"Task": 3000}}


def test_sdk_accepts_the_signatures(slack: Workspace, events: Listener) -> None:
    signing = pytest.importorskip("slack_sdk.signature")
    slack.act("uninstall_app")
    verifier = signing.SignatureVerifier(slack.made["signing_secret"])
    for body, headers in events.wait(2):
        assert verifier.is_valid_request(body, headers)
        assert not verifier.is_valid_request(body + b" ", headers)
