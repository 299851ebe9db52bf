"""What a person wants to get, and when: written by themselves, on the page behind a signed link.

A known contact's wishes are rows of theirs. Where only an address is known, and for a whole channel,
the consent ledger has the word.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from typing import Any

from atlvs.db import consents
from atlvs.db.consents import ALL, OPTIONAL
from atlvs.db.engine import Transaction
from atlvs.db.persons import Person
from atlvs.errors import Rejected
from atlvs.events import Category, Channel
from atlvs.records import Word

PAGE, PHONE = "page", "twilio"  # sources of words
Cell = tuple[str, str]  # category, channel
Words = list[dict[str, Any]]  # of the ledger, newest first


@dataclass(frozen=True)
class Wish:
    """Whether somebody wants a category on a channel, and how often."""

    wanted: bool = True
    digest: str | None = None  # hourly, daily; None: at once


@dataclass(frozen=True)
class Standing:
    """What was last said about a whole channel. `stopped`: by a text message, which only another one undoes."""

    verdict: str = "allowed"
    reason: str = ""
    stopped: bool = False

    @property
    def open(self) -> bool:
        """Whether anything is sent there."""
        return self.verdict == "allowed" and not self.stopped


@dataclass(frozen=True)
class Quiet:
    """Hours without disturbance; none at all where both are the same."""

    begins: time
    ends: time
    time_zone: str | None = None


@dataclass(frozen=True)
class Choices:
    """All that somebody chose so far."""

    wishes: dict[Cell, Wish] = field(default_factory=dict[Cell, Wish])
    refused: frozenset[Cell] = frozenset()  # of them, by a word in the ledger
    standing: dict[str, Standing] = field(default_factory=dict[str, Standing])
    quiet: Quiet | None = None  # None: as the organization has them

    def wish(self, category: str, channel: str) -> Wish:
        """One wish; everything at once where nothing was said."""
        return self.wishes.get((category, channel), Wish())


async def read(tx: Transaction, person: Person) -> Choices:
    """What a person has chosen."""
    return await _choices(tx, person, await _words(tx, person))


async def _choices(tx: Transaction, person: Person, words: Words) -> Choices:
    refused = frozenset(
        (word["scope"], word["channel"])
        for word in _newest(words)
        if word["scope"] not in (ALL, OPTIONAL) and word["verdict"] == "refused"
    )
    return Choices(
        wishes=await _wishes(tx, person) | dict.fromkeys(refused, Wish(wanted=False)),
        refused=refused,
        standing={channel: _standing(channel, words) for channel in person.addresses},
        quiet=await _quiet(tx, person),
    )


async def wish(tx: Transaction, person: Person, wishes: Mapping[Cell, Wish]) -> int:
    """Write wishes that differ from what stands; returns how many.

    The addresses say it as well: a list of people may have one without knowing the contact. Whoever
    wants no more says so about each address, also where another one had said it before.
    """
    words = await _words(tx, person)
    before, stored = await _choices(tx, person, words), await _wishes(tx, person)
    new = {cell: one for cell, one in wishes.items() if stored.get(cell, Wish()) != one}
    if person.contact_id:
        await _write(tx, person, new)
    changed = {cell for cell in new if before.wish(*cell) != new[cell]}
    for cell, one in wishes.items():
        if not one.wanted:
            said = await _refuse(tx, person, words, cell[1], cell[0])
        elif said := not before.wish(*cell).wanted:
            await _say(tx, person, cell[1], "allowed", "came back", cell[0])
        changed |= {cell} if said else set()
    return len(changed)


async def refuse(tx: Transaction, person: Person, channels: Sequence[str]) -> list[str]:
    """Nothing more on these channels; returns those on which something was still sent.

    By e-mail, what somebody asked for or is owed still comes: tickets, receipts, password resets. Also
    said where nothing is sent just now: what forbids it may be about another address, or end.
    """
    words = await _words(tx, person)
    known = [channel for channel in channels if channel in person.addresses]
    for channel in known:
        scope = OPTIONAL if channel == Channel.EMAIL else ALL
        await _refuse(tx, person, words, channel, scope)
    return [channel for channel in known if _standing(channel, words).open]


async def allow(tx: Transaction, person: Person, channel: str) -> None:
    """Back on a channel. Rejected where it was stopped by a text message, or nothing arrives."""
    words = await _words(tx, person)
    standing = _standing(channel, words)
    if standing.stopped:
        raise Rejected("preferences", "stopped by text message: text START.", code="stopped")
    if standing.verdict == "unreachable":
        raise Rejected("preferences", "nothing arrives at this address.", code="unreachable")
    if not standing.open:
        for scope in (ALL, OPTIONAL):
            dead = _said(words, channel, scope, "unreachable")
            await _say(tx, person, channel, "allowed", "came back", scope, but=dead)


async def keep_quiet(tx: Transaction, person: Person, quiet: Quiet | None) -> None:
    """Somebody's own quiet hours; None: as the organization has them."""
    if quiet is None:
        await tx.execute(
            "delete from integration_quiet_hours where contact_id = %s", [person.contact_id]
        )
        return
    await tx.execute(
        "insert into integration_quiet_hours (org_id, contact_id, begins, ends, time_zone)"
        " values (atlvs_org(), %s, %s, %s, %s) on conflict (contact_id) do update set begins = excluded.begins,"
        " ends = excluded.ends, time_zone = excluded.time_zone, updated_at = now()",
        [person.contact_id, quiet.begins, quiet.ends, quiet.time_zone],
    )


