"""The flows that tell people, on a real Prefect server, PostgreSQL and sandbox."""

import asyncio
from uuid import UUID, uuid4

import pytest
from conftest import Rows
from fanout_world import World
from notify_people import ANY, EVERYONE, artifact, contact, event, run, tagged

from atlvs.db import consents
from atlvs.db.engine import database
from atlvs.errors import Rejected
from atlvs.events import NotificationType
from atlvs.notices import TYPES
from atlvs.records import Word
from blocks.base import resources
from flows import notify as told
from flows.notify.examples import example

pytest_plugins = ["notify_fixtures"]


def states(rows: Rows) -> dict[tuple[str, str], int]:
    found = rows("select channel, state, count(*) from integration_deliveries group by 1, 2")
    return {(channel, state): number for channel, state, number in found}


def say(org: UUID, *words: Word) -> None:
    async def record() -> None:
        async with resources(), database().org(org) as tx:
            await consents.record(tx, org, words)

    asyncio.run(record())


def test_a_dry_run_shows_who_would_get_what_and_sends_nothing(
    prefect_server: str, notify_world: World, org: UUID, rows: Rows
):
    say(org, Word("email", "p3@mail.test", "refused", "unsubscribe", "page"))
    summary = run(told.notify, **ANY | {"mode": "all"})
    assert summary["state"] == "done"
    assert notify_world.received() == {}
    text = artifact("notify")
    assert "A dry run: nothing was sent" in text
    assert f"atlvs deliveries list --notification {summary['notification']}" in text
    assert "| email | suppressed | refused: unsubscribe | 1 |" in text
    assert "| sms | skipped | no phone number | 6 |" in text
    assert "| sms | planned |  | 3 | 3 |" in text
    assert "p***@mail.test" in text
    assert "| sms | ***01 | planned |" in text
    assert "p0@mail.test" not in text
    assert "+1415" not in text


def test_the_same_form_twice_sends_once(prefect_server: str, notify_world: World, rows: Rows):
    first = run(told.notify, **ANY, dry_run=False)
    assert {first[name] for name in ("state", "deliveries")} == {"done", 9}
    assert set(notify_world.received().values()) == {1}
    assert len(notify_world.received()) == 9
    second = run(told.notify, **ANY, dry_run=False)
    assert second["notification"] == first["notification"]
    assert "This was sent already on 20" in second["notes"][0]
    assert set(notify_world.received().values()) == {1}
    run(told.notify, **ANY, dry_run=False, key="once more")
    assert set(notify_world.received().values()) == {2}


def test_a_held_notification_says_how_to_approve_it_and_goes_out_then(
    prefect_server: str, notify_world: World, rows: Rows
):
    rows("update integration_notification_settings set approve_above_recipients = 8")
    held = run(told.notify, **ANY, dry_run=False)
    assert held["state"] == "held"
    id = held["notification"]
    assert f"atlvs deliveries approve {id}" in held["notes"][-1]
    assert "notify-decide" in held["notes"][-1]
    assert notify_world.received() == {}
    approved = run(told.decide, notification=id, decision="approve", by="Ada")
    assert approved["state"] == "sending"
    assert run(told.drain_told)["sent"] == 9
    assert rows("select state, decided_by from integration_notifications") == [("done", "Ada")]
    with pytest.raises(Rejected, match="it is done"):
        run(told.decide, notification=id, decision="cancel", by="Ada")


def test_a_cancelled_notification_ends_the_flow_politely(
    prefect_server: str, notify_world: World, rows: Rows
):
    rows("update integration_notification_settings set approve_above_recipients = 1")
    id = run(told.notify, **ANY, dry_run=False)["notification"]
    again = run(told.decide, notification=id, decision="cancel", by="Grace")
    assert again["state"] == "cancelled"
    assert (
        "it was so already"
        in run(told.decide, notification=id, decision="cancel", by="Ada")["notes"][0]
    )
    ended = run(told.notify, **ANY, dry_run=False)
    assert ended["state"] == "cancelled"
    assert "is cancelled" in ended["notes"][0]
    assert states(rows) == {("email", "cancelled"): 6, ("sms", "cancelled"): 3}
    assert notify_world.received() == {}


def test_what_can_never_be_sent_is_refused_with_its_reason(
    prefect_server: str, notify_world: World
):
    with pytest.raises(Rejected, match="needs due_at in its data"):
        run(told.notify, **ANY | {"data": {"task_title": "Doors"}})
    with pytest.raises(Rejected, match="secret"):
        run(
            told.notify,
            type="password_reset",
            audience=EVERYONE,
            data={"reset_url": "https://example.com/geheim"},
        )
    run(told.notify, **ANY, key="k", dry_run=False)
    with pytest.raises(Rejected, match="key was used"):
        run(told.notify, **ANY | {"subject": "Other"}, key="k", dry_run=False)


def test_an_empty_audience_is_nobody(prefect_server: str, notify_world: World):
    with pytest.raises(Exception, match="audience"):
        run(told.notify, **ANY | {"audience": {}})


