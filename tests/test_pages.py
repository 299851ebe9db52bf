"""The page with all choices: what it shows, what it saves, and that looking at it changes nothing."""

import re
from datetime import time
from typing import Any
from uuid import UUID

import httpx
import pytest
from pages_people import CHANGING, LEDGER, PagesClient, planned_as, refusals, say

from atlvs.events import Category, Channel
from atlvs.notices import TYPES
from atlvs.records import Word
from deployments.web import pages_words

pytest_plugins = ["pages_fixtures"]
WISHES = "select category, channel, wanted, digest from integration_preferences order by 1, 2"
QUIET = "select begins, ends, time_zone from integration_quiet_hours"


# What it shows


def test_every_word_of_ours_has_a_name():
    assert set(pages_words.CATEGORIES) == set(Category)
    assert set(pages_words.CHANNELS) == set(pages_words.MESSAGES) == set(Channel)
    shown = [
        title
        for category in Category
        for always in (True, False)
        for title in pages_words.titles(category, always)
    ]
    assert sorted(shown) == sorted(notice.title for notice in TYPES.values())


def test_page_shows_categories_by_channels_and_the_critical_ones_apart(pages_ada: PagesClient):
    page = pages_ada.page()
    offered = {name for name in page.options if name.startswith("wish.")}
    choosable = ("tasks", "approvals", "events", "finance", "registrations", "news")
    assert offered == {f"wish.{one}.{by}" for one in choosable for by in ("email", "sms", "call")}
    assert page.options["wish.news.email"] == ["now", "hourly", "daily", "no"]
    assert page.options["wish.news.sms"] == ["now", "no"]
    assert "Incidents: Incident reported" in page.text
    assert "Your account: Reset your password" in page.text
    assert "Always sent: Invoice · Receipt" in page.text
    assert "Europe/Vienna" in page.options["time_zone"]


def test_slack_is_offered_to_whom_slack_knows(pages_ada: PagesClient, rows: Any, org: UUID):
    rows(
        "with c as (insert into integration_connections (org_id, provider, name)"
        " values (%s, 'slack', 'default') returning id, org_id)"
        " insert into slack_users (org_id, connection_id, slack_user_id, email, raw, fetched_at)"
        " select org_id, id, 'U123', 'ADA@example.com', '{}', now() from c",
        org,
    )
    pages_ada.save(wish__news__slack="daily")
    assert planned_as(pages_ada, "news").preferences == {
        "slack": {"wanted": True, "digest": "daily"}
    }
    pages_ada.post({"stop": "slack"})
    assert refusals(org, "slack", "U123")
    assert refusals(org, "slack", "ada@example.com")


def test_addresses_are_shown_only_as_far_as_their_owner_knows_them(pages_ada: PagesClient):
    page = pages_ada.page()
    assert "a…@example.com" in page.text
    assert "…0143" in page.text
    assert "ada@" not in page.text.lower()
    assert "555" not in page.text


def test_stranger_chooses_about_one_address_only(pages_stranger: PagesClient):
    page = pages_stranger.page()
    assert {name.rpartition(".")[2] for name in page.options} == {"email"}
    assert page.options["wish.news.email"] == ["now", "no"]
    assert "quiet" not in page.values


HOSTILE = "<script>alert(1)</script>\" onload='x' {{ 7*7 }} \u202e&amp;"


def test_hostile_names_are_text(pages_ada: PagesClient, rows: Any):
    rows("update organizations set name = %s", HOSTILE)
    rows("update contacts set time_zone = %s, email = %s", HOSTILE, f'"{HOSTILE}"@example.com')
    for answer in (
        httpx.get(pages_ada.url + pages_ada.path()),
        httpx.get(pages_ada.url + pages_ada.path(HOSTILE, unsubscribe=True)),
        pages_ada.one_click(HOSTILE),
        pages_ada.save(wish__news__email="no"),
        pages_ada.post({"stop": "all"}),
    ):
        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert "onload='x'" not in answer.text
        assert "&lt;script&gt;" in answer.text
        assert "49" not in answer.text.replace("#49", "").split("</style>")[1]


