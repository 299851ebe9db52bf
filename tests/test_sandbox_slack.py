"""The sandbox's Slack over its socket: people, conversations, messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sandbox_client import Sandbox
from slack_description import check_answer, check_request
from slack_workspace import Workspace, lent

Object = dict[str, Any]


@pytest.fixture
def slack(sandbox: Sandbox) -> Iterator[Workspace]:
    yield from lent(sandbox)


def button(text: str, **more: Any) -> Object:
    return {"type": "button", "text": {"type": "plain_text", "text": text}, **more}


def header(text: str, kind: str = "plain_text") -> Object:
    return {"type": "header", "text": {"type": kind, "text": text}}


def test_judge_refuses_what_is_not_described(slack: Workspace) -> None:
    answer = slack("auth.test")
    for wrong in ({"team_id": "x"}, {"paid": True}, {"url": None}):
        with pytest.raises(AssertionError):
            check_answer("auth.test", answer | wrong)
    with pytest.raises(AssertionError):
        check_answer("auth.test", {"ok": False, "error": "nonsense"})
    for given in ({"text": "x"}, {"channel": "C1", "bogus": "1"}):
        with pytest.raises(AssertionError):
            check_request("chat.postMessage", given)


def test_messages_reach_channels_and_people(slack: Workspace) -> None:
    ada = slack.user("ada@example.com")
    opened = slack("conversations.open", users=ada)
    assert slack("conversations.open", users=ada) == opened | {
        "no_op": True,
        "already_open": True,
    }
    metadata = {"event_type": "atlvs_task", "event_payload": {"notification_id": "n1"}}
    sent = slack(
        "chat.postMessage", channel=opened["channel"]["id"], text="Hello", metadata=metadata
    )
    slack("chat.postMessage", channel="#crew", text="for <!channel> & all")
    (direct,) = slack.received(user="ada@example.com")
    assert (direct["ts"], direct["emails"]) == (sent["ts"], ["ada@example.com"])
    assert direct["metadata"] == metadata
    (shown,) = slack.received(channel="crew")
    assert (shown["mentions"], shown["kind"]) == (["!channel"], "public_channel")
    counted = slack.counts(by="payload.notification_id", **{"as": "email"})
    assert counted["counts"] == {"ada@example.com": 1, "#crew": 1}
    assert counted["by"]["ada@example.com"] == {"n1": 1}
    assert counted["repeated"] == {}


def test_client_msg_id_prevents_nothing(slack: Workspace) -> None:
    for _ in range(2):
        slack("chat.postMessage", channel="crew", text="twice", client_msg_id="same")
    assert slack.counts(by="text", **{"as": "email"})["repeated"] == {"#crew": {"twice": 2}}


def test_targets_that_cannot_be_posted_to(slack: Workspace) -> None:
    def post(channel: str) -> str:
        return slack.refused("chat.postMessage", channel=channel, text="x")

    slackbot = "USLACKBOT"
    assert post("C0NOWHERE00") == "channel_not_found"
    assert post("backstage") == "channel_not_found"
    assert post("old-show") == "is_archived"
    assert post(slackbot) == "cannot_dm_bot"
    slack("chat.postMessage", channel="lobby", text="with chat:write.public")
    slack.act("invite_bot", channel="backstage")
    slack("chat.postMessage", channel="backstage", text="now it is seen")
    slack.act("restrict_channel", channel="crew", kind="read_only")
    assert post("crew") == "restricted_action_read_only_channel"
    slack.control("POST", "settings", message_limit=2)
    assert post("lobby") == "message_limit_exceeded"


def test_content_has_limits(slack: Workspace) -> None:
    def post(**given: Any) -> Object:
        return slack.ask("chat.postMessage", channel="crew", **given).json()

    assert post(text="")["error"] == "no_text"
    assert post(text="x", markdown_text="y")["error"] == "markdown_text_conflict"
    assert post(markdown_text="y" * 12_001)["error"] == "msg_too_long"
    assert post(text="x", attachments=[{"text": "a"}] * 101)["error"] == "too_many_attachments"
    assert post(text="x", metadata={"event_type": "a"})["error"] == "invalid_metadata_schema"
    assert post(text="x", blocks="[")["error"] == "invalid_blocks_format"
    assert post(text="x", thread_ts="1.2")["error"] == "thread_not_found"
    cut = post(text="x" * 40_001)
    assert (len(cut["message"]["text"]), cut["warning"]) == (40_000, "message_truncated")
    sections = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}}] * 5
    assert post(text="x", blocks=sections)["error"] == "msg_blocks_too_long"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (header("x" * 151), "must be less than 151 characters [json-pointer:/blocks/0/text/text]"),
        (header("x", "mrkdwn"), "unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]"),
        (header(""), "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
        ({"type": "section"}, "must define either `text` or `fields` [json-pointer:/blocks/0]"),
        (
            {"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11},
            "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
        ),
        (
            {"type": "actions", "elements": [button("x" * 76)]},
            "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
        ),
        ({"type": "heading"}, "unsupported type: heading [json-pointer:/blocks/0/type]"),
        (
            {"type": "image", "image_url": "https://x.example/a.png"},
            "missing required field: alt_text [json-pointer:/blocks/0]",
        ),
    ],
)
def test_wrong_blocks_are_pointed_at(slack: Workspace, block: Object, message: str) -> None:
    content = slack.ask("chat.postMessage", channel="crew", text="x", blocks=[block]).json()
    assert (content["error"], content["errors"]) == ("invalid_blocks", [message])
    assert content["response_metadata"]["messages"] == [f"[ERROR] {message}"]
    assert slack.counts()["messages"] == 0


def test_threads_updates_and_history(slack: Workspace) -> None:
    crew = slack.channel("crew")
    parent = slack("chat.postMessage", channel=crew, text="parent", blocks=[header("Task")])
    reply = slack("chat.postMessage", channel=crew, text="reply", thread_ts=parent["ts"])
    slack("chat.postMessage", channel=crew, text="deeper", thread_ts=reply["ts"])
    slack("chat.update", channel=crew, ts=parent["ts"], text="approved")
    thread = slack("conversations.replies", channel=crew, ts=parent["ts"])["messages"]
    assert [each["text"] for each in thread] == ["approved", "reply", "deeper"]
    assert (thread[0]["reply_count"], thread[0]["blocks"][0]["type"]) == (2, "header")
    slack("chat.update", channel=crew, ts=parent["ts"], text="plain", blocks=[])
    slack("chat.delete", channel=crew, ts=reply["ts"])
    for number in range(3):
        slack("chat.postMessage", channel=crew, text=f"later {number}")
    page = slack("conversations.history", channel=crew, limit=2)
    assert [each["text"] for each in page["messages"]] == ["later 2", "later 1"]
    cursor = page["response_metadata"]["next_cursor"]
    rest = slack("conversations.history", channel=crew, limit=2, cursor=cursor)
    assert [each["text"] for each in rest["messages"]] == ["later 0", "plain"]
    assert "blocks" not in rest["messages"][1]
    assert not rest["has_more"]
    said = slack.act("say", user="ada@example.com", channel="crew", text="mine")
    refused = slack.refused("chat.update", channel=crew, ts=said["ts"], text="yours")
    assert refused == "cant_update_message"
    assert slack.refused("chat.delete", channel=crew, ts="1.000001") == "message_not_found"
    link = slack("chat.getPermalink", channel=crew, message_ts=parent["ts"])["permalink"]
    assert link.endswith(f"/archives/{crew}/p{parent['ts'].replace('.', '')}")


def test_channels_are_made_once(slack: Workspace) -> None:
    made = slack("conversations.create", name="load-in", is_private="true")["channel"]
    assert (made["is_private"], made["is_member"], made["name"]) == (True, True, "load-in")
    for name, error in (
        ("load-in", "name_taken"),
        ("old-show", "name_taken"),
        ("", "invalid_name_required"),
        ("Load In", "invalid_name_specials"),
        ("x" * 81, "invalid_name_maxlength"),
        ("--", "invalid_name_punctuation"),
    ):
        assert slack.refused("conversations.create", name=name) == error
    slack("conversations.archive", channel=made["id"])
    assert slack.refused("conversations.archive", channel=made["id"]) == "already_archived"
    assert slack.refused("conversations.create", name="load-in") == "name_taken"


def test_invitations_are_all_or_nothing_without_force(slack: Workspace) -> None:
    crew = slack.channel("crew")
    ada, ben = slack.user("ada@example.com"), slack.user("ben@example.com")
    users = ",".join([ada, ben, "U0NOBODY"])
    content = slack.ask("conversations.invite", channel=crew, users=users).json()
    assert (content["error"], len(content["errors"])) == ("already_in_channel", 2)
    assert ben not in slack("conversations.members", channel=crew)["members"]
    forced = slack("conversations.invite", channel=crew, users=users, force="true")
    assert [each["error"] for each in forced["errors"]] == ["already_in_channel", "user_not_found"]
    assert ben in slack("conversations.members", channel=crew)["members"]

    def invite(people: str, channel: str = crew) -> str:
        return slack.refused("conversations.invite", channel=channel, users=people)

    assert invite(slack.made["bot_user_id"]) == "cant_invite_self"
    assert invite("") == "no_user"
    assert invite(",".join(f"U{n}" for n in range(101))) == "too_many_users"
    assert invite(ben, slack.channel("lobby")) == "not_in_channel"
    assert invite(ben, slack.channel("old-show")) == "is_archived"
    guest = slack.user("guest@example.com")
    slack("conversations.invite", channel=crew, users=guest)
    assert invite(guest, slack.channel("budget")) == "ura_max_channels"


def test_deactivated_people_are_found_by_id_only(slack: Workspace) -> None:
    members = slack("users.list")["members"]
    gone = next(each["id"] for each in members if each["deleted"])
    assert slack.refused("users.lookupByEmail", email="gone@example.com") == "users_not_found"
    assert slack("users.info", user=gone)["user"]["deleted"]
    assert slack.refused("conversations.open", users=gone) == "user_disabled"
    slack("chat.postMessage", channel=gone, text="into the void")
    assert slack.received(user=gone)[0]["nobody_there"]
    slack.act("reactivate_user", user=gone)
    slack("conversations.open", users=gone)


def test_lists_come_in_pages(slack: Workspace) -> None:
    slack.control("POST", "seed", users=25, channels=12)
    found: list[str] = []
    cursor = ""
    while True:
        answer = slack("users.list", limit=10, cursor=cursor)
        found += [each["id"] for each in answer["members"]]
        if not (cursor := answer["response_metadata"]["next_cursor"]):
            break
    assert len(found) == len(set(found)) == 32
    assert slack.refused("users.list", cursor="nonsense") == "invalid_cursor"
    assert slack.refused("conversations.list", limit=1001) == "invalid_limit"
    assert slack.refused("conversations.list", types="secret") == "invalid_types"
    whole = slack("conversations.list", exclude_archived="true", limit=5)
    assert len(whole["channels"]) == 4, "cut before archived ones are left out"


def test_people_and_owners_change_things(slack: Workspace) -> None:
    joined = slack.act("join_workspace", email="new@example.com", name="New Hand")
    assert slack.user("new@example.com") == joined["id"]
    slack.act("change_email", user=joined["id"], email="other@example.com")
    assert slack.refused("users.lookupByEmail", email="new@example.com") == "users_not_found"
    assert slack.user("other@example.com") == joined["id"]
    crew, budget = slack.channel("crew"), slack.channel("budget")
    slack.act("rename_channel", channel=crew, name="crew-2")
    assert slack("conversations.info", channel=crew)["channel"]["previous_names"] == ["crew"]
    slack.act("remove_bot", channel=budget)
    assert slack.refused("chat.postMessage", channel=budget, text="x") == "channel_not_found"
    slack.act("delete_channel", channel=crew)
    assert slack.refused("conversations.info", channel=crew) == "channel_not_found"
    slack("conversations.join", channel=slack.channel("lobby"))
    assert slack.control("GET", f"object/{joined['id']}")["profile"]["email"] == "other@example.com"


def test_messages_for_one_persons_eyes(slack: Workspace) -> None:
    crew, ada = slack.channel("crew"), slack.user("ada@example.com")
    slack("chat.postEphemeral", channel=crew, user=ada, text="only you")
    ben = slack.user("ben@example.com")
    refused = slack.refused("chat.postEphemeral", channel=crew, user=ben, text="x")
    assert refused == "user_not_in_channel"
    assert slack("conversations.history", channel=crew)["messages"] == []
    assert slack.received(channel=crew)[0]["users"] == [ada]
    assert slack.counts(**{"as": "email"})["counts"] == {"ada@example.com": 1}
