"""One click out (RFC 8058), by a mail program or by a person who pressed the button."""

from typing import Any
from uuid import UUID

import httpx
from pages_people import LEDGER, ONE_CLICK, Fields, PagesClient, refusals, say

from atlvs.records import Word

pytest_plugins = ["pages_fixtures"]
WISHES = "select category, channel, wanted from integration_preferences"


def test_one_click_ends_a_category_for_a_contact(pages_ada: PagesClient, rows: Any):
    answer = pages_ada.one_click("news")
    assert answer.status_code == 200
    assert answer.history == []
    assert rows(WISHES) == [("news", "email", False)]
    assert rows(LEDGER) == [("email", "ada@example.com", "news", "refused", "page")]
    assert pages_ada.page().values["wish.news.email"] == "no"
    assert pages_ada.page().values["wish.tasks.email"] == "now"


def test_one_click_ends_a_category_for_an_address(pages_stranger: PagesClient, rows: Any):
    pages_stranger.one_click("news")
    assert rows(LEDGER) == [("email", "bob@example.com", "news", "refused", "page")]
    pages_stranger.one_click("news")
    assert len(rows(LEDGER)) == 1


def test_one_click_without_a_category_ends_all_email(pages_ada: PagesClient, rows: Any):
    pages_ada.email = "Ada.Old@example.com"
    assert "but what you ask for" in pages_ada.one_click().text
    assert rows(LEDGER) == [
        ("email", "ada@example.com", "optional", "refused", "page"),
        ("email", "ada.old@example.com", "optional", "refused", "page"),
    ]
    pages_ada.one_click()
    assert len(rows(LEDGER)) == 2


def test_one_click_on_the_link_to_the_choices_ends_all_email(pages_ada: PagesClient, rows: Any):
    assert pages_ada.post(ONE_CLICK).status_code == 200
    assert rows(LEDGER) == [("email", "ada@example.com", "optional", "refused", "page")]


def test_one_click_as_multipart(pages_ada: PagesClient, rows: Any):
    url = pages_ada.url + pages_ada.path("news", unsubscribe=True)
    answer = httpx.post(url, files={"List-Unsubscribe": (None, "One-Click")})
    assert answer.status_code == 200
    assert rows(WISHES) == [("news", "email", False)]


def test_post_without_the_one_click_changes_nothing(pages_ada: PagesClient, rows: Any):
    url = pages_ada.url + pages_ada.path("news", unsubscribe=True)
    for form in ({}, {"List-Unsubscribe": "Two"}, {"stop": "all"}):
        assert httpx.post(url, data=form).status_code == 400
    assert rows(WISHES) == rows(LEDGER) == []


def test_button_does_what_the_mail_program_does(pages_ada: PagesClient, rows: Any):
    url = pages_ada.url + pages_ada.path("news", unsubscribe=True)
    page = httpx.get(url)
    assert "News" in page.text
    assert rows(WISHES) == []
    answer = httpx.post(url, data=Fields(page.text).values)
    assert "You are unsubscribed" in answer.text
    assert rows(WISHES) == [("news", "email", False)]


def test_what_is_always_sent_is_said(pages_ada: PagesClient):
    assert "Invoice · Receipt" in pages_ada.one_click("finance").text
    assert "Incident reported" in pages_ada.one_click("incidents").text


def test_way_back_leads_to_the_choices_of_the_same_person(pages_ada: PagesClient, org: UUID):
    url = httpx.URL(pages_ada.url + pages_ada.path("news", unsubscribe=True))
    page = httpx.post(url, data=ONE_CLICK)
    link = page.text.split('href="')[1].split('"')[0]
    choices = httpx.get(url.join(link))
    assert choices.status_code == 200
    assert Fields(choices.text).values["wish.news.email"] == "no"


def test_one_click_is_said_of_each_address_whatever_stands_about_another(
    pages_ada: PagesClient, rows: Any, org: UUID
):
    pages_ada.email = "Ada.Old@example.com"
    old = "ada.old@example.com"
    say(org, Word("email", old, "unreachable", "bounce", "sendgrid", event_id="b1"))
    say(org, Word("email", old, "refused", "unsubscribed", "page", scope="news"))
    pages_ada.one_click("news")
    assert rows(WISHES) == [("news", "email", False)]
    assert refusals(org, "email", "ada@example.com", "news")
    pages_ada.one_click()
    assert rows(LEDGER)[2:] == [
        ("email", "ada@example.com", "news", "refused", "page"),
        ("email", "ada@example.com", "optional", "refused", "page"),
        ("email", old, "optional", "refused", "page"),
    ]
    pages_ada.one_click("news")
    pages_ada.one_click()
    assert len(rows(LEDGER)) == 5


def test_one_click_outlasts_a_bounce(pages_ada: PagesClient, org: UUID):
    bounced = Word("email", "ada@example.com", "unreachable", "bounce", "sendgrid", event_id="b1")
    say(org, bounced)
    pages_ada.one_click()
    taken_off = Word("email", "ada@example.com", "allowed", "taken off", "sendgrid", event_id="b2")
    say(org, taken_off)
    assert "unsubscribed" in refusals(org, "email", "ada@example.com", "news")["ada@example.com"]