async def _write(tx: Transaction, person: Person, wishes: Mapping[Cell, Wish]) -> None:
    cells = sorted(wishes)  # in one order, else two pages of one person wait for each other
    await tx.execute(
        "insert into integration_preferences (org_id, contact_id, category, channel, wanted, digest)"
        " select atlvs_org(), %s, * from unnest(%s::text[], %s::text[], %s::boolean[], %s::text[])"
        " on conflict (contact_id, category, channel) do update set wanted = excluded.wanted,"
        " digest = excluded.digest, updated_at = now()",
        [
            person.contact_id,
            [category for category, _ in cells],
            [channel for _, channel in cells],
            [wishes[cell].wanted for cell in cells],
            [wishes[cell].digest for cell in cells],
        ],
    )


async def _refuse(tx: Transaction, person: Person, words: Words, channel: str, scope: str) -> int:
    """Say it about each address of which it is not the newest word."""
    already = _said(words, channel, scope, "refused")
    return await _say(tx, person, channel, "refused", "unsubscribed", scope, but=already)


async def _say(
    tx: Transaction,
    person: Person,
    channel: str,
    verdict: str,
    reason: str,
    scope: str,
    but: Collection[str] = (),
) -> int:
    words = [
        Word(channel, address, verdict, reason, PAGE, scope, contact_id=person.contact_id)
        for address in person.addresses.get(channel, ())
        if consents.normal(channel, address) not in but
    ]
    return await consents.record(tx, person.org_id, words)


def _said(words: Words, channel: str, scope: str, verdict: str) -> set[str]:
    """Addresses of which this is the newest word."""
    return {
        word["address"]
        for word in _newest(words)
        if (word["channel"], word["scope"], word["verdict"]) == (channel, scope, verdict)
    }


async def _words(tx: Transaction, person: Person) -> Words:
    """The newest words of each scope about each address, newest first: what was texted, and what was
    said elsewhere."""
    pairs = [
        (channel, consents.normal(channel, address))
        for channel, addresses in person.addresses.items()
        for address in addresses
    ]
    cursor = await tx.execute(
        "select * from (select distinct on (channel, address, scope, texted) * from (select channel, address, scope,"
        " verdict, reason, occurred_at, id, source = %(phone)s as texted from integration_consents"
        " where org_id = atlvs_org() and scope = any(%(scopes)s) and (channel, address) in"
        " (select * from unnest(%(channels)s::text[], %(addresses)s::text[]))) as word"
        " order by channel, address, scope, texted, occurred_at desc, id desc) as newest"
        " order by occurred_at desc, id desc",
        {
            "phone": PHONE,
            "channels": [channel for channel, _ in pairs],
            "addresses": [address for _, address in pairs],
            "scopes": [ALL, OPTIONAL, *Category],
        },
    )
    return await cursor.fetchall()


def _newest(words: Words) -> Words:
    """The word that counts about each address and scope."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for word in words:
        found.setdefault((word["channel"], word["address"], word["scope"]), word)
    return list(found.values())


def _standing(channel: str, words: Words) -> Standing:
    """Of several addresses, the one that nothing is sent to is told of; of these, one that could be."""
    about = [
        word for word in words if word["channel"] == channel and word["scope"] in (ALL, OPTIONAL)
    ]
    stopped = any(
        word["texted"] and word["verdict"] == "refused" for word in about if channel == Channel.SMS
    )
    shut = [word for word in _newest(about) if word["verdict"] != "allowed"]
    if not shut:
        return Standing(stopped=stopped)
    dead = {word["address"] for word in shut if word["verdict"] == "unreachable"}
    told = min(shut, key=lambda word: (word["address"] in dead, word["verdict"] != "unreachable"))
    return Standing(told["verdict"], told["reason"], stopped)


async def _wishes(tx: Transaction, person: Person) -> dict[Cell, Wish]:
    cursor = await tx.execute(
        "select category, channel, wanted, case when wanted then digest end as digest"
        " from integration_preferences where contact_id = %s",
        [person.contact_id],
    )
    return {
        (row["category"], row["channel"]): Wish(row["wanted"], row["digest"])
        for row in await cursor.fetchall()
    }


async def _quiet(tx: Transaction, person: Person) -> Quiet | None:
    cursor = await tx.execute(
        "select begins, ends, time_zone from integration_quiet_hours where contact_id = %s",
        [person.contact_id],
    )
    row = await cursor.fetchone()
    return Quiet(**row) if row else None
