"""The commands that tell people, and look after what was told. Without any Prefect server."""

import json
from uuid import uuid4

import pytest
from command_line import InProcess
from conftest import Rows
from fanout_world import World
from notify_people import contact, tagged

pytest_plugins = ["command_fixtures", "notify_fixtures"]
NOBODY = str(uuid4())
TASK = ["--data", "task_title=Doors", "--data", '{"due_at": "2030-01-01T08:00:00+00:00"}']
TELL = ["notify", "task_due_soon", *TASK, "--channel", "sms", "--channel", "email"]
EVERYONE = [*TELL, "--mode", "first", "--to", "everyone"]
WRONG = [
    (["notify"], "Missing argument"),
    (["notify", "nosuch", "--to", "everyone"], "There are: task_assigned"),
    (["notify", "announcement"], "Say to whom"),
    (["notify", "announcement", "--to", "everyone", "--audience", "{}"], "Say to whom"),
    (["notify", "announcement", "--to", "everyone"], "needs message in its data"),
    (["notify", "announcement", "--to", "nobody"], "--to is none of these"),
    (["notify", "announcement", "--to", "everyone", "--to", "tag:vip"], "can be repeated"),
    (["notify", "announcement", "--audience", "{"], "--audience is not JSON"),
    (["notify", "announcement", "--audience", "[1]"], "not a JSON object"),
    (
        ["notify", "announcement", "--audience", '{"kind": "tag"}', "--data", "message=x"],
        "audience.name",
    ),
    (["notify", "announcement", "--to", "everyone", "--data", "x"], "JSON object or name=value"),
    (["notify", "announcement", "--to", "everyone", "--channel", "fax"], "'slack'"),
    (["deliveries", "list", "--state", "nosuch"], "there are: planned"),
    (["deliveries", "list", "--since", "yesterday"], "is no time"),
    (["deliveries", "show", NOBODY], f"There is no delivery or notification {NOBODY}"),
    (["deliveries", "approve", "nosuch"], "valid UUID"),
    (["rules", "set", "{}"], "name"),
    (["rules", "set", '{"name": "x", "whom": 1}'], "A rule has no 'whom'"),
    (
        ["rules", "set", '{"name": "task-assigned", "channels": ["fax"]}'],
        "channels are one or more",
    ),
    (["rules", "set", '{"name": "task-assigned", "channels": "sms"}'], "channels"),
    (["rules", "set", '{"name": "task-assigned", "audience": {"kind": "x"}}'], "audience"),
    (["rules", "forget", "nosuch"], "there is no rule 'nosuch'"),
    (["consents", "show", "fax", "x"], "'slack'"),
]


def test_wrong_usage_of_notifications_is_told_in_one_line(atlvs: InProcess, bootstrapped: str):
    for arguments, words in WRONG:
        assert atlvs(*arguments).says(2, words), arguments


def test_a_command_shows_first_and_sends_with_send(
    atlvs: InProcess, notify_world: World, rows: Rows
):
    shown = atlvs(*EVERYONE, "--json").json
    assert (shown["state"], shown["dry_run"]) == ("done", True)
    planned = {(row["channel"], row["state"]): row["number"] for row in shown["deliveries"]}
    assert planned == {("email", "planned"): 6, ("sms", "planned"): 3}
    assert notify_world.received() == {}
    assert atlvs(*EVERYONE, "--json").json["id"] != shown["id"]
    told = atlvs(*EVERYONE, "--send")
    assert (told.code, told.err) == (0, "")
    assert "p0@mail.test" not in told.out
    assert set(notify_world.received().values()) == {1}
    again = atlvs(*EVERYONE, "--send", "--json").json
    assert again["created"] is False
    assert "raised already" in again["notes"][0]
    assert sum(notify_world.received().values()) == 9
    atlvs(*EVERYONE, "--send", "--key", "once more")
    assert sum(notify_world.received().values()) == 18


def test_each_way_to_say_to_whom(atlvs: InProcess, notify_world: World, rows: Rows):
    tagged(rows, notify_world.org, "vip", [4, 7])
    slacker = notify_world.slack.user("p8@slack.test")
    for to, channel in (
        (["--to", "p0@mail.test", "--to", "p3@mail.test"], "email"),
        (["--to", "+14155000001"], "sms"),
        (["--to", "tag:vip"], "sms"),
        (["--to", str(contact(rows, 2)), "--to", str(contact(rows, 5))], "email"),
        (["--to", slacker], "slack"),
        (
            ["--audience", json.dumps({"kind": "people", "people": [{"email": "p6@mail.test"}]})],
            "email",
        ),
    ):
        told = atlvs("notify", "task_due_soon", *TASK, *to, "--channel", channel, "--send")
        assert told.code == 0, told
    assert notify_world.received() == {f"p{number}": 1 for number in range(9)}


def test_what_cannot_be_sent_fails_with_its_reason(
    atlvs: InProcess, notify_world: World, rows: Rows
):
    rows("update integration_connections set enabled = false where provider = 'twilio'")
    told = atlvs(*TELL, "--to", "+14155000001", "--send", "--json")
    assert (told.code, '"skipped"' in told.out) == (0, True)
    assert "atlvs connect twilio" in told.out
    wrong = atlvs(*EVERYONE, "--send", "--key", "k", "--subject", "Other")
    assert wrong.code == 0
    assert atlvs(*EVERYONE, "--send", "--key", "k").says(1, "key was used for another")


