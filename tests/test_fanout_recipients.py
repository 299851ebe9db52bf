"""Each recipient has a fate of their own: what is wrong with one does not hold up the others."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from conftest import Rows
from fanout_fixtures import Ledger
from fanout_world import World, drained

from atlvs.audience import Everyone
from atlvs.db import audiences, connections, deliveries, notifications
from atlvs.db.audiences import Candidate
from atlvs.db.engine import database
from atlvs.db.habits import Habits, habits
from atlvs.errors import Rejected
from atlvs.notices import TYPES
from atlvs.records import Outcome
from blocks.base import resources
from tasks.notify import planning
from tasks.notify.judging import Setting, addresses_of, planned
from tasks.notify.planning import plan
from tasks.notify.raising import raise_notification

pytest_plugins = ["notify_fixtures"]
FILE = {"filename": "ticket.pdf", "content": "JVBERi0xLjc=", "type": "application/pdf"}
TOLD = {"task_title": "Doors"}
FATES = "select recipient, channel, state, coalesce(reason, '') from integration_deliveries order by seq"


def people(*given: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "people", "people": list(given)}


async def raised(org: UUID, type: str, audience: dict[str, Any], **more: Any) -> UUID:
    asked = {"key": uuid4().hex, "origin": "test", "data": TOLD} | more
    told = await raise_notification(org, type=type, audience=audience, **asked)
    return UUID(told["id"])


async def planned_now(org: UUID, id: UUID) -> notifications.Notification:
    async with resources():
        return await plan(org, id)


async def told(org: UUID, type: str, audience: dict[str, Any], **more: Any) -> tuple[str, str]:
    """Raise and plan: the notification's state and reason."""
    found = await planned_now(org, await raised(org, type, audience, **more))
    return found.state, found.reason or ""


async def test_files_that_all_get_go_along(notify_world: World, rows: Rows):
    data = {"event_name": "Gala", "attachments": [FILE], "url": "https://atlvs.test/t"}
    await raised(notify_world.org, "ticket_delivery", people({"email": "ada@mail.test"}), data=data)
    await drained()
    assert rows(FATES) == [("person:ada@mail.test", "email", "sent", "")]
    [mail] = notify_world.mail.ask("received")
    assert mail["attachments"] == ["ticket.pdf"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"attachments": "(attachments)"}, "attachments"),
        ({"attachments": ["file"]}, "attachments"),
        ({"attachments": [FILE | {"content": "no base64!"}]}, "attachments.content"),
        ({"attachments": [FILE | {"filename": "\u202e "}]}, "attachments.filename"),
        ({"digest_items": []}, "digest_items"),
    ],
)
async def test_what_nobody_may_give_is_refused_at_once(org: UUID, wrong: dict, field: str):
    data = {"event_name": "Gala"}
    async with resources():
        with pytest.raises(Rejected) as refused:
            await raised(org, "ticket_delivery", people({"email": "a@b.test"}), data=data | wrong)
        assert str(refused.value.field).endswith(field)
        person = {"email": "a@b.test", "data": wrong}
        with pytest.raises(Rejected) as refused:
            await raised(org, "ticket_delivery", people(person), data=data)
        assert str(refused.value.field).endswith(field)