def test_a_reminder_goes_to_confirmed_attendees_once(
    prefect_server: str, notify_world: World, org: UUID, rows: Rows
):
    gala = event(rows, org, 20)
    dry = run(told.send_event_reminder, event=gala)
    assert (dry["event"], dry["deliveries"]) == ("Gala", 3)
    wanted = {"event": gala, "channels": ["email", "sms"], "dry_run": False}
    first = run(told.send_event_reminder, **wanted)
    assert notify_world.received() == {"p0": 1, "p3": 1, "p1": 1}
    rows("update events set location = 'The other hall'")
    rows("update integration_outbox set state = 'done'")
    second = run(told.send_event_reminder, **wanted)
    assert second["notification"] == first["notification"]
    assert "sent already" in second["notes"][0]
    rows("update events set starts_at = starts_at + interval '1 hour'")
    third = run(told.send_event_reminder, **wanted)
    assert third["notification"] != first["notification"]
    assert notify_world.received() == {"p0": 2, "p3": 2, "p1": 2}


def test_a_reminder_is_neither_too_early_nor_too_late(
    prefect_server: str, notify_world: World, org: UUID, rows: Rows
):
    early = event(rows, org, 30)
    assert run(told.send_event_reminder, event=early)["state"] == "done"
    with pytest.raises(Rejected, match="goes out from"):
        run(told.send_event_reminder, event=early, dry_run=False)
    for wrong, words in (
        (event(rows, org, -1), "it began on"),
        (event(rows, org, 5, status="cancelled"), "is cancelled"),
        (uuid4(), "is not there"),
    ):
        with pytest.raises(Rejected, match=words):
            run(told.send_event_reminder, event=wrong, dry_run=False)


def test_news_go_to_a_tag_by_mail_and_by_sms(
    prefect_server: str, notify_world: World, org: UUID, rows: Rows
):
    tagged(rows, org, "vip", [0, 1, 3])
    mail = {"subject": "News", "message": "Doors open at six.", "tag": "vip"}
    run(told.send_bulk_email, **mail)
    assert notify_world.received() == {}
    sent = run(told.send_bulk_email, **mail, dry_run=False)
    assert notify_world.received() == {"p0": 1, "p3": 1}
    assert sent["state"] == "done"
    run(told.send_bulk_sms, message="Doors open at six.", everyone=True, dry_run=False)
    assert notify_world.received() == {"p0": 1, "p3": 1, "p1": 1, "p4": 1, "p7": 1}
    for given in ({}, {"tag": "vip", "everyone": True}):
        with pytest.raises(Rejected, match="say to whom"):
            run(told.send_bulk_sms, message="x", **given)


@pytest.mark.parametrize("type", TYPES)
def test_each_type_has_an_example_that_can_be_sent(type: NotificationType):
    data = example(type)
    TYPES[type].check(data)
    assert data.keys() <= TYPES[type].known


def test_tests_arrive_by_mail_sms_and_slack(prefect_server: str, notify_world: World):
    for type, to, channel in (
        ("invoice_sent", "p0@mail.test", "email"),
        ("task_due_soon", "+14155000001", "sms"),
        ("incident_reported", notify_world.slack.user("p2@slack.test"), "slack"),
        ("approval_required", "p5@slack.test", "slack"),
    ):
        done = run(told.send_test, type=type, to=to, channel=channel)
        assert (done["state"], done["deliveries"]) == ("done", 1), done
    assert notify_world.received() == {"p0": 1, "p1": 1, "p2": 1, "p5": 1}
    assert "p0@mail.test" not in artifact("notify-test")


def test_what_failed_is_sent_again_but_not_to_whom_it_cannot_reach(
    prefect_server: str, notify_world: World, org: UUID, rows: Rows
):
    run(told.notify, **ANY, dry_run=False)
    failed = {0: "bounced", 3: "failed", 6: "failed", 1: "undelivered", 4: "unknown"}
    for number, state in failed.items():
        rows(
            "update integration_deliveries set state = %s, reason = 'away', looks = 9 where contact_id = %s",
            state,
            contact(rows, number),
        )
    say(org, Word("email", "p0@mail.test", "unreachable", "bounce", "sendgrid"))
    say(org, Word("email", "p6@mail.test", "refused", "unsubscribe", "page", scope="tasks"))
    id = rows("select id from integration_notifications")[0][0]
    again = run(told.resend_failed, notification=id, by="Ada")
    assert again["sent again"] == 2
    assert again["not sent again: unreachable: bounce"] == 1
    assert again["not sent again: refused: unsubscribe"] == 1
    assert again["not sent again: may have arrived (unknown outcome)"] == 1
    received = notify_world.received()
    assert {received[f"p{n}"] for n in (3, 1)} == {2}
    assert {received[f"p{n}"] for n in (0, 6, 4)} == {1}
    assert run(told.resend_failed, notification=id)["sent again"] == 0
    run(told.resend_failed, notification=id, unknown_too=True)
    assert notify_world.received()["p4"] == 2
    assert rows("select state from integration_notifications") == [("done",)]