def test_deliveries_are_listed_masked_and_shown(atlvs: InProcess, notify_world: World, rows: Rows):
    sent = atlvs(*EVERYONE, "--send", "--json").json

    def listed(*arguments: str) -> list[dict[str, str]]:
        return atlvs("deliveries", "list", "--json", *arguments).json["deliveries"]

    assert len(listed()) == len(listed("--notification", sent["id"])) == 9
    assert {row["address"] for row in listed("--channel", "sms")} == {"***01", "***04", "***07"}
    whole = listed("--channel", "sms", "--addresses")
    assert "+14155000001" in {row["address"] for row in whole}
    assert listed("--notification", NOBODY) == listed("--since", "2099-01-01") == []
    assert listed("--state", "failed") == []
    assert len(listed("--limit", "2")) == 2
    assert "p***@mail.test" in atlvs("deliveries", "list").out
    one = atlvs("deliveries", "show", whole[0]["id"])
    assert "+1415" not in one.out
    assert one.json["state"] in ("sent", "delivered")
    assert "task_title" not in one.out
    assert "+1415" in atlvs("deliveries", "show", whole[0]["id"], "--addresses").out
    assert atlvs("deliveries", "show", sent["id"]).json["key"].startswith("form:")


def test_a_held_notification_is_approved_paused_resumed_and_cancelled(
    atlvs: InProcess, notify_world: World, rows: Rows
):
    rows("update integration_notification_settings set approve_above_recipients = 1")
    held = atlvs(*EVERYONE, "--send", "--json").json
    assert held["state"] == "held"
    assert "atlvs deliveries approve" in held["notes"][-1]
    assert atlvs("status", "--json").json["facts"]["notifications_held"] == 1
    for decision, state in (
        ("approve", "sending"),
        ("pause", "paused"),
        ("resume", "sending"),
        ("cancel", "cancelled"),
    ):
        done = atlvs("deliveries", decision, held["id"], "--by", "Ada", "--json").json
        assert (done["state"], done["changed"], done["by"]) == (state, True, "Ada")
    assert atlvs("deliveries", "cancel", held["id"], "--json").json["changed"] is False
    assert atlvs("deliveries", "approve", held["id"]).says(1, "it is cancelled")
    assert atlvs("deliveries", "resend", held["id"]).says(1, "raise it anew")
    assert atlvs("deliveries", "approve", NOBODY).says(1, "there is no notification")
    assert notify_world.received() == {}


def test_resending_and_the_unknown(atlvs: InProcess, notify_world: World, rows: Rows):
    id = atlvs(*EVERYONE, "--send", "--json").json["id"]
    for number, state in ((0, "failed"), (3, "failed"), (6, "unknown")):
        rows(
            "update integration_deliveries set state = %s where contact_id = %s",
            state,
            contact(rows, number),
        )
    facts = atlvs("status", "--json").json["facts"]
    assert facts["messages_failed_in_24_hours"] == 2
    assert facts["messages_of_unknown_outcome"] == 1
    (unknown,) = atlvs("deliveries", "unknown", "--json").json["deliveries"]
    assert unknown["address"] == "p***@mail.test"
    assert "resend NOTIFICATION ID --unknown" in atlvs("deliveries", "unknown").out
    one = rows("select id from integration_deliveries where state = 'failed' limit 1")[0][0]
    assert atlvs("deliveries", "resend", id, str(one), "--json").json["queued"] == 1
    rest = atlvs("deliveries", "resend", id, "--json").json
    assert (rest["queued"], rest["left"]) == (1, {"may have arrived (unknown outcome)": 1})
    assert atlvs("status", "--json").json["facts"]["messages_waiting"] == 2
    again = atlvs("deliveries", "resend", id, unknown["id"], "--unknown", "--json").json
    assert (again["queued"], again["left"]) == (1, {})
    assert "Left alone: none." not in atlvs("deliveries", "resend", id).out


def test_rules_are_kept_listed_and_forgotten(atlvs: InProcess, bootstrapped: str, rows: Rows):
    def rule(name: str) -> dict[str, object]:
        listed = atlvs("rules", "list", "--json").json["rules"]
        return next(one for one in listed if one["name"] == name)

    assert rule("task-assigned")["of"] == "shipped"
    atlvs("rules", "set", '{"name": "task-assigned", "enabled": false}')
    assert (rule("task-assigned")["of"], rule("task-assigned")["enabled"]) == (
        "own, instead of the shipped",
        False,
    )
    assert rule("task-assigned")["event"] == "task.assigned"
    own = {
        "name": "vip-news",
        "event": "deal.won",
        "type": "announcement",
        "audience": {"kind": "tag", "name": "vip"},
        "channels": ["email"],
        "condition": {"stage": ["won"]},
    }
    assert atlvs("rules", "set", json.dumps(own), "--json").json["condition"] == {"stage": ["won"]}
    atlvs("rules", "set", '{"name": "vip-news", "channels": ["sms"]}')
    assert rule("vip-news")["channels"] == ["sms"]
    assert "vip-news" in atlvs("rules", "list").out
    assert atlvs("rules", "forget", "vip-news", "--json").json == {
        "removed": True,
        "shipped": False,
    }
    assert atlvs("rules", "forget", "task-assigned", "--json").json["shipped"] is True
    assert rule("task-assigned")["enabled"] is True


def test_consents_of_an_address(
    atlvs: InProcess, notify_world: World, rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    for verdict, reason in (("refused", "unsubscribe"), ("allowed", "came back")):
        rows(
            "insert into integration_consents (org_id, channel, address, verdict, reason, source)"
            " values (%s, 'email', 'p0@mail.test', %s, %s, 'page')",
            notify_world.org,
            verdict,
            reason,
        )
    history = atlvs("consents", "show", "email", "P0@Mail.Test", "--json").json["consents"]
    assert [one["verdict"] for one in history] == ["allowed", "refused"]
    assert atlvs("consents", "show", "email", "p1@mail.test").out == "Consents: none.\n"
