"""The page on which people choose what they get, and one click out of it (RFC 8058).

https://www.rfc-editor.org/rfc/rfc8058 · Opening a link never changes anything: mail scanners open all.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request

from atlvs.db import persons, preferences
from atlvs.db.engine import Transaction, database
from atlvs.db.persons import Person
from atlvs.db.preferences import Cell, Choices, Wish
from atlvs.errors import Rejected
from atlvs.events import Channel
from atlvs.signing import Link, Purpose, opened, preferences_url
from deployments.web import pages_quiet, pages_words
from deployments.web.failures import Failure, not_found
from deployments.web.pages import Page, form_of, shown
from deployments.web.pages_quiet import QuietHours
from deployments.web.pages_words import CHANNELS, MESSAGES

ONE_CLICK = ("List-Unsubscribe", "One-Click")


def router() -> APIRouter:
    """The pages behind signed links."""
    made = APIRouter(include_in_schema=False)
    reading = ["GET", "HEAD"]
    made.add_api_route("/preferences/{token}", shown(choosing), methods=reading)
    made.add_api_route("/preferences/{token}", shown(chosen), methods=["POST"])
    made.add_api_route("/unsubscribe/{token}", shown(leaving), methods=reading)
    made.add_api_route("/unsubscribe/{token}", shown(left), methods=["POST"])
    return made


async def choosing(request: Request) -> Page:
    """What somebody gets, with all that can be chosen."""
    async with _opened(request, "preferences") as (tx, person, _):
        choices = await preferences.read(tx, person)
    return _form(person, choices, pages_quiet.kept(choices))


async def chosen(request: Request) -> Page:
    """Save, stop or come back, and say what is now."""
    form = await form_of(request)
    async with _opened(request, "preferences") as (tx, person, _):
        if is_one_click(form):
            return await _stopped(tx, person, [Channel.EMAIL])
        if "stop" in form:
            return await _stopped(tx, person, _channels(person, form["stop"]))
        if "allow" in form:
            return await _back(tx, person, _channels(person, form["allow"])[0])
        return await _saved(tx, person, form)


async def leaving(request: Request) -> Page:
    """A button, as opening a link changes nothing."""
    async with _opened(request, "unsubscribe") as (_, person, link):
        return Page("unsubscribe.html", _about(person, link))


async def left(request: Request) -> Page:
    """One click by a person or their mail program."""
    form = await form_of(request)
    if not is_one_click(form):
        raise Failure(400, "malformed", "The body is List-Unsubscribe=One-Click.")
    async with _opened(request, "unsubscribe") as (tx, person, link):
        if link.category is None:
            await preferences.refuse(tx, person, [Channel.EMAIL])
        else:
            cell = (link.category, Channel.EMAIL.value)
            await preferences.wish(tx, person, {cell: Wish(wanted=False)})
        return Page("unsubscribed.html", _about(person, link))


def is_one_click(form: Mapping[str, str]) -> bool:
    """Whether this is the whole of what RFC 8058 lets a mail program send."""
    return form.get(ONE_CLICK[0]) == ONE_CLICK[1]


@asynccontextmanager
async def _opened(
    request: Request, purpose: Purpose
) -> AsyncGenerator[tuple[Transaction, Person, Link]]:
    link = opened(request.path_params["token"], purpose)
    if link is None:
        raise not_found("Nobody signed this link.")
    async with database().org(link.org_id) as tx:
        person = await persons.find(tx, link)
        if person is None:
            raise not_found("There is nobody behind this link.")
        yield tx, person, link


async def _saved(tx: Transaction, person: Person, form: Mapping[str, str]) -> Page:
    wishes, quiet = _wishes(person, form), pages_quiet.entered(form)
    if not wishes and "quiet" not in form:
        raise Failure(400, "malformed", "None of the form's fields arrived.")
    if person.contact_id and "quiet" in form:
        if quiet.wrong:
            before = await preferences.read(tx, person)
            return _form(person, replace(before, wishes=before.wishes | wishes), quiet, 422)
        await preferences.keep_quiet(tx, person, quiet.chosen())
    await preferences.wish(tx, person, wishes)
    return _done(person, "Your choices are saved", [])


async def _stopped(tx: Transaction, person: Person, channels: list[str]) -> Page:
    await preferences.refuse(tx, person, channels)
    messages = pages_words.listed([MESSAGES[Channel(channel)] for channel in channels])
    text = f"From now on you get no {messages}."
    if Channel.EMAIL in channels:
        text += " Tickets, receipts and password resets that you ask for still come by e-mail."
    return _done(person, "You are unsubscribed", [text])


async def _back(tx: Transaction, person: Person, channel: str) -> Page:
    try:
        await preferences.allow(tx, person, channel)
    except Rejected:
        return _form_again(person, await preferences.read(tx, person))
    text = f"You get {MESSAGES[Channel(channel)]} again, as far as you want them."
    return _done(person, "Welcome back", [text])


def _form_again(person: Person, choices: Choices) -> Page:
    """The page says by itself why a channel cannot be opened here."""
    return _form(person, choices, pages_quiet.kept(choices), 409)


def _wishes(person: Person, form: Mapping[str, str]) -> dict[Cell, Wish]:
    """What the form says about what this person can choose; of what it does not speak, nothing changes."""
    found: dict[Cell, Wish] = {}
    for cell in pages_words.cells(person):
        value = form.get(pages_words.field_of(cell))
        if value in pages_words.values_for(person, cell[1]):
            digest = value if value in ("hourly", "daily") else None
            found[cell] = Wish(value != "no", digest)
    return found


def _channels(person: Person, value: str) -> list[str]:
    asked = list(CHANNELS) if value == "all" else [value]
    found = [channel for channel in asked if channel in person.addresses]
    if not found:
        raise Failure(400, "malformed", "There is no such channel.")
    return [str(channel) for channel in found]


def _form(person: Person, choices: Choices, quiet: QuietHours, status: int = 200) -> Page:
    values: dict[str, Any] = {
        "person": person,
        "sections": pages_words.sections(person, choices),
        "quiet": quiet,
        "zones": pages_words.zones(),
        "channels": [
            {
                "key": channel,
                "name": name,
                "messages": MESSAGES[channel],
                "address": pages_words.masked(channel, person.addresses[channel][0]),
                "standing": choices.standing[channel],
            }
            for channel, name in CHANNELS.items()
            if channel in person.addresses
        ],
    }
    return Page("preferences.html", values, status)


def _done(person: Person, title: str, texts: list[str]) -> Page:
    return Page("done.html", {"person": person, "title": title, "texts": texts})


def _about(person: Person, link: Link) -> dict[str, Any]:
    """What the unsubscribe pages tell; the way to all choices is relative, as a proxy may add a path."""
    url = preferences_url(link.org_id, contact_id=link.contact_id, email=link.email)
    category, emails = link.category or "", person.addresses.get(Channel.EMAIL, ())
    return {
        "person": person,
        "address": pages_words.masked(Channel.EMAIL, emails[0]) if emails else "",
        "everything": link.category is None,
        "category": pages_words.NAMES.get(category, category),
        "always": pages_words.titles(category, always=True),
        "choices": f"../preferences/{url.rpartition('/')[2]}",
    }
