"""The sandbox's SendGrid after the 202: deliveries, signed events, suppressions, faults."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import orjson
import pytest
from cryptography.exceptions import InvalidSignature
from sandbox_client import Sandbox
from sendgrid_client import Post, errors_of, events_in, verify, wait_for_events
from webhook_listener import Listener

DAY = 86_400


@pytest.fixture
def post(sandbox: Sandbox) -> Post:
    return Post(sandbox.url)


def test_events_are_signed_over_the_raw_body(post: Post, listener: Listener) -> None:
    hook = post.hook(listener.url)
    sent = post.send("a@example.org", custom_args={"row": "7"}, categories=["door"])
    ((body, headers),) = listener.wait(1)
    verify(hook["public_key"], body, headers)
    assert body.endswith(b"}]\r\n")
    assert b"},\r\n{" in body
    with pytest.raises(InvalidSignature):
        verify(hook["public_key"], body.rstrip(), headers)
    with pytest.raises(InvalidSignature):
        verify(hook["public_key"], orjson.dumps(orjson.loads(body)), headers)
    first, second = orjson.loads(body)
    assert (first["event"], second["event"]) == ("processed", "delivered")
    assert first["sg_message_id"].startswith(sent.headers["X-Message-Id"] + ".")
    assert (first["row"], first["category"], first["smtp-id"][0]) == ("7", "door", "<")
    assert second["response"].startswith("250")
    post.act("turn_webhook_key", hook["id"])
    post.send("b@example.org")
    with pytest.raises(InvalidSignature):
        verify(hook["public_key"], *listener.wait(2)[1])


OUTCOMES = {
    "bounce": ["processed", "bounce"],
    "block": ["processed", "bounce"],
    "invalid": ["dropped"],
    "defer": ["processed", "deferred", "deferred", "delivered"],
    "stuck": ["processed", "deferred", "deferred", "bounce"],
    "swallow": ["processed"],
    "lose": [],
    "spam": ["processed", "delivered", "spamreport"],
    "open": ["processed", "delivered", "open"],
    "click": ["processed", "delivered", "click"],
    "unsubscribe": ["processed", "delivered", "unsubscribe"],
}


def test_what_becomes_of_a_mail_is_up_to_its_mailbox(post: Post, listener: Listener) -> None:
    post.hook(listener.url)
    post.tell("settings", mailboxes={f"@{b}.example": b for b in OUTCOMES}, defer_seconds=0.02)
    post.send(*(f"a@{behaviour}.example" for behaviour in OUTCOMES))
    wanted = sum(len(kinds) for kinds in OUTCOMES.values())
    events = wait_for_events(listener, wanted)
    told = {b: [e["event"] for e in events if e["email"] == f"a@{b}.example"] for b in OUTCOMES}
    assert told == OUTCOMES
    assert len({event["sg_event_id"] for event in events}) == wanted
    bounced = next(e for e in events if e["email"] == "a@bounce.example" and e["event"] == "bounce")
    assert (bounced["type"], bounced["status"]) == ("bounce", "5.1.1")
    blocked = next(e for e in events if e["email"] == "a@block.example" and e["event"] == "bounce")
    assert blocked["type"] == "blocked"
    assert [e["attempt"] for e in events if e["event"] == "deferred"][0] == "1"
    assert post("GET", "suppression/invalid_emails").json()[0]["email"] == "a@invalid.example"
    assert len(post("GET", "suppression/blocks").json()) == 2


def test_suppressed_are_accepted_and_dropped_and_a_block_is_no_suppression(
    post: Post, listener: Listener
) -> None:
    post.hook(listener.url)
    lists = {"bounces": "b", "spam_reports": "s", "unsubscribes": "u", "blocks": "k"}
    post.sow(**{name: [f"{who}@example.net"] for name, who in lists.items()})
    people = [f"{who}@example.net" for who in "bsuk"]
    assert post.send(*people).status_code == 202
    listener.wait(1)
    reasons = {e["email"][0]: e.get("reason") for e in events_in(listener.received)}
    assert reasons == {
        "b": "Bounced Address",
        "s": "Spam Reporting Address",
        "u": "Unsubscribed Address",
        "k": None,
    }
    switch: Any = {"bypass_bounce_management": {"enable": True}}
    post.send(*people, mail_settings=switch)
    assert post.ask("counts") == {"k@example.net": 2, "b@example.net": 1}
    post.send(*people, mail_settings={"bypass_list_management": {"enable": True}})
    assert len(post.ask("counts")) == 4


def test_groups_hold_back_what_belongs_to_them(post: Post, listener: Listener) -> None:
    post.hook(listener.url)
    group = post("POST", "asm/groups", {"name": "Reminders", "description": "Before shows"}).json()
    asm = {"group_id": group["id"]}
    post.send("a@example.org", asm=asm)
    post.act("group_unsubscribe", "a@example.org")
    assert post("GET", f"asm/groups/{group['id']}").json()["unsubscribes"] == 1
    assert post("GET", f"asm/groups/{group['id']}/suppressions").json() == ["a@example.org"]
    post.send("a@example.org", asm=asm)
    post.send("a@example.org", subject="Your receipt")
    assert [each["state"] for each in post.ask("messages")] == ["delivered", "dropped", "delivered"]
    left = post("GET", "asm/suppressions/a@example.org").json()["suppressions"]
    assert [each["suppressed"] for each in left] == [True]
    path = f"asm/groups/{group['id']}/suppressions"
    assert post("DELETE", f"{path}/a@example.org").status_code == 204
    assert post("POST", path, {"recipient_emails": ["b@example.org"]}).status_code == 201
    kinds = Counter(e["event"] for e in wait_for_events(listener, 6))
    assert kinds["group_unsubscribe"] == 1
    told = post("POST", "asm/groups", {"name": "x" * 31, "description": "y"})
    assert errors_of(told)[0][1] == "name"
    assert post("PATCH", f"asm/groups/{group['id']}", {"name": "Nudges"}).json()["name"] == "Nudges"
    assert post("GET", "asm/groups").json()[0]["name"] == "Nudges"
    assert post("DELETE", f"asm/groups/{group['id']}").status_code == 204


def test_unsubscribing_from_everything(post: Post) -> None:
    post.send("a@example.org")
    post.act("unsubscribe", "a@example.org")
    one = "asm/suppressions/global/a@example.org"
    assert post("GET", one).json() == {"recipient_email": "a@example.org"}
    assert post("GET", "suppression/unsubscribes").json()[0]["email"] == "a@example.org"
    post("POST", "asm/suppressions/global", {"recipient_emails": ["b@example.org"]})
    post.send("a@example.org", "b@example.org")
    assert post.ask("counts") == {"a@example.org": 1}
    assert post("DELETE", one).status_code == 204
    post.send("a@example.org")
    assert post.ask("counts") == {"a@example.org": 2}


def test_people_act_on_their_mail_after_it_arrived(post: Post, listener: Listener) -> None:
    post.hook(listener.url)
    post.tell("settings", batch_seconds=0)
    sent = post.send("a@example.org", "b@example.org", custom_args={"row": "7"})
    assert post.act("open", "*", machine=True) == {"changed": 2}
    post.act("click", "a@example.org", url="https://example.com/ticket")
    post.act("bounce", "b@example.org")
    post.act("suspend_account")
    events = events_in(listener.wait(5))
    kinds = Counter(event["event"] for event in events)
    assert kinds["open"] == 2
    clicked = next(e for e in events if e["event"] == "click")
    assert (clicked["url"], clicked["row"]) == ("https://example.com/ticket", "7")
    assert clicked["sg_message_id"].startswith(sent.headers["X-Message-Id"])
    assert kinds["account_status_change"] == 1
    assert post.ask("count")["bounces"] == 1


def test_scheduled_mail_waits_for_the_clock(post: Post) -> None:
    now = post.clock(now=time.time(), frozen=True)
    batch = {name: post("POST", "mail/batch").json()["batch_id"] for name in "abc"}
    for name, each in batch.items():
        when = int(now) + 3_600
        assert post.send(f"{name}@example.org", send_at=when, batch_id=each).status_code == 202
    assert post("GET", f"mail/batch/{batch['a']}").json() == {"batch_id": batch["a"]}
    assert errors_of(post("GET", "mail/batch/none")) == [(400, None, "invalid batch id")]
    cancel = {"batch_id": batch["a"], "status": "cancel"}
    assert post("POST", "user/scheduled_sends", cancel).status_code == 201
    assert post("POST", "user/scheduled_sends", cancel).status_code == 400
    pause = {"batch_id": batch["b"], "status": "pause"}
    assert post("POST", "user/scheduled_sends", pause).json() == pause
    assert post("GET", "user/scheduled_sends").json() == [cancel, pause]
    assert post.ask("counts") == {}
    post.clock(advance=3_700)
    assert post.ask("counts") == {"c@example.org": 1}
    assert post("GET", f"user/scheduled_sends/{batch['b']}").json() == [pause]
    assert post("DELETE", f"user/scheduled_sends/{batch['b']}").status_code == 204
    assert post.ask("counts") == {"c@example.org": 1, "b@example.org": 1}
    path = f"user/scheduled_sends/{batch['a']}"
    assert post("PATCH", path, {"status": "pause"}).status_code == 204
    assert (
        post("PATCH", f"user/scheduled_sends/{batch['c']}", {"status": "pause"}).status_code == 404
    )
    assert [each["state"] for each in post.ask("messages")] == ["cancelled", *["delivered"] * 2]


def test_webhooks_are_set_up_over_the_api(post: Post, listener: Listener) -> None:
    path = "user/webhooks/event/settings"
    wanted = {"url": listener.url, "enabled": True, "delivered": True, "friendly_name": None}
    made = post("POST", path, {k: v for k, v in wanted.items() if v is not None}).json()
    assert (made["delivered"], made["open"]) == (True, False)
    assert "already exists" in errors_of(post("POST", path, {"url": listener.url}))[0][2]
    assert "not a valid url" in errors_of(post("POST", path, {"url": "x"}))[0][2]
    signed = f"{path}/signed/{made['id']}"
    assert post("GET", signed).json()["public_key"] == ""
    post.send("a@example.org")
    assert "x-twilio-email-event-webhook-signature" not in listener.wait(1)[0][1]
    public_key = post("PATCH", signed, {"enabled": True}).json()["public_key"]
    post.send("b@example.org")
    verify(public_key, *listener.wait(2)[1])
    assert [each["event"] for each in events_in(listener.received)] == ["delivered"] * 2
    listed = post("GET", f"{path}/all").json()
    assert listed["webhooks"][0]["public_key"] == public_key
    one = f"{path}/{made['id']}"
    changed = post("PATCH", one, {"url": listener.url, "enabled": False}).json()
    assert changed["enabled"] is False
    assert post("GET", one).json()["url"] == listener.url
    assert post("DELETE", one).status_code == 204
    assert errors_of(post("GET", signed)) == [(404, None, "Invalid id provided.")]
    post.tell("settings", max_webhooks=0)
    assert (
        "maximum number of webhooks"
        in errors_of(post("POST", path, wanted | {"friendly_name": "x"}))[0][2]
    )


def test_deliveries_are_doubled_shuffled_dropped_and_tried_again(
    post: Post, listener: Listener
) -> None:
    post.hook(listener.url)
    post.tell("settings", batch_events=1, batch_seconds=0)
    post.webhooks(paused=True, drop_types=["processed"])
    post.send(*(f"p{number}@example.org" for number in range(8)))
    assert not listener.received
    assert post.flush(types=["processed"]) == []
    attempts = post.flush(duplicate=1, shuffle=True)
    assert [each["status"] for each in attempts] == [200] * 16
    events = events_in(listener.received)
    assert set(Counter(event["sg_event_id"] for event in events).values()) == {2}
    emails = list(dict.fromkeys(event["email"] for event in events))
    assert emails != sorted(emails)
    post.webhooks(paused=False, backoff=0.05)
    listener.answer_with(503)
    post.send("again@example.org")
    again = wait_for_events(listener, 18)[16:]
    assert [event["email"] for event in again] == ["again@example.org"] * 2


def test_events_are_doubled_inside_a_batch(post: Post, listener: Listener) -> None:
    post.hook(listener.url)
    post.tell("settings", duplicate_events=1.0, shuffle_events=True)
    post.send(*(f"p{number}@example.org" for number in range(20)))
    events = events_in(listener.wait(1))
    assert set(Counter(event["sg_event_id"] for event in events).values()) == {2}
    assert [e["event"] for e in events] != sorted((e["event"] for e in events), reverse=True)


def test_processing_and_delivery_take_their_time(post: Post) -> None:
    now = post.clock(now=time.time(), frozen=True)
    post.tell("settings", process_seconds=60, deliver_seconds=60)
    post.send("a@example.org")
    states = []
    for _ in range(3):
        states.append(post.ask("messages")[0]["state"])
        post.clock(advance=61)
    assert states == ["queued", "processed", "delivered"]
    assert post.ask("received")[0]["at"] == pytest.approx(now + 122)
    assert post.ask("told") == {"processed": 1, "delivered": 1}
