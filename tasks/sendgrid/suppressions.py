"""Our copy of SendGrid's lists, and what they mean for the consent ledger, both ways.

Who is on a list is told to the ledger; who is taken off it at SendGrid may be written to again, unless
another list or the person's own word says otherwise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from atlvs.checkpoints import checkpoint
from atlvs.db import consents
from atlvs.db.bulk import mark_deleted, upsert
from atlvs.db.engine import Transaction, database
from atlvs.db.sendgrid import SUPPRESSIONS, on_list
from atlvs.db.syncs import MOST_MISSING
from atlvs.records import Counts, Word
from blocks.sendgrid import SendGrid
from tasks.policy import retriable
from tasks.sendgrid.lists import (
    GROUP,
    LISTS,
    Entry,
    entries_since,
    hashed,
    members,
)

FEW = 10  # so many may always vanish
CHUNK = 2_000
Known = dict[str, float]  # address → when it came onto the list


@dataclass
class Reading:
    """What was read of one list, and what came of it."""

    counts: Counts = field(default_factory=Counts)
    notes: list[str] = field(default_factory=list[str])


@retriable("sendgrid.read_list", "read {name}")
async def read_list(
    connector: SendGrid,
    name: str,
    since: int | None = None,
    allow_deletes: bool = False,
    dry_run: bool = False,
) -> Reading:
    """Read one list into our copy: all of it, or what was added since then."""
    known, now = await on_list(connector.connection, name), await database().now()
    if name.startswith(GROUP):
        entries, since = await members(connector, name, known, round(now.timestamp(), 3)), None
    else:
        entries = [one async for page in entries_since(connector, name, since) for one in page]
    checkpoint("suppressions.read")
    found = {one.email: one for one in reversed(entries)}
    update = Update(connector, name, known, found, complete=since is None, fetched_at=now)
    return await update.stored(allow_deletes, dry_run)


@dataclass
class Update:
    """One list as it was and as it is."""

    connector: SendGrid
    name: str
    known: Known
    found: dict[str, Entry]
    complete: bool
    fetched_at: datetime

    async def stored(self, allow_deletes: bool, dry_run: bool) -> Reading:
        """Rows and words, in one transaction."""
        whose, reading = self.connector.connection, Reading()
        gone = sorted(set(self.known) - set(self.found)) if self.complete else []
        if len(gone) > max(FEW, MOST_MISSING * len(self.known)) and not allow_deletes:
            reading.notes.append(self._held(gone))
            reading.counts.skip("vanished, held", len(gone))
            gone = []
        others = await other_lists(self.connector, self.name) if gone else {}
        async with database().org(whose.org_id) as tx:
            await self._rows(tx, reading.counts)
            await consents.record(tx, whose.org_id, self._told())
            await self._let_go(tx, gone, others, reading.counts)
            checkpoint("suppressions.in-store")
            if dry_run:
                await tx.rollback()
        return reading

    async def _rows(self, tx: Transaction, counts: Counts) -> None:
        rows = [one.row(self.fetched_at) for one in self.found.values()]
        for start in range(0, len(rows), CHUNK):
            counts += await upsert(
                tx, self.connector.connection, SUPPRESSIONS, rows[start : start + CHUNK]
            )

    def _told(self) -> list[Word]:
        """Words about who is new on the list."""
        new = [one for one in self.found.values() if self.known.get(one.email) != one.created]
        return [
            word
            for one in new
            for word in words_about(self.connector, self.name, one.email, one.created)
        ]

    async def _let_go(
        self, tx: Transaction, gone: Sequence[str], others: dict[str, Known], counts: Counts
    ) -> None:
        """Who is no longer on the list."""
        whose = self.connector.connection
        keys = [f"{self.name}:{email}" for email in gone]
        counts.deleted += await mark_deleted(tx, SUPPRESSIONS, keys, whose) if keys else 0
        words: list[Word] = []
        for email in gone:
            mark = f"left:{self.name}:{hashed(email)}:{self.known[email]}"
            free = free_scopes(self.connector, self.name, email, others)
            words += await words_off(tx, free, email, mark, "sendgrid")
        await consents.record(tx, whose.org_id, words)

    def _held(self, gone: Sequence[str]) -> str:
        return (
            f"{len(gone):,} of {len(self.known):,} addresses are no longer on the list {self.name}. "
            "Nothing was deleted. If that is right, run the full sync again with allow_deletes."
        )


def scopes(connector: SendGrid, name: str) -> list[str]:
    """What the addresses of a list do not get."""
    if name.startswith(GROUP):
        return connector.scopes_of(int(name.removeprefix(GROUP)))
    return ["all"] if LISTS[name] else []


def words_about(connector: SendGrid, name: str, email: str, created: float) -> list[Word]:
    """What being on a list says, once for each time that an address gets there."""
    verdict, reason = LISTS.get(name) or ("refused", "unsubscribe")
    return [
        Word(
            "email",
            email,
            verdict,
            reason,
            "sendgrid",
            scope=scope,
            event_id=f"{name}:{hashed(email)}:{created}:{scope}",
            occurred_at=datetime.fromtimestamp(created, UTC),
        )
        for scope in scopes(connector, name)
    ]


async def words_off(
    tx: Transaction, free: Sequence[str], email: str, mark: str, source: str
) -> list[Word]:
    """What being taken off a list says in these scopes: nothing where the person refused elsewhere."""
    said = await consents.history(tx, "email", email) if free else []
    return [
        Word("email", email, "allowed", "taken off the list", source, scope, f"{mark}:{scope}")
        for scope in free
        if not refused_elsewhere([word for word in said if word["scope"] == scope])
    ]


def free_scopes(connector: SendGrid, name: str, email: str, others: dict[str, Known]) -> list[str]:
    """What an address that leaves a list may get again: no other list speaks of it."""
    bound = {
        scope
        for other, known in others.items()
        if email in known
        for scope in scopes(connector, other)
    }
    return [scope for scope in scopes(connector, name) if scope not in bound]


def refused_elsewhere(said: Iterable[dict[str, object]]) -> bool:
    """Whether the newest word that is not SendGrid's is a refusal; newest first."""
    own = next((word for word in said if word["source"] != "sendgrid"), None)
    return own is not None and own["verdict"] != "allowed"


async def other_lists(connector: SendGrid, name: str) -> dict[str, Known]:
    """Who is on the other lists whose addresses get no mail."""
    groups = {*connector.unsubscribe_groups.values(), connector.unsubscribe_group} - {None}
    names = [*(one for one in LISTS if LISTS[one]), *(f"{GROUP}{one}" for one in groups)]
    return {other: await on_list(connector.connection, other) for other in names if other != name}
