"""Reading Twilio's log of messages and calls into the mirror, and deliveries forward by it.

Lists are newest first by creation. They are not filtered by DateSent, which would leave out all that
is not sent yet; the tokens of their pages stay where they are while new messages come. What a
transaction stores and where the next page begins are saved together.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from atlvs.checkpoints import checkpoint
from atlvs.db import bulk, consents, deliveries, syncs
from atlvs.db import twilio as mirror
from atlvs.db.engine import Transaction, database
from atlvs.db.syncs import MOST_MISSING, Sync
from atlvs.db.twilio import KINDS, MESSAGES
from atlvs.errors import Rejected, Unavailable
from atlvs.records import Counts, Outcome, Word
from blocks.twilio import Twilio
from blocks.twilio_webhooks import asked_in, moment
from tasks.policy import retriable, retrying
from tasks.twilio.changes import CHANNELS
from tasks.twilio.fates import outcome_of, word_of, word_of_reply
from tasks.twilio.looking import LISTS
from tasks.twilio.rows import INBOUND, number_in, rows_from
from tasks.twilio.trying import advance

Json = dict[str, Any]
PAGE = 1000
CHUNK = 2000  # rows of one transaction at least
OVERLAP = timedelta(hours=11)  # Twilio goes on trying for ten hours
STALE = timedelta(days=3)  # carriers go on for so long; what has not ended by then never will
MOST_STALE = 500
LAST = "last"  # where nothing follows
TOKEN_GONE = "21481"  # noqa: S105  # an error's number
NOT_FOUND = "20404"
FEW = 10  # so many may always vanish
EVER = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass
class Place:
    """Where a reading is: the next page, and what was seen of the second that it may begin within."""

    next: str = ""
    high: int | None = None  # all that is newer, or of this second and in `seen`, was read
    seen: list[str] = field(default_factory=list[str])


@dataclass
class Reading:
    """One kind read from the newest on, as far as `until` or to the end."""

    connection: Twilio
    kind: str
    sync: Sync | None = None  # a complete reading; None for one of what is new
    until: datetime | None = None
    keeps: bool = True
    moves: bool = True  # whether the next reading may begin where this one began
    counts: Counts = field(default_factory=Counts)
    place: Place = field(default_factory=Place)
    newest: datetime | None = None

    @property
    def stream(self) -> str:
        """The name of its cursor."""
        return f"{'full' if self.sync else 'new'}:{self.kind}"

    async def run(self) -> Counts:
        """Read page by page; store some of them at a time."""
        chunk: list[Json] = []
        asked_at = await database().now()
        while self.place.next != LAST:
            chunk += await self._page()
            checkpoint("twilio.page")
            if len(chunk) >= CHUNK or self.place.next == LAST:
                await self._save(chunk, asked_at)
                chunk, asked_at = [], await database().now()
        return self.counts

    async def _page(self) -> list[Json]:
        path, name = LISTS[self.kind]
        whole = self.connection.path(path)
        query = () if self.place.next else {"PageSize": str(PAGE)}
        page = await retrying()(self.connection.get, self.place.next or whole, query)
        things = page.get(name)
        if not isinstance(things, list):
            raise Unavailable("twilio", f"the answer to {whole} is not a list.")
        self.counts.read += len(things)
        self.place.next = page.get("next_page_uri") or LAST
        times = [at for one in things if (at := made_at(one))]
        self.newest = max([*times, *([self.newest] if self.newest else [])], default=None)
        if self.until and times and min(times) < self.until:
            self.place.next = LAST
        return things

    async def _save(self, things: Sequence[Json], asked_at: datetime) -> None:
        whose = self.connection.connection
        checkpoint("twilio.before-save")
        async with database().org(whose.org_id, source="twilio") as tx:
            self.counts += await store(tx, self.connection, self.kind, things, asked_at)
            if self.sync is not None:
                await self._compare(tx, self.sync, things)
            if self.keeps:
                await self._move(tx)
            else:
                await tx.rollback()
            checkpoint("twilio.in-save")
        checkpoint("twilio.after-save")

    async def _compare(self, tx: Transaction, sync: Sync, things: Sequence[Json]) -> None:
        """Note stored records of the time between this chunk's ends that Twilio no longer has.

        Its oldest second may go on in the next chunk; what is older than all, Twilio may only have
        forgotten.
        """
        dated = [
            (int(at.timestamp()), one["sid"])
            for one in things
            if (at := moment(one.get("date_created")))
        ]
        if not dated:
            return
        low = min(second for second, _ in dated) + 1
        high = self.place.high or int(sync.started_at.timestamp()) + 60
        seen = [*self.place.seen, *(sid for _, sid in dated)]
        if low < high:
            since, until = (datetime.fromtimestamp(second, UTC) for second in (low, high))
            await mirror.note_missing(tx, sync, self.kind, since, until, seen)
        self.place.high = min(low, high)
        self.place.seen = [sid for second, sid in dated if second < low]
        if low >= high:  # the whole chunk is of one second
            self.place.seen = seen

    async def _move(self, tx: Transaction) -> None:
        whose = self.connection.connection
        if self.sync is not None:
            position = {"sync": str(self.sync.id), **vars(self.place)}
            await syncs.move_cursor(tx, whose, self.stream, position)
            done = self.place.next == LAST
            await syncs.save_progress(tx, self.sync, self.kind, [], self.counts, complete=done)
        elif self.place.next == LAST and self.newest and self.moves:
            await syncs.move_cursor(tx, whose, self.stream, {"created": self.newest.isoformat()})


def made_at(one: Json) -> datetime | None:
    """When Twilio made it."""
    return moment(one.get("date_created"))


async def store(
    tx: Transaction, connection: Twilio, kind: str, things: Sequence[Json], asked_at: datetime
) -> Counts:
    """Rows of the mirror, and what they tell of deliveries and numbers."""
    whose = connection.connection
    bound = await deliveries.by_provider_id(tx, whose.id, [one["sid"] for one in things])
    counts = await bulk.upsert(tx, whose, MESSAGES, rows_from(kind, things, asked_at, bound))
    counts.read = 0  # counted when read
    outcomes, words = told_by(kind, things, bound)
    await advance(tx, outcomes)
    await consents.record(tx, whose.org_id, words)
    return counts


def told_by(kind: str, things: Sequence[Json], bound: Any) -> tuple[list[Outcome], list[Word]]:
    """How deliveries stand, and what errors and replies say of numbers."""
    outcomes: list[Outcome] = []
    words: list[Word] = []
    for one in things:
        if one.get("direction") == INBOUND:
            words += filter(None, [word_in(one)])
            continue
        sid, error = one["sid"], number_in(one.get("error_code"))
        at, number = moment(one.get("date_updated")), str(one.get("to") or "")
        if delivery := bound.get(sid):
            counted, status = number_in(one.get("num_segments")) or None, str(one.get("status"))
            outcomes += filter(None, [outcome_of(delivery, sid, status, error, at, counted)])
        # as of then: what the person said since outweighs it
        words += filter(None, [word_of(CHANNELS[kind], number, sid, error, at)])
    return outcomes, words


def word_in(reply: Json) -> Word | None:
    """What somebody asked for in a message to us, should Twilio not have reached us with it. Told twice,
    it is one entry of the ledger; the text stays nowhere."""
    at = moment(reply.get("date_sent")) or made_at(reply)
    asked = asked_in("", str(reply.get("body") or ""))
    return word_of_reply(str(reply.get("from") or ""), asked, reply["sid"], at) if at else None


async def keep(connection: Twilio, kind: str, things: Sequence[Json], asked_at: datetime) -> None:
    """Put what was just made or asked for into the mirror."""
    async with database().org(connection.connection.org_id, source="twilio") as tx:
        await store(tx, connection, kind, things, asked_at)


@retriable("twilio.read_all", "read {kind}")
async def read_all(connection: Twilio, sync: Sync, kind: str) -> Counts:
    """Read one kind whole, or what an earlier try left of it."""
    if sync.finished(kind):
        return syncs.counts_of(sync, kind)
    reading = Reading(connection, kind, sync, counts=syncs.counts_of(sync, kind))
    left = await syncs.read_cursor(connection.connection, reading.stream)
    if left and left.pop("sync") == str(sync.id):
        reading.place = Place(**left)
    try:
        return await reading.run()
    except Rejected as error:
        if error.code != TOKEN_GONE:
            raise
        return await Reading(connection, kind, sync).run()  # the place that it stood at is gone


@retriable("twilio.compare_all", "compare {kind}")
async def compare_all(connection: Twilio, kind: str) -> Counts:
    """Read one kind whole and tell what storing it would change."""
    return await Reading(connection, kind, keeps=False).run()


@retriable("twilio.read_new", "read new {kind}")
async def read_new(
    connection: Twilio, kind: str, since: datetime | None = None, dry_run: bool = False
) -> Counts | None:
    """Read what was made since the last time, and again what may have changed; None without a last time."""
    position = await syncs.read_cursor(connection.connection, f"new:{kind}")
    if since is None and position is None:
        return None
    last = datetime.fromisoformat(position["created"]) if position else None
    begin = since.replace(tzinfo=since.tzinfo or UTC) if since else last or EVER
    joins = last is not None and begin <= last
    reading = Reading(connection, kind, until=begin - OVERLAP, keeps=not dry_run, moves=joins)
    return await reading.run()


async def start_new(connection: Twilio, kind: str, at: datetime) -> None:
    """Let readings of what is new begin where a complete one began."""
    whose = connection.connection
    if await syncs.read_cursor(whose, f"new:{kind}") is None:
        async with database().org(whose.org_id) as tx:
            await syncs.move_cursor(tx, whose, f"new:{kind}", {"created": at.isoformat()})


async def settle_vanished(sync: Sync, kind: str, allow_deletes: bool) -> tuple[Counts, str]:
    """Tombstones for what a complete reading did not find; too many at once wait for a person."""
    gone, _ = await syncs.missing(sync, kind, MESSAGES)
    if not gone:
        return Counts(), ""
    async with database().org(sync.connection.org_id) as tx:
        stored = await mirror.stored(tx, sync.connection.id, kind)
    if len(gone) > max(FEW, MOST_MISSING * stored) and not allow_deletes:
        counts = Counts()
        counts.skip("vanished, held", len(gone))
        return counts, (
            f"{len(gone):,} of {stored:,} {kind} records are no longer at Twilio. Nothing was deleted. "
            "If that is right, run the full sync again with allow_deletes."
        )
    return Counts(deleted=await syncs.delete_missing(sync, kind, MESSAGES, gone)), ""


@retriable("twilio.settle_stale")
async def settle_stale(connection: Twilio, hours: float, dry_run: bool = False) -> Counts:
    """Ask for messages and calls that were sent so long ago and of whose end nobody told."""
    whose, asked_at = connection.connection, await database().now()
    async with database().org(whose.org_id) as tx:
        open_ones = await mirror.unfinished(tx, whose.id, timedelta(hours=hours), STALE, MOST_STALE)
    counts = Counts(read=len(open_ones))
    found = await asyncio.gather(*(_found(connection, one) for one in open_ones))
    for kind in LISTS:
        things = [one for which, one in found if which == kind and one]
        async with database().org(whose.org_id, source="twilio") as tx:
            counts += await store(tx, connection, kind, things, asked_at)
            if dry_run:
                await tx.rollback()
    if gone := sum(one is None for _, one in found):
        counts.skip("no longer at Twilio", gone)
    return counts


async def _found(connection: Twilio, delivery: Json) -> tuple[str, Json | None]:
    kind = KINDS[delivery["channel"]]
    path = LISTS[kind][0].replace(".json", f"/{delivery['provider_id']}.json")
    try:
        return kind, await retrying()(connection.get, connection.path(path))
    except Rejected as error:
        if error.code != NOT_FOUND:
            raise
        return kind, None
