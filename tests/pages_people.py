"""People with links to their pages, and a client that reads and sends forms as a browser does."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import httpx
from web_client import run

from atlvs.audience import Contacts
from atlvs.db import audiences, consents
from atlvs.db.audiences import Candidate
from atlvs.db.engine import database
from atlvs.records import Word
from atlvs.signing import preferences_url, unsubscribe_url

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
CHANGING = ("integration_preferences", "integration_quiet_hours", "integration_consents")
LEDGER = "select channel, address, scope, verdict, source from integration_consents order by id"


class Fields(HTMLParser):
    """What a browser would send if nothing was changed, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.options: dict[str, list[str]] = {}
        self.buttons: list[tuple[str, str]] = []
        self.text = ""
        self._select = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name, value = given.get("name", ""), given.get("value", "")
        if tag == "select":
            self._select, self.options[name] = name, []
        elif tag == "option":
            self.options[self._select].append(value)
            if "selected" in given or self._select not in self.values:
                self.values[self._select] = value
        elif tag == "button" and name:
            self.buttons.append((name, value))
        elif tag == "input" and (given.get("type") != "radio" or "checked" in given):
            self.values[name] = value

    def handle_data(self, data: str) -> None:
        self.text += data


@dataclass
class PagesClient:
    """One person in front of the pages."""

    url: str
    org: UUID
    contact: UUID | None = None
    email: str | None = None
    sent: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def path(self, category: str | None = None, unsubscribe: bool = False) -> str:
        given: dict[str, Any] = {"contact_id": self.contact, "email": self.email}
        if unsubscribe:
            link = unsubscribe_url(self.org, category=category, **given)
        else:
            link = preferences_url(self.org, **given)
        return "/" + "/".join(link.rsplit("/", 2)[1:])

    def page(self) -> Fields:
        answer = httpx.get(self.url + self.path(), timeout=20)
        assert answer.status_code == 200
        return Fields(answer.text)

    def save(self, **changed: str) -> httpx.Response:
        """The form as it stands, with some fields changed; dots in names as two underscores."""
        told = {name.replace("__", "."): value for name, value in changed.items()}
        return self.post(self.page().values | told)

    def post(self, form: dict[str, str]) -> httpx.Response:
        return httpx.post(self.url + self.path(), data=form, timeout=20)

    def one_click(self, category: str | None = None) -> httpx.Response:
        return httpx.post(
            self.url + self.path(category, unsubscribe=True), data=ONE_CLICK, timeout=20
        )


def make_contact(rows: Any, org: UUID, **fields: Any) -> UUID:
    """A contact of an organization."""
    given = {"org_id": org, "email": "Ada@Example.com", "phone": "(202) 555-0143"} | fields
    marks = ", ".join(["%s"] * len(given))
    statement = f"insert into contacts ({', '.join(given)}) values ({marks}) returning id"
    return rows(statement, *given.values())[0][0]


def make_org(rows: Any, name: str = "Other", slug: str = "other") -> UUID:
    """Another organization."""
    statement = "insert into organizations (name, slug) values (%s, %s) returning id"
    return rows(statement, name, slug)[0][0]


def planned_as(client: PagesClient, category: str) -> Candidate:
    """The contact as the planning of a notification reads it."""
    assert client.contact
    audience = Contacts(ids=[client.contact])

    async def read() -> Candidate:
        async with database().org(client.org) as tx:
            return (await audiences.candidates(tx, audience, category, None, 10))[0][0]

    return run(read())


def say(org: UUID, *words: Word) -> None:
    async def write() -> None:
        async with database().org(org) as tx:
            await consents.record(tx, org, words)

    run(write())


def refusals(org: UUID, channel: str, address: str, category: str | None = None) -> Any:
    async def read() -> dict[str, str]:
        async with database().org(org) as tx:
            return await consents.refusals(tx, channel, [address], category)

    return run(read())
