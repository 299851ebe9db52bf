"""The sandbox's Slack: who may call, how calls come in, how an app is installed, the SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from sandbox_client import Sandbox
from slack_description import check_answer, check_request, is_described
from slack_workspace import Workspace, lent

Object = dict[str, Any]


@pytest.fixture
def slack(sandbox: Sandbox) -> Iterator[Workspace]:
    yield from lent(sandbox)


def test_auth_test_says_whose_token_it_is_and_what_it_may(slack: Workspace) -> None:
    answer = slack.ask("auth.test")
    content = answer.json()
    assert (content["team_id"], content["user_id"]) == (
        slack.made["team_id"],
        slack.made["bot_user_id"],
    )
    assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")


@pytest.mark.parametrize(
    ("token", "error"),
    [("xoxb-1-2-unknown", "invalid_auth"), ("sk_test_1", "invalid_auth"), (" ", "not_authed")],
)
def test_tokens_that_were_not_given_out_are_refused(
    slack: Workspace, token: str, error: str
) -> None:
    answer = slack.ask("auth.test", token=token)
    assert (answer.status_code, answer.json()["error"]) == (200, error)


def test_token_in_the_address_is_not_taken(slack: Workspace) -> None:
    answer = requests.post(slack.base + "auth.test", params={"token": slack.token}, timeout=30)
    assert answer.json()["error"] == "not_authed"
    answer = requests.post(slack.base + "auth.test", data={"token": slack.token}, timeout=30)
    assert answer.json()["ok"]


def test_missing_scopes_are_named(slack: Workspace) -> None:
    slack.act("set_scopes", scopes=["chat:write", "channels:read"])
    cases: list[tuple[str, Object, str]] = [
        ("conversations.create", {"name": "x"}, "channels:manage,groups:write"),
        ("conversations.open", {"users": "U1"}, "im:write,mpim:write"),
        ("users.lookupByEmail", {"email": "ada@example.com"}, "users:read.email"),
        ("conversations.list", {"types": "private_channel"}, "groups:read"),
    ]
    for method, given, needed in cases:
        content = slack.ask(method, **given).json()
        assert (content["error"], content["needed"]) == ("missing_scope", needed)
        assert content["provided"] == "chat:write,channels:read"
    lobby = slack("conversations.list")["channels"]
    target = next(each["id"] for each in lobby if each["name"] == "lobby")
    assert slack.refused("chat.postMessage", channel=target, text="x") == "not_in_channel"


@pytest.mark.parametrize(
    ("headers", "body", "error"),
    [
        ({"content-type": "application/json"}, b"{", "invalid_json"),
        ({"content-type": "application/json"}, b"[]", "json_not_object"),
        ({"content-type": "application/xml"}, b"<a/>", "invalid_post_type"),
        ({"content-type": ""}, b"a=b", "invalid_post_type"),
        ({"content-type": "application/json; charset=utf-16"}, b"{}", "invalid_charset"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"nonsense", "invalid_form_data"),
        ({"content-type": "application/json"}, b'{"channel": ["C1"]}', "invalid_array_arg"),
        ({"content-type": "application/json"}, b'{"chanel": "C1"}', "invalid_arg_name"),
        ({"content-type": "application/json"}, b'{"text": "x"}', "invalid_arguments"),
    ],
)
def test_malformed_requests_are_refused(
    slack: Workspace, headers: dict[str, str], body: bytes, error: str
) -> None:
    sent = headers | {"authorization": f"Bearer {slack.token}"}
    answer = requests.post(slack.base + "chat.postMessage", data=body, headers=sent, timeout=30)
    assert answer.json()["error"] == error
    check_answer("chat.postMessage", answer.content)


def test_json_is_not_read_by_methods_that_only_read(slack: Workspace) -> None:
    headers = {"authorization": f"Bearer {slack.token}"}
    answer = requests.post(
        slack.base + "users.lookupByEmail",
        json={"email": "ada@example.com"},
        headers=headers,
        timeout=30,
    ).json()
    assert answer["response_metadata"]["messages"] == ["[ERROR] missing required field: email"]
    assert answer["warning"] == "missing_charset"
    unknown = requests.post(slack.base + "chat.post", headers=headers, timeout=30).json()
    assert unknown == {"ok": False, "error": "unknown_method", "req_method": "chat.post"}
    parts = {"channel": (None, slack.channel("crew")), "text": (None, "as parts")}
    url = slack.base + "chat.postMessage"
    assert requests.post(url, files=parts, headers=headers, timeout=30).json()["ok"]


def install(slack: Workspace, **more: str) -> Object:
    """Through the consent page, as far as the code."""
    asked = {
        "client_id": slack.made["client_id"],
        "scope": "chat:write,users:read",
        "redirect_uri": "http://127.0.0.1/oauth/slack/callback",
        "state": "s1",
    }
    url = f"{slack.sandbox.base('slack')}/oauth/v2/authorize"
    answer = requests.get(url, params=asked | more, allow_redirects=False, timeout=30)
    assert answer.status_code == 302, answer.text
    return {k: v[0] for k, v in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def exchanged(slack: Workspace, **given: str) -> Object:
    client = (slack.made["client_id"], slack.made["client_secret"])
    if "code" in given:
        given = {"redirect_uri": "http://127.0.0.1/oauth/slack/callback", **given}
    return requests.post(slack.base + "oauth.v2.access", data=given, auth=client, timeout=30).json()


def test_code_is_good_for_one_token(slack: Workspace, sandbox: Sandbox) -> None:
    back = install(slack)
    assert back["state"] == "s1"
    wrong = exchanged(slack, code=back["code"], redirect_uri="http://127.0.0.1/else")
    assert wrong["error"] == "bad_redirect_uri"
    granted = exchanged(slack, code=back["code"])
    assert (granted["team"]["id"], granted["token_type"]) == (slack.made["team_id"], "bot")
    assert exchanged(slack, code=back["code"])["error"] == "invalid_code"
    assert slack.ask("auth.test", token=granted["access_token"]).json()["ok"]
    stale = install(slack)["code"]
    sandbox.clock(advance=601)
    assert exchanged(slack, code=stale)["error"] == "invalid_code"
    slack.control("POST", "settings", consent="deny")
    assert install(slack) == {"error": "access_denied", "state": "s1"}
    slack.control("POST", "settings", consent="approve")


def test_rotating_tokens_expire_and_are_renewed_once(slack: Workspace, sandbox: Sandbox) -> None:
    slack.control("POST", "settings", rotation=True)
    first = exchanged(slack, code=install(slack)["code"])
    assert first["access_token"].startswith("xoxe.xoxb-1-")
    assert first["expires_in"] == 43_200
    sandbox.clock(advance=43_201)
    content = slack.ask("auth.test", token=first["access_token"]).json()
    assert content["error"] == "token_expired"
    asked = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = exchanged(slack, **asked)
    assert slack.ask("auth.test", token=second["access_token"]).json()["ok"]
    assert exchanged(slack, **asked)["error"] == "invalid_refresh_token"


def test_secrets_stay_out_of_the_log(slack: Workspace, sandbox: Sandbox) -> None:
    exchanged(slack, code=install(slack)["code"])
    slack("auth.test")
    shown = json.dumps(sandbox.requests(provider="slack"))
    assert slack.token not in shown
    assert slack.made["client_secret"] not in shown


def judged(sdk: Any) -> Any:
    """The SDK's client, which holds every answer against the description."""

    class Judged(sdk.WebClient):
        def _perform_urllib_http_request(self, *, url: str, args: Object) -> Object:
            answer = super()._perform_urllib_http_request(url=url, args=args)
            check_answer(urlsplit(url).path.rpartition("/")[2], answer["body"])
            return answer

    return Judged


