"""The commands about subscriptions and their posts. Without any Prefect server."""

from uuid import uuid4

import pytest
from command_line import InProcess
from conftest import Rows
from hooked_world import Hooked, done, secrets_of

from atlvs.db import hooks
from atlvs.targets import without_address
from tasks.triggers.subscribing import subscribe

pytest_plugins = ["command_fixtures", "hooked_fixtures"]
NOBODY = str(uuid4())
WRONG = [
    (["hooks", "show", NOBODY], f"There is no subscription or post {NOBODY}"),
    (["hooks", "show", "nosuch"], "valid UUID"),
    (["hooks", "resend"], "Say which"),
    (["hooks", "resend", NOBODY, "--hook", NOBODY], "Say which"),
    (["hooks", "resend", "--hook", NOBODY], f"There is no subscription {NOBODY}"),
    (["hooks", "resend", "--hook", NOBODY, "--state", "lost"], "'dead'"),
    (["hooks", "replay", NOBODY], "Missing option '--since'"),
    (["hooks", "replay", NOBODY, "--since", "yesterday"], "is no time"),
    (["hooks", "replay", NOBODY, "--since", "2026-01-01"], f"There is no subscription {NOBODY}"),
    (["hooks", "sample", NOBODY], "atlvs hooks list"),
    (["hooks", "enable", NOBODY], "atlvs hooks list"),
    (["hooks", "disable", NOBODY], "atlvs hooks list"),
    (["hooks", "pause", NOBODY], "atlvs hooks list"),
    (["hooks", "rotate", NOBODY], "atlvs hooks list"),
    (["hooks", "posts", "--state", "lost"], "'waiting'"),
]


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("Cannot POST /hooks/standard/123456/ab12cd34", "Cannot POST …"),
        ("gone: https://hooks.zapier.com/hooks/standard/123456/ab12cd34/?k=s3cret9", "gone: …"),
        ("Cannot POST /hooks/standard/123456/ab12cd34/?k=s3cret9&amp;a", "Cannot POST …&amp;a"),
        ('{"hook": "AB12CD34", "k": "s3cret9"}', '{"hook": "…", "k": "…"}'),
        ("cut off in /hooks/standard/123456/ab12c", "cut off in /hooks/standard/…/…"),
        ("cut off in https://hooks.zapier.com/hooks/sta", "cut off in …"),
        ('{"status":"success","id":"0198"}', '{"status":"success","id":"0198"}'),
        ("", ""),
        (None, None),
    ],
)
def test_an_answer_is_shown_without_the_address(answer: str | None, shown: str | None):
    url = "https://hooks.zapier.com/hooks/standard/123456/ab12cd34/?k=s3cret9"
    assert without_address(answer, url) == shown
    assert without_address("all is well", "https://hooks.example.com/") == "all is well"


def test_wrong_usage_of_hooks_is_told_in_one_line(atlvs: InProcess, bootstrapped: str):
    for arguments, words in WRONG:
        assert atlvs(*arguments).says(2, words), arguments


def test_nothing_is_listed_where_nothing_is(atlvs: InProcess, bootstrapped: str):
    assert atlvs("hooks", "list", "--json").json == {"hooks": []}
    assert atlvs("hooks", "posts", "--json").json == {"posts": []}
    assert atlvs("hooks", "list").out == "Subscriptions: none.\n"


