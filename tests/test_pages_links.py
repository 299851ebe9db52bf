"""Signed links: they name one person of one organization, and nothing else opens a page."""

from collections.abc import Iterator
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from pages_people import ONE_CLICK, PagesClient, make_contact, make_org
from web_client import WebProcess

from atlvs.settings import settings
from atlvs.signing import Link, opened, preferences_url, unsubscribe_url

pytest_plugins = ["pages_fixtures"]
OLD = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
NEW = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
ORG, CONTACT = uuid4(), uuid4()


def with_keys(monkeypatch: pytest.MonkeyPatch, *keys: str) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nowhere")
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", ",".join(keys))
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://events.example.com/atlvs/")
    settings.cache_clear()


@pytest.fixture
def link_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    with_keys(monkeypatch, OLD)
    yield monkeypatch
    settings.cache_clear()


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


def test_link_says_who_and_nothing_else(link_keys: pytest.MonkeyPatch):
    url = preferences_url(ORG, contact_id=CONTACT, email="müller@example.com")
    assert url.startswith("https://events.example.com/atlvs/preferences/")
    assert url.isascii()
    assert len(url) < 300
    assert opened(token_of(url)) == Link(ORG, CONTACT, "müller@example.com")


def test_link_is_for_one_purpose(link_keys: pytest.MonkeyPatch):
    url = unsubscribe_url(ORG, email="a@example.com", category="news")
    assert opened(token_of(url), "unsubscribe") == Link(ORG, None, "a@example.com", "news")
    assert opened(token_of(url), "preferences") is None
    assert opened(token_of(preferences_url(ORG, contact_id=CONTACT)), "unsubscribe") is None


def test_link_names_somebody(link_keys: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="contact or an e-mail"):
        preferences_url(ORG)


def test_old_links_work_while_their_key_is_kept(link_keys: pytest.MonkeyPatch):
    old = token_of(preferences_url(ORG, contact_id=CONTACT))
    with_keys(link_keys, NEW, OLD)
    assert opened(old) == Link(ORG, CONTACT)
    new = token_of(preferences_url(ORG, contact_id=CONTACT))
    assert new != old
    with_keys(link_keys, NEW)
    assert opened(old) is None
    assert opened(new) == Link(ORG, CONTACT)


def forged() -> list[str]:
    token = token_of(preferences_url(ORG, contact_id=CONTACT))
    body, _, signature = token.rpartition(".")
    return [
        *("", ".", "..", "x", "a.b", "\0", "é", "\ud800", "x" * 1_999, "x" * 1_000_000),
        *(token[:-1], token[1:], token[:40], body, f"{body}.", f".{signature}", token + "A"),
        *(token.swapcase(), token.replace(".", ""), f"{token}.{signature}", token * 9),
    ]


def test_nothing_else_opens(link_keys: pytest.MonkeyPatch):
    assert [token for token in forged() if opened(token) is not None] == []


def test_every_changed_character_is_noticed(link_keys: pytest.MonkeyPatch):
    token = token_of(unsubscribe_url(ORG, contact_id=CONTACT, category="news"))
    # the last character carries two bits that belong to nothing
    changed = [
        token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        for place in range(len(token) - 1)
    ]
    assert [one for one in changed if opened(one, "unsubscribe") is not None] == []


def test_links_by_the_thousand(link_keys: pytest.MonkeyPatch):
    began = monotonic()
    for _ in range(20_000):
        preferences_url(ORG, contact_id=CONTACT, email="somebody@example.com")
    assert monotonic() - began < 10


@pytest.mark.parametrize("kind", ["preferences", "unsubscribe"])
def test_wrong_links_get_a_page_in_words(pages_url: str, pages_ada: PagesClient, kind: str):
    good = pages_ada.path(unsubscribe=kind == "unsubscribe").rpartition("/")[2]
    tokens = [
        good[:-2],
        good[2:],
        good + "x",
        "x",
        "x" * 50_000,
        "%00",
        "%C3%A9",
        "<script>",
        good * 2,
    ]
    for token in tokens:
        for answer in (
            httpx.get(f"{pages_url}/{kind}/{token}"),
            httpx.post(f"{pages_url}/{kind}/{token}", data=ONE_CLICK),
        ):
            assert answer.status_code == 404
            assert "This link does not work" in answer.text
            assert answer.headers["cache-control"] == "no-store"
            assert len(token) < 9 or token not in answer.text


def test_links_of_one_purpose_do_not_open_the_other(pages_url: str, pages_ada: PagesClient):
    leaving = pages_ada.path(unsubscribe=True).rpartition("/")[2]
    assert httpx.get(f"{pages_url}/preferences/{leaving}").status_code == 404
    choosing = pages_ada.path().rpartition("/")[2]
    assert httpx.post(f"{pages_url}/unsubscribe/{choosing}", data=ONE_CLICK).status_code == 404


def test_contact_of_another_organization_is_nobody(
    pages_url: str, pages_ada: PagesClient, org: UUID, rows: Any
):
    theirs = make_contact(rows, make_org(rows), email="eve@example.com")
    crossed = PagesClient(pages_url, org, contact=theirs)
    assert httpx.get(pages_url + crossed.path()).status_code == 404
    assert crossed.post({"stop": "all"}).status_code == 404
    assert crossed.one_click().status_code == 404
    nowhere = PagesClient(pages_url, uuid4(), email="eve@example.com")
    assert httpx.get(pages_url + nowhere.path()).status_code == 404
    assert rows("select * from integration_consents") == []


def test_forgotten_contact_is_nobody_but_an_address_may_be_left(pages_ada: PagesClient, rows: Any):
    pages_ada.email = "ada@example.com"
    both = pages_ada.path()
    pages_ada.email = None
    rows("delete from contacts")
    assert httpx.get(pages_ada.url + pages_ada.path()).status_code == 404
    assert httpx.get(pages_ada.url + both).status_code == 200


def test_no_log_line_and_no_metric_has_a_token(database_url: str, org: UUID, rows: Any):
    contact = make_contact(rows, org)
    web = WebProcess()
    client = PagesClient(web.url, org, contact=contact)
    client.save(wish__news__email="no")
    client.one_click("tasks")
    bad = client.path() + "x"
    assert httpx.get(web.url + bad).status_code == 404
    rows("alter table integration_preferences rename to elsewhere")
    assert httpx.get(web.url + client.path()).status_code == 500
    rows("alter table elsewhere rename to integration_preferences")
    metrics = httpx.get(f"{web.url}/metrics").text
    code, said = web.stop()
    assert code == 0
    assert "The page of choosing failed" in said
    for token in (client.path(), client.path("tasks", unsubscribe=True), bad):
        assert token.rpartition("/")[2][:30] not in said + metrics
    assert "example.com" not in said + metrics