def test_sdk_and_sandbox_understand_each_other(slack: Workspace, sandbox: Sandbox) -> None:
    sdk = pytest.importorskip("slack_sdk")
    client = judged(sdk)(token=slack.token, base_url=slack.base, retry_handlers=[])
    assert client.auth_test()["team_id"] == slack.made["team_id"]
    user = client.users_lookupByEmail(email="ada@example.com")["user"]["id"]
    room = client.conversations_open(users=[user])["channel"]["id"]
    blocks = [sdk.models.blocks.HeaderBlock(text="Task"), sdk.models.blocks.DividerBlock()]
    sent = client.chat_postMessage(channel=room, text="Task", blocks=blocks, unfurl_links=False)
    client.chat_update(channel=room, ts=sent["ts"], text="done", blocks=[])
    client.chat_postMessage(channel=room, text="more", thread_ts=sent["ts"])
    thread = client.conversations_replies(channel=room, ts=sent["ts"])["messages"]
    assert [each["text"] for each in thread] == ["done", "more"]
    made = client.conversations_create(name="made-by-sdk", is_private=True)["channel"]["id"]
    client.conversations_invite(channel=made, users=[user], force=True)
    assert user in client.conversations_members(channel=made)["members"]
    assert sum([len(page["members"]) for page in client.users_list(limit=2)]) == 7
    with pytest.raises(sdk.errors.SlackApiError) as refused:
        client.chat_postMessage(channel="C0NOWHERE00", text="x")
    assert refused.value.response["error"] == "channel_not_found"
    for entry in sandbox.requests(provider="slack", account=slack.name):
        method = entry["path"].removeprefix("/api/")
        if is_described(method):
            check_request(method, entry["params"])