def test_subscriptions_and_posts_are_shown_without_addresses(
    atlvs: InProcess, hooked: Hooked, rows: Rows
):
    hook, target = hooked.hook()
    path = target.partition("127.0.0.1")[2].partition("/")[2]
    echo = f"Cannot POST /{path} of p1@example.net"
    hooked.zaps.behave(target, "status", status=422, body=echo, times=1)
    hooked.contacts(1)
    hooked.drain()
    rows("update integration_hook_deliveries set due_at = now()")
    hooked.drain()
    listed = atlvs("hooks", "list", "--json")
    [one] = listed.json["hooks"]
    assert (one["id"], one["state"], one["delivered"]) == (str(hook.id), "active", 1)
    posts = atlvs("hooks", "posts", "--hook", str(hook.id), "--json")
    [post] = posts.json["posts"]
    assert (post["event"], post["state"], post["attempts"]) == ("contact.created", "delivered", 2)
    shown = atlvs("hooks", "show", post["id"], "--json")
    first, second = shown.json["tried"]
    assert (first["outcome"], first["status"]) == ("refused", 422)
    assert first["response"] == "Cannot POST … of ***"
    assert (second["outcome"], second["attempt"]) == ("delivered", 2)
    whole = atlvs("hooks", "show", str(hook.id))
    assert post["id"] in whole.out
    for told in (listed, posts, shown, whole, atlvs("hooks", "list"), atlvs("hooks", "posts")):
        assert (told.code, told.err) == (0, "")
        secrets = (*secrets_of(target), hook.secret, "p1@")
        assert not [secret for secret in secrets if secret in told.out]


def test_posts_are_chosen_by_what_is_given(atlvs: InProcess, hooked: Hooked, rows: Rows):
    first, _ = hooked.hook()
    second, target = hooked.hook("contact.updated")
    hooked.zaps.behave(target, "status", status=422, times=1)
    hooked.contacts(3)
    rows("update contacts set last_name = 'b'")
    hooked.drain()
    rows("update integration_outbox set occurred_at = '2026-03-01' where type = 'contact.updated'")

    def number(*options: str) -> int:
        return len(atlvs("hooks", "posts", "--json", *options).json["posts"])

    assert number() == 6
    assert number("--hook", str(second.id)) == 3
    assert number("--event", "contact.created") == 3
    assert number("--state", "waiting") == 1
    assert number("--until", "2026-03-02") == 3
    assert number("--since", "2026-03-02", "--hook", str(second.id)) == 0
    assert number("--limit", "4") == 4
    order = [post["event"] for post in atlvs("hooks", "posts", "--json").json["posts"]]
    assert order == ["contact.updated"] * 3 + ["contact.created"] * 3
    assert first.id != second.id


def test_what_failed_goes_again(atlvs: InProcess, hooked: Hooked, rows: Rows):
    hook, target = hooked.hook()
    hooked.contacts(4)
    hooked.drain()
    rows(
        "update integration_hook_deliveries set state = 'dead' where seq in"
        " (select seq from integration_hook_deliveries order by seq limit 3)"
    )
    dead = atlvs("hooks", "posts", "--state", "dead", "--json").json["posts"]
    assert len(dead) == 3
    told = atlvs("hooks", "resend", dead[0]["id"], "--json").json
    assert told == {"queued": 1, "left": {}}
    assert atlvs("hooks", "resend", "--hook", str(hook.id), "--json").json["queued"] == 2
    assert hooked.drain().posts == {"delivered": 3}
    assert hooked.zaps.counts(target)["arrived"] == 7
    again = atlvs("hooks", "resend", dead[0]["id"], NOBODY)
    assert (again.code, again.err) == (1, "1 not there.\n")
    assert "1 wait to be posted again." in again.out
    every = ["--hook", str(hook.id), "--state", "delivered"]
    assert atlvs("hooks", "resend", *every, "--until", "2026-01-01", "--json").json["queued"] == 0
    assert atlvs("hooks", "resend", *every, "--json").json["queued"] == 3
    wrong = atlvs("hooks", "resend", "--hook", str(hook.id), "--state", "sending")
    assert wrong.says(1, "cannot be sent again")


def test_a_range_is_counted_first_and_posted_with_send(
    atlvs: InProcess, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
):
    hooked.contacts(12)
    hooked.drain()
    hook, target = hooked.hook()
    ask = ["hooks", "replay", str(hook.id), "--since", "2020-01-01"]
    shown = atlvs(*ask, "--json").json
    assert (shown["to_be_posted"], shown["dry_run"]) == (12, True)
    assert [(row["state"], row["number"]) for row in shown["events"]] == [("new", 12)]
    assert "12 would be posted. Post them: --send" in atlvs(*ask).out
    assert hooked.states() == {}
    posted = atlvs(*ask, "--send", "--json").json
    assert (posted["new"], posted["again"]) == (12, 0)
    assert hooked.drain().posts == {"delivered": 12}
    assert "0 wait to be posted for the first time, 12 once more." in atlvs(*ask, "--send").out
    assert hooked.drain().posts == {"delivered": 12}
    monkeypatch.setattr("atlvs.db.hook_log.MANY", 5)
    assert atlvs(*ask, "--send").says(1, "more than 5", "even_many")
    assert atlvs(*ask, "--send", "--even-many", "--json").json["again"] == 12
    assert hooked.zaps.counts(target)["distinct"] == 12