def test_headers_keep_the_page_to_itself(pages_ada: PagesClient):
    for answer in (
        httpx.get(pages_ada.url + pages_ada.path()),
        pages_ada.save(),
        httpx.get(f"{pages_ada.url}/preferences/wrong"),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "script-src" not in answer.headers["content-security-policy"]
        assert "set-cookie" not in answer.headers
        assert not re.search(r"(?i)<script|\bon\w+=|https?://|style=", answer.text)


# Looking changes nothing


def test_scanner_that_opens_everything_changes_nothing(pages_ada: PagesClient, rows: Any):
    before = [rows(table) for table in CHANGING]
    query = "?stop=all&List-Unsubscribe=One-Click&wish.news.email=no&quiet=none"
    for path in (pages_ada.path(), pages_ada.path("news", True), pages_ada.path(None, True)):
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"):
            answer = httpx.request(method, pages_ada.url + path + query)
            assert answer.status_code == (200 if method in ("GET", "HEAD") else 405)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        got = httpx.request("GET", pages_ada.url + path, content="stop=all", headers=form)
        assert got.status_code == 200
    assert [rows(table) for table in CHANGING] == before == [[], [], []]


def test_saving_what_stands_writes_nothing(pages_ada: PagesClient, rows: Any):
    assert pages_ada.save().status_code == 200
    assert [rows(table) for table in CHANGING] == [[], [], []]


# What it saves


def test_wishes_of_a_contact_reach_the_planning(pages_ada: PagesClient, rows: Any):
    answer = pages_ada.save(wish__news__email="no", wish__tasks__email="daily")
    assert "Your choices are saved" in answer.text
    assert rows(WISHES) == [("news", "email", False, None), ("tasks", "email", True, "daily")]
    assert planned_as(pages_ada, "tasks").preferences == {
        "email": {"wanted": True, "digest": "daily"}
    }
    page = pages_ada.page()
    assert page.values["wish.news.email"] == "no"
    assert page.values["wish.tasks.email"] == "daily"
    pages_ada.save(wish__news__email="now")
    assert rows(WISHES)[0] == ("news", "email", True, None)
    assert [row[2:] for row in rows(LEDGER)] == [
        ("news", "refused", "page"),
        ("news", "allowed", "page"),
    ]


def test_saved_twice_is_saved_once(pages_ada: PagesClient, rows: Any):
    form = pages_ada.page().values | {"wish.news.email": "no", "quiet": "none"}
    pages_ada.post(form)
    once = [rows(table) for table in CHANGING]
    pages_ada.post(form)
    again = [rows(table) for table in CHANGING]
    assert (again[0], again[2]) == (once[0], once[2])
    assert len(once[2]) == 1


def test_stranger_refuses_a_category_and_comes_back(
    pages_stranger: PagesClient, rows: Any, org: UUID
):
    pages_stranger.save(wish__news__email="no")
    assert refusals(org, "email", "bob@example.com", "news")
    assert not refusals(org, "email", "bob@example.com", "tasks")
    assert pages_stranger.page().values["wish.news.email"] == "no"
    pages_stranger.save(wish__news__email="now")
    assert not refusals(org, "email", "bob@example.com", "news")
    assert [row[2:] for row in rows(LEDGER)] == [
        ("news", "refused", "page"),
        ("news", "allowed", "page"),
    ]


def test_contact_comes_back_to_what_was_refused_at_the_provider(
    pages_ada: PagesClient, rows: Any, org: UUID
):
    say(org, Word("email", "ada@example.com", "refused", "group", "sendgrid", "news", "e1"))
    assert pages_ada.page().values["wish.news.email"] == "no"
    pages_ada.save()
    assert len(rows(LEDGER)) == 1
    pages_ada.save(wish__news__email="daily")
    assert not refusals(org, "email", "ada@example.com", "news")
    assert rows(WISHES) == [("news", "email", True, "daily")]


def test_fields_that_nobody_offered_change_nothing(pages_ada: PagesClient, rows: Any):
    odd = {
        "wish.incidents.email": "no",
        "wish.account.email": "no",
        "wish.news.slack": "no",
        "wish.news.fax": "no",
        "wish.news.email": "weekly",
        "wish.": "no",
        "org_id": "x",
    }
    assert pages_ada.post(odd).status_code == 400
    assert pages_ada.post(odd | {"wish.tasks.email": "now"}).status_code == 200
    assert [rows(table) for table in CHANGING] == [[], [], []]


# Quiet hours


def test_own_quiet_hours_with_their_time_zone(pages_ada: PagesClient, rows: Any):
    pages_ada.save(quiet="own", begins="22:30", ends="06:15", time_zone="Asia/Kolkata")
    assert rows(QUIET) == [(time(22, 30), time(6, 15), "Asia/Kolkata")]
    page = pages_ada.page()
    told = {name: page.values[name] for name in ("quiet", "begins", "ends", "time_zone")}
    assert told == {
        "quiet": "own",
        "begins": "22:30",
        "ends": "06:15",
        "time_zone": "Asia/Kolkata",
    }
    assert planned_as(pages_ada, "news").quiet_zone == "Asia/Kolkata"


def test_no_quiet_hours_and_the_usual_ones(pages_ada: PagesClient, rows: Any):
    pages_ada.save(quiet="none")
    assert rows(QUIET) == [(time(0), time(0), None)]
    assert pages_ada.page().values["quiet"] == "none"
    pages_ada.save(quiet="usual")
    assert rows(QUIET) == []
    assert "(21:00 to 08:00)" in pages_ada.page().text


@pytest.mark.parametrize(
    "wrong",
    [
        {"begins": "", "ends": "07:00"},
        {"begins": "25:00", "ends": "07:00"},
        {"begins": "22:00", "ends": "22:00"},
        {"begins": "22:00", "ends": "07:00", "time_zone": "../etc/passwd"},
        {"begins": "22:00\0", "ends": "07:00"},
        {"quiet": "sometimes"},
    ],
)
def test_wrong_quiet_hours_are_shown_again_and_nothing_is_saved(
    pages_ada: PagesClient, rows: Any, wrong: dict[str, str]
):
    answer = pages_ada.save(**{"wish__news__email": "no", "quiet": "own"} | wrong)
    assert answer.status_code == 422
    assert "Nothing was saved yet" in answer.text
    assert 'id="quiet-wrong"' in answer.text
    assert [rows(table) for table in CHANGING] == [[], [], []]


# Forms that no page of ours sends


def test_odd_forms_end_in_words(pages_ada: PagesClient, rows: Any):
    url, form = pages_ada.url + pages_ada.path(), "application/x-www-form-urlencoded"
    many = "&".join(f"a{number}=1" for number in range(400))
    for content, kind, status in (
        ("stop=fax", form, 400),
        ("allow=all&allow=", form, 400),
        (many, form, 400),
        ("x" * 100_001, form, 413),
        ("\0%00%ff=%", form, 400),
        ("", "multipart/form-data", 400),
        ("--x\r\nnonsense", "multipart/form-data; boundary=x", 400),
        ("{}", "application/json", 400),
    ):
        answer = httpx.post(url, content=content.encode(), headers={"Content-Type": kind})
        assert answer.status_code == status, content[:50]
        assert answer.headers["content-type"].startswith("text/html")
    upload = httpx.post(url, files={"stop": ("all", b"all")})
    assert upload.status_code == 400
    assert [rows(table) for table in CHANGING] == [[], [], []]


def test_database_away_is_said_in_words(pages_ada: PagesClient, rows: Any):
    rows("alter table organizations rename to elsewhere")
    answer = httpx.get(pages_ada.url + pages_ada.path())
    rows("alter table elsewhere rename to organizations")
    assert answer.status_code == 500
    assert "Something failed here" in answer.text