async def test_one_wrong_address_is_skipped_in_any_chunk(
    notify_world: World, rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(planning, "CHUNK", 2)
    names = ["jürgen", "ada", "bob", "eva..", "eve"]
    everybody = people(*({"email": f"{name}@mail.test"} for name in names))
    assert await told(notify_world.org, "task_assigned", everybody, channels=["email"]) == (
        "sending",
        "",
    )
    states = Counter(row[2:] for row in rows(FATES))
    assert states == {("queued", ""): 3, ("skipped", "not an e-mail address"): 2}


async def test_one_persons_empty_text_is_theirs_alone(notify_world: World, rows: Rows):
    second = {"phone": "+14155000002", "email": "two@mail.test", "data": {"message": " "}}
    first, third = {"phone": "+14155000001"}, {"phone": "+14155000003"}
    given = {"data": {"message": "Doors at eight"}, "channels": ["sms"]}
    org = notify_world.org
    assert (await told(org, "announcement", people(first, second, third), **given))[0] == "sending"
    assert [row[2:] for row in rows(FATES)] == [
        ("queued", ""),
        ("skipped", "the text is empty."),
        ("queued", ""),
    ]
    rows("delete from integration_notifications")
    given |= {"mode": "first", "channels": ["sms", "email"]}
    second["data"]["template_id"] = "announcement"
    await told(org, "announcement", people(first, second), **given)
    assert [row[1:] for row in rows(FATES)][0] == ("sms", "queued", "")
    assert rows(FATES)[1][1] == "email"


async def test_a_channel_that_cannot_carry_it_does_not_hold_up_another(
    notify_world: World, rows: Rows
):
    person = people({"email": "ada@mail.test", "phone": "+14155000001"})
    how = {"channels": ["email", "call"]}  # the connection has no number to call from
    assert (await told(notify_world.org, "task_assigned", person, **how))[0] == "sending"
    assert [row[1:3] for row in rows(FATES)] == [("email", "queued"), ("call", "skipped")]


async def test_what_nobody_can_get_is_refused_whole(notify_world: World, rows: Rows):
    person = people({"phone": "+14155000001"}, {"phone": "+14155000002"})
    given = {"data": {"message": " "}, "channels": ["sms"]}
    state, reason = await told(notify_world.org, "announcement", person, **given)
    assert (state, rows(FATES)) == ("refused", [])
    assert reason == "the text is empty."


async def test_a_refusal_leaves_nothing_in_the_queue(ledger: Ledger):
    some = ledger.notification(state="raised", position="2")
    waits = ledger.delivery(some)
    async with resources(), database().org(ledger.org) as tx:
        await notifications.move(tx, some, "refused", among=["raised"], reason="why")
    assert ledger.of(waits, "state") == ("cancelled",)


@pytest.mark.parametrize("hours", [-1, -12, -25, -49, -24 * 9 - 3])
async def test_quiet_hours_of_today_after_days_of_waiting(ledger: Ledger, hours: int):
    one = ledger.delivery(ledger.notification(), "+14155552671", channel="sms")
    ledger.rows(
        "update integration_deliveries set quiet_at = now() + %s * interval '1 hour',"
        " quiet_for = '11 hours', due_at = now() - interval '9 days'",
        hours,
    )
    async with resources():
        claimed = await deliveries.claim(ledger.org, "sms", uuid4(), 9)
    assert bool(claimed) == (hours == -12)
    [(later,)] = ledger.rows(
        "select due_at - now() > interval '7 hours' from integration_deliveries"
    )
    assert later == (hours != -12)
    assert ledger.of(one, "state") == ("queued",)


BERLIN = Candidate(
    recipient="contact:1",
    contact_id=uuid4(),
    email="ada@example.com",
    phone="+14155552671",
    slack="U1",
    time_zone="Europe/Berlin",
)


def test_what_comes_after_a_mail_keeps_quiet_hours():
    late = datetime(2026, 11, 23, 20, 30, tzinfo=UTC)  # half past nine in Berlin
    how = Setting(
        TYPES["event_reminder"],  # pyright: ignore[reportArgumentType]
        ("email", "slack", "sms"),
        first=True,
        dry_run=False,
        now=late,
        habits=Habits("UTC"),
    )
    [row] = planned(BERLIN, addresses_of(BERLIN, how), {}, how)
    assert (row.channel, row.due_at, row.quiet_at) == ("email", late, None)
    assert row.fallback == (
        {"channel": "slack", "address": "U1"},
        {
            "channel": "sms",
            "address": "+14155552671",
            "quiet_at": "2026-11-23T20:00:00+00:00",
            "quiet_for": "39600.0 seconds",
        },
    )


async def test_the_channel_after_a_bounce_waits_for_the_morning(ledger: Ledger):
    begun = datetime.now(UTC) - timedelta(hours=49)
    behind = [
        {"channel": "sms", "address": "+14155552671"}
        | {"quiet_at": begun.isoformat(), "quiet_for": "39600.0 seconds"}
    ]
    first = ledger.delivery(ledger.notification(), state="sent")
    ledger.rows(
        "update integration_deliveries set fallback = %s::jsonb", orjson.dumps(behind).decode()
    )
    async with resources():
        async with database().org(ledger.org) as tx:
            await deliveries.advance(tx, [Outcome(first, "bounced")])
        assert await deliveries.claim(ledger.org, "sms", uuid4(), 9) == []
    assert ledger.rows(
        "select state, due_at > now() + interval '9 hours' from integration_deliveries where id <> %s",
        first,
    ) == [("queued", True)]


async def test_two_people_behind_one_address(notify_world: World, rows: Rows):
    home = [{"email": "home@mail.test", "phone": f"+1415500070{n}"} for n in (1, 2)]
    await told(notify_world.org, "task_assigned", people(*home, home[0]), channels=["sms"])
    assert [row[:3] for row in rows(FATES)] == [
        ("person:home@mail.test +14155000701", "sms", "queued"),
        ("person:home@mail.test +14155000702", "sms", "queued"),
    ]
    rows("delete from integration_notifications")
    same = {"channels": ["email"], "key": "once"}
    again = [await raised(notify_world.org, "task_assigned", people(*home), **same) for _ in "ab"]
    assert len(set(again)) == 1
    for _ in range(2):
        await planned_now(notify_world.org, again[0])
    assert [row[2:] for row in rows(FATES)] == [
        ("queued", ""),
        ("skipped", "another recipient has the same address"),
    ]


async def test_slack_ids_are_of_the_workspace_that_carries(org: UUID, rows: Rows):
    async with resources():
        # The older one is not the carrier: "default" is.
        for name in ("older", "default"):
            await connections.save(org, "slack", name, {"bot_token": "xoxb-1"})
        rows(
            "insert into contacts (org_id, first_name, email) values (%s, 'Ada', 'Ada@x.test')", org
        )
        rows(
            "insert into slack_users (org_id, connection_id, slack_user_id, email, is_bot, raw, fetched_at)"
            " select c.org_id, c.id, u.id, 'ada@x.test', u.id = 'U0BOT', '{}', now()"
            " from integration_connections as c join (values ('older', 'U1'), ('default', 'U0BOT'),"
            " ('default', 'U2')) as u(name, id) on u.name = c.name"
        )

        async def slack() -> str | None:
            async with database().org(org) as tx:
                everyone = Everyone()
                found, _ = await audiences.candidates(tx, everyone, "tasks", None, 10)
            return found[0].slack

        assert await slack() == "U2"
        rows("update integration_connections set enabled = false where name = 'default'")
        assert await slack() == "U1"
        rows("delete from slack_users where slack_user_id = 'U1'")
        assert await slack() is None
        async with database().org(org) as tx:
            assert not (await habits(tx)).slack_known
