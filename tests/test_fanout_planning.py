"""Who gets what, when, and who does not and why: the decision, as a pure function."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlvs.db.audiences import Candidate, Planned
from atlvs.db.habits import Habits
from atlvs.events import NotificationType
from atlvs.notices import TYPES, NoticeType
from tasks.notify.planning import Setting, addresses_of, planned
from tasks.notify.times import next_digest, quiet, zone_of

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ADA = Candidate(
    recipient="contact:1",
    contact_id=uuid4(),
    first_name="Ada",
    last_name="Lovelace",
    email="Ada@Example.com",
    phone="(415) 555-2671",
    slack="U1",
    time_zone="Europe/Berlin",
)


def setting(type: str, *channels: str, **more: Any) -> Setting:
    given = {"first": False, "dry_run": False, "now": NOON, "habits": Habits("UTC")} | more
    return Setting(notice=TYPES[NotificationType(type)], channels=channels, **given)


def rows(one: Candidate, how: Setting, refused: dict | None = None) -> list[Planned]:
    return planned(one, addresses_of(one, how), refused or {}, how)


def test_each_channel_has_its_address():
    found = rows(ADA, setting("announcement", "email", "sms", "slack", "call"))
    assert [(one.channel, one.address) for one in found] == [
        ("email", "ada@example.com"),
        ("sms", "+14155552671"),
        ("slack", "U1"),
        ("call", "+14155552671"),
    ]
    assert {one.state for one in found} == {"queued"}
    assert found[0].data == {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "name": "Ada Lovelace",
        "time_zone": "Europe/Berlin",
    }


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"email": None}, "no e-mail address"),
        ({"email": " "}, "no e-mail address"),
        ({"email": "ada"}, "not an e-mail address"),
        ({"email": "a@b.c\nBcc: x@y.z"}, "not an e-mail address"),
        ({"email": f"{'a' * 300}@example.com"}, "not an e-mail address"),
        ({"email": "a b@example.com"}, "not an e-mail address"),
    ],
)
def test_what_is_no_address_is_skipped_with_its_reason(wrong: dict, reason: str):
    [found] = rows(replace(ADA, **wrong), setting("announcement", "email"))
    assert (found.state, found.address, found.reason) == ("skipped", None, reason)
    assert found.data == {}


@pytest.mark.parametrize("number", ["12", "call me", "+", "\x00", "９" * 80])
def test_what_is_no_number_is_skipped(number: str):
    [found] = rows(replace(ADA, phone=number), setting("announcement", "sms"))
    assert (found.state, found.reason) == ("skipped", "not a phone number")


def test_first_channel_that_works_and_the_others_behind_it():
    how = setting("announcement", "sms", "email", "slack", first=True)
    [found] = rows(replace(ADA, phone=None), how)
    assert found.channel == "email"
    assert found.fallback == ({"channel": "slack", "address": "U1"},)


def test_nobody_reachable_is_one_row_with_the_reason():
    how = setting("announcement", "sms", "email", first=True)
    [found] = rows(replace(ADA, phone=None, email=None), how)
    assert (found.channel, found.state) == ("sms", "skipped")
    assert found.reason == "sms: no phone number; email: no e-mail address"
    stopped = {("sms", "+14155552671"): "refused: stop"}
    [found] = rows(replace(ADA, email=None), how, stopped)
    assert (found.channel, found.state) == ("sms", "suppressed")
    assert found.reason == "sms: refused: stop; email: no e-mail address"


def test_a_refusal_binds_every_type():
    refused = {("sms", "+14155552671"): "refused: stop"}
    for type in ("announcement", "incident_reported", "password_reset"):
        [found] = rows(ADA, setting(type, "sms"), refused)
        assert (found.state, found.reason) == ("suppressed", "refused: stop"), type


def test_preferences_bind_what_is_neither_critical_nor_owed():
    unwilling = replace(ADA, preferences={"email": {"wanted": False, "digest": None}})
    [news] = rows(unwilling, setting("announcement", "email"))
    assert (news.state, news.reason) == ("skipped", "does not want it")
    for type in ("incident_reported", "payment_receipt"):
        assert rows(unwilling, setting(type, "email"))[0].state == "queued"


def test_a_dry_run_plans_and_queues_nothing():
    found = rows(ADA, setting("announcement", "email", "sms", dry_run=True))
    assert {one.state for one in found} == {"planned"}


def test_a_channel_without_a_connection_says_so():
    [found] = rows(ADA, setting("announcement", "sms", closed={"sms": "no twilio connection"}))
    assert (found.state, found.reason) == ("skipped", "no twilio connection")


def test_quiet_hours_are_the_recipients_own():
    late = datetime(2026, 11, 23, 20, 30, tzinfo=UTC)  # half past nine in Berlin
    [found] = rows(ADA, setting("announcement", "sms", now=late))
    assert found.due_at == datetime(2026, 11, 24, 7, tzinfo=UTC)
    [mail] = rows(ADA, setting("announcement", "email", now=late))
    assert (mail.due_at, mail.quiet_at) == (late, None)
    [urgent] = rows(ADA, setting("incident_reported", "sms", now=late))
    assert urgent.due_at is None


def test_a_persons_own_quiet_hours_and_zone_win():
    own = replace(ADA, quiet_begins=time(11), quiet_ends=time(13), quiet_zone="UTC")
    [found] = rows(own, setting("announcement", "sms"))
    assert found.due_at == datetime(2026, 11, 23, 13, tzinfo=UTC)
    assert found.quiet_at == datetime(2026, 11, 24, 11, tzinfo=UTC)
    assert found.quiet_for == timedelta(hours=2)


def test_unknown_time_zones_are_the_organizations():
    for zone in ("Mars/Olympus", "", "../../etc/passwd", "\x00"):
        lost = replace(ADA, time_zone=zone)
        [found] = rows(lost, setting("announcement", "sms", habits=Habits("Asia/Tokyo")))
        assert found.due_at == datetime(2026, 11, 23, 23, tzinfo=UTC)  # nine at night there


def test_digests_wait_for_their_hour():
    daily = replace(ADA, preferences={"email": {"wanted": True, "digest": "daily"}})
    [found] = rows(daily, setting("task_due_soon", "email"))
    assert found.digest == "contact:1:email:tasks"
    assert found.due_at == datetime(2026, 11, 24, 7, tzinfo=UTC)
    [receipt] = rows(daily, setting("payment_receipt", "email"))
    assert receipt.digest is None


@given(
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001
    begins=st.times(),
    ends=st.times(),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]
    ),
)
def test_nothing_is_due_within_quiet_hours(now: datetime, begins: time, ends: time, zone: str):
    where = zone_of(zone)
    assert where
    begins, ends = begins.replace(microsecond=0), ends.replace(microsecond=0)
    moment = now.replace(tzinfo=UTC)
    found = quiet(moment, begins, ends, where)
    due = found["due_at"]
    assert timedelta(0) <= due - moment <= timedelta(hours=25)
    if begins == ends:
        return
    assert found["quiet_at"] > due or due == moment
    assert found["quiet_at"] - due <= timedelta(hours=25)
    local = due.astimezone(where).time().replace(microsecond=0)
    within = begins <= local < ends if begins < ends else local >= begins or local < ends
    changes = (
        moment.astimezone(where).utcoffset()
        != (moment + timedelta(days=1)).astimezone(where).utcoffset()
    )
    assert not within or changes


def test_next_digest_is_ahead():
    assert next_digest(NOON, None, BERLIN) == NOON
    assert next_digest(NOON, "hourly", BERLIN) == datetime(2026, 11, 23, 13, tzinfo=UTC)
    assert next_digest(NOON, "daily", BERLIN) == datetime(2026, 11, 24, 7, tzinfo=UTC)
    early = datetime(2026, 11, 23, 3, tzinfo=UTC)
    assert next_digest(early, "daily", BERLIN) == datetime(2026, 11, 23, 7, tzinfo=UTC)


def test_every_type_says_what_it_is():
    assert set(TYPES) == set(NotificationType)
    for notice in TYPES.values():
        assert isinstance(notice, NoticeType)
        assert notice.title
        assert notice.channels
        for name in notice.required | notice.secret:
            assert name in notice.known


def test_quiet_hours_that_a_change_of_clocks_makes_overlap():
    york = ZoneInfo("America/New_York")
    # Half past two does not come on 8 March: it is half past three, when the next ones have begun.
    found = quiet(datetime(2026, 3, 8, 5, tzinfo=UTC), time(3), time(2, 30), york)
    assert found["due_at"] == datetime(2026, 3, 9, 6, 30, tzinfo=UTC)
    assert found["quiet_at"] == datetime(2026, 3, 9, 7, tzinfo=UTC)
    assert found["quiet_for"] == timedelta(hours=23, minutes=30)
    # Hours that lie within the one that is left out: over before they begin.
    found = quiet(datetime(2026, 3, 8, 6, 59, tzinfo=UTC), time(2, 30), time(3, 15), york)
    assert found["due_at"] == datetime(2026, 3, 8, 6, 59, tzinfo=UTC)
    assert found["quiet_at"] == datetime(2026, 3, 9, 6, 30, tzinfo=UTC)
