"""Whole channels on the page: stopped, opened again, and what only a phone or a provider can undo."""

from typing import Any
from uuid import UUID

from pages_people import LEDGER, PagesClient, make_contact, make_org, refusals, say

from atlvs.records import Word

pytest_plugins = ["pages_fixtures"]


def test_everything_is_stopped_and_email_comes_back(pages_ada: PagesClient, rows: Any, org: UUID):
    answer = pages_ada.post({"stop": "all"})
    assert "no e-mail, text messages and phone calls" in answer.text
    assert rows(LEDGER) == [
        ("email", "ada@example.com", "optional", "refused", "page"),
        ("sms", "+12025550143", "all", "refused", "page"),
        ("call", "+12025550143", "all", "refused", "page"),
    ]
    assert pages_ada.page().buttons == [("allow", "email"), ("allow", "sms"), ("allow", "call")]
    pages_ada.post({"stop": "all"})
    assert len(rows(LEDGER)) == 3
    pages_ada.post({"allow": "email"})
    assert not refusals(org, "email", "ada@example.com")
    assert refusals(org, "sms", "+12025550143")


def test_stop_by_phone_is_undone_by_phone_only(pages_ada: PagesClient, rows: Any, org: UUID):
    say(org, Word("sms", "+12025550143", "refused", "stop", "twilio", event_id="SM1"))
    page = pages_ada.page()
    assert "text START to the number" in page.text
    assert ("allow", "sms") not in page.buttons
    for form in ({"stop": "sms"}, {"allow": "sms"}, {"stop": "all"}, {"allow": "sms"}):
        pages_ada.post(form)
    assert refusals(org, "sms", "+12025550143")
    assert [row for row in rows(LEDGER) if row[0] == "sms" and row[4] == "page"] == []
    assert pages_ada.post({"allow": "sms"}).status_code == 409
    say(org, Word("sms", "+12025550143", "allowed", "start", "twilio", event_id="SM2"))
    assert ("stop", "sms") in pages_ada.page().buttons


def test_stop_by_phone_holds_after_words_on_the_page(pages_ada: PagesClient, org: UUID):
    pages_ada.post({"stop": "sms"})
    say(org, Word("sms", "+12025550143", "refused", "stop", "twilio", event_id="SM1"))
    assert pages_ada.post({"allow": "sms"}).status_code == 409
    assert refusals(org, "sms", "+12025550143")


def test_address_where_nothing_arrives_is_not_opened_here(pages_ada: PagesClient, org: UUID):
    say(org, Word("email", "ada@example.com", "unreachable", "bounce", "sendgrid", event_id="b1"))
    assert "did not arrive there" in pages_ada.page().text
    assert pages_ada.post({"allow": "email"}).status_code == 409
    assert refusals(org, "email", "ada@example.com")


def test_words_of_one_organization_do_not_bind_another(
    pages_ada: PagesClient, rows: Any, org: UUID
):
    other = make_org(rows)
    theirs = PagesClient(pages_ada.url, other, contact=make_contact(rows, other))
    pages_ada.post({"stop": "all"})
    assert theirs.page().buttons[0] == ("stop", "email")
    assert not refusals(other, "email", "ada@example.com")
    assert {row[0] for row in rows("integration_consents", "org_id")} == {org}


def test_coming_back_does_not_open_where_nothing_arrives(pages_ada: PagesClient, org: UUID):
    pages_ada.email = "Ada.Old@example.com"
    old = "ada.old@example.com"
    say(org, Word("email", old, "unreachable", "bounce", "sendgrid", event_id="b1"))
    pages_ada.post({"stop": "email"})
    assert ("allow", "email") in pages_ada.page().buttons
    assert pages_ada.post({"allow": "email"}).status_code == 200
    assert not refusals(org, "email", "ada@example.com", "news")
    assert refusals(org, "email", old)


def test_stopped_where_nothing_arrives_is_told_as_that(pages_ada: PagesClient, org: UUID):
    say(org, Word("email", "ada@example.com", "unreachable", "bounce", "sendgrid", event_id="b1"))
    pages_ada.post({"stop": "email"})
    assert "did not arrive there" in pages_ada.page().text
    assert pages_ada.post({"allow": "email"}).status_code == 409
    assert refusals(org, "email", "ada@example.com")