def test_sdk_installs_and_revokes(slack: Workspace) -> None:
    sdk = pytest.importorskip("slack_sdk")
    client = judged(sdk)(token=slack.token, base_url=slack.base, retry_handlers=[])
    code = install(slack)["code"]
    granted = sdk.WebClient(base_url=slack.base).oauth_v2_access(
        client_id=slack.made["client_id"],
        client_secret=slack.made["client_secret"],
        code=code,
        redirect_uri="http://127.0.0.1/oauth/slack/callback",
    )
    assert granted["bot_user_id"] == slack.made["bot_user_id"]
    assert client.auth_revoke()["revoked"]


def test_sdk_of_default_settings_posts_twice_when_the_answer_is_lost(
    slack: Workspace, sandbox: Sandbox
) -> None:
    sdk = pytest.importorskip("slack_sdk")
    sandbox.fault("reset_after", provider="slack", path="chat.postMessage", times=1)
    sdk.WebClient(token=slack.token, base_url=slack.base).chat_postMessage(channel="crew", text="x")
    assert slack.counts()["messages"] == 2


def test_workspace_can_be_given_its_credentials(sandbox: Sandbox, slack: Workspace) -> None:
    token = f"xoxb-12-34-{slack.name}Given"
    wanted = {
        "key": token,
        "signing_secret": "s3cret",
        "client_id": f"1.{slack.name}",
        "team": None,
    }
    made = sandbox.control("POST", "slack/seed", {k: v for k, v in wanted.items() if v})
    assert (made["signing_secret"], made["client_id"]) == ("s3cret", wanted["client_id"])
    assert slack.ask("auth.test", token=token).json()["team_id"] == made["team_id"]
    opened = f"xoxb-sandbox-{slack.name}-open"
    assert slack.ask("auth.test", token=opened).json()["team"] == f"{slack.name}-open"


def test_app_in_two_workspaces_has_two_tokens(sandbox: Sandbox, slack: Workspace) -> None:
    other = Workspace(sandbox, f"{slack.name}-b", app=slack.name)
    assert other.made["client_id"] == slack.made["client_id"]
    assert other.made["signing_secret"] == slack.made["signing_secret"]
    granted = exchanged(slack, code=install(slack, team=other.made["team_id"])["code"])
    assert granted["team"]["id"] == other.made["team_id"] != slack.made["team_id"]
    assert slack.ask("auth.test", token=granted["access_token"]).json()["team"] == other.name


def test_incoming_webhook_posts_into_its_channel(slack: Workspace) -> None:
    path = slack.control("POST", "seed", hook="crew")["hook"]
    url = slack.sandbox.base("slack") + path

    def post(given: Object, to: str = url) -> tuple[int, str]:
        answer = requests.post(to, json=given, timeout=30)
        return answer.status_code, answer.text

    assert post({"text": "hello"}) == (200, "ok")
    assert [each["channel_name"] for each in slack.received()] == ["crew"]
    assert post({}) == (400, "no_text")
    assert post({"text": "x", "blocks": [{"type": "nothing"}]}) == (400, "invalid_blocks")
    assert post({"text": "x", "metadata": {}}) == (400, "invalid_payload")
    assert post({"text": "x"}, url + "x") == (404, "no_service")
    slack.act("archive_channel", channel="crew")
    assert post({"text": "x"}) == (410, "channel_is_archived")
    slack.act("uninstall_app")
    assert post({"text": "x"}) == (404, "no_service")


def test_installing_may_bring_an_incoming_webhook(slack: Workspace) -> None:
    granted = exchanged(slack, code=install(slack, scope="chat:write,incoming-webhook")["code"])
    hook = granted["incoming_webhook"]
    assert hook["channel"] == "#general"
    assert requests.post(hook["url"], json={"text": "hello"}, timeout=30).text == "ok"
    assert [each["channel"] for each in slack.received()] == [hook["channel_id"]]


@pytest.mark.parametrize("cursor", ["x", "é", "dXNlcjo=", "dXNlcjo5OTk=", "dGVhbTox", "/w=="])
def test_cursors_of_nowhere_are_refused(slack: Workspace, cursor: str) -> None:
    assert slack.refused("users.list", cursor=cursor) == "invalid_cursor"