def test_a_sample_tells_what_the_target_said(atlvs: InProcess, hooked: Hooked):
    hook, target = hooked.hook()
    sent = atlvs("hooks", "sample", str(hook.id), "--json").json
    assert (sent["outcome"], sent["event"]) == ("delivered", "contact.created")
    [post] = hooked.zaps.received(target)
    assert post["body"]["id"] == sent["id"]
    hooked.zaps.behave(target, "status", status=500, times=1)
    failed = atlvs("hooks", "sample", str(hook.id))
    assert failed.code == 1
    assert "did not take the sample: The target said 500." in failed.err
    assert not [secret for secret in secrets_of(target) if secret in failed.out + failed.err]


def test_deciding_by_command(atlvs: InProcess, hooked: Hooked, rows: Rows):
    hook, _ = hooked.hook()
    id = str(hook.id)
    assert atlvs("hooks", "pause", id, "--json").json == {
        "id": id,
        "state": "paused",
        "changed": True,
    }
    assert atlvs("hooks", "pause", id, "--json").json["changed"] is False
    assert atlvs("hooks", "enable", id).out == f"Subscription {id} is active.\n"
    assert atlvs("hooks", "disable", id, "--reason", "moved", "--json").json["state"] == "disabled"
    assert rows("select reason from integration_hooks") == [("moved",)]
    assert atlvs("hooks", "pause", id).says(1, "Enable it first")
    done(hooks.unsubscribe(hooked.org, hook.id))
    assert atlvs("hooks", "enable", id).says(1, "is ended", "Switch the Zap on again")
    assert atlvs("hooks", "sample", id).says(1, "it is ended (unsubscribed)")
    assert atlvs("hooks", "list", "--json").json["hooks"] == []
    assert atlvs("hooks", "list", "--ended", "--json").json["hooks"][0]["state"] == "ended"


def test_a_secret_is_shown_once_and_signs(atlvs: InProcess, hooked: Hooked):
    hook, target = hooked.hook()
    told = atlvs("hooks", "rotate", str(hook.id)).out.strip()
    assert told.startswith("whsec_")
    assert told != hook.secret
    hooked.zaps.verify(target, told, strict=True)
    hooked.contacts(1)
    assert hooked.drain().posts == {"delivered": 1}
    shown = atlvs("hooks", "show", str(hook.id)).out + atlvs("hooks", "list", "--json").out
    assert told not in shown
    assert atlvs("hooks", "rotate", str(hook.id), "--json").json["secret"] != told


def test_another_organizations_subscription_is_not_there(
    atlvs: InProcess, hooked: Hooked, rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    [(other,)] = rows("insert into organizations (name) values ('Other') returning id")
    theirs, _ = done(subscribe(other, None, "contact.created", hooked.zaps.target()))
    rows("insert into contacts (org_id, first_name) values (%s, 'Eve')", other)
    hooked.drain()
    [(post,)] = rows("select id from integration_hook_deliveries")
    monkeypatch.setenv("ATLVS_ORG", "acme")
    for command in ("sample", "enable", "rotate", "show"):
        assert atlvs("hooks", command, str(theirs.id)).says(2, "There is no subscription")
    assert atlvs("hooks", "show", str(post)).says(2, "There is no")
    again = atlvs("hooks", "resend", str(post))
    assert (again.code, again.err) == (1, "1 not there.\n")
    assert atlvs("hooks", "list", "--json").json == {"hooks": []}
    assert rows("select state from integration_hook_deliveries") == [("delivered",)]
