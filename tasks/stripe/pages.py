"""Reading an account whole: pages of 100, newest first, from many time ranges at once.

One cursor reads 667 records a second at 150 ms a call, whatever the code. So a stream is cut into
time ranges, read by several readers under the account's shared limit; a reader that finds none left
takes half of the largest. What a transaction stores and what is left to read are saved together: a
killed run goes on where its last transaction ended.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from atlvs.checkpoints import checkpoint
from atlvs.db import connections, syncs
from atlvs.db.engine import database
from atlvs.db.stripe import MIRRORS, store
from atlvs.db.syncs import MOST_MISSING, Piece, Range, Sync
from atlvs.errors import Rejected, Unavailable
from atlvs.records import Counts
from blocks.stripe import Stripe
from tasks.policy import retriable, retrying
from tasks.stripe.rows import Row, rows_from

Json = dict[str, Any]
READERS = 24
PAGE = 100
CHUNK = 2_000  # rows of one transaction at least; what arrives meanwhile joins the next
FEW = 10  # so many may always vanish
STRIPE_BEGAN = 1_293_840_000  # 2011-01-01: nothing is older


@dataclass(frozen=True)
class Stream:
    """One list of Stripe. `may_vanish`: its objects can be deleted without a trace in lists."""

    kind: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    may_vanish: bool = False


STREAMS = {
    stream.kind: stream
    for stream in (
        Stream("customer", "/v1/customers", may_vanish=True),
        Stream("product", "/v1/products", may_vanish=True),
        Stream("price", "/v1/prices", may_vanish=True),
        Stream("subscription", "/v1/subscriptions", (("status", "all"),)),
        Stream("invoice", "/v1/invoices", may_vanish=True),
        Stream("invoice_payment", "/v1/invoice_payments"),
        Stream("charge", "/v1/charges"),
        Stream("refund", "/v1/refunds"),
        Stream("dispute", "/v1/disputes"),
        Stream("checkout.session", "/v1/checkout/sessions"),
        # after all that tells what a payment is for and what came back of it
        Stream("payment_intent", "/v1/payment_intents"),
        Stream("balance_transaction", "/v1/balance_transactions"),
        Stream("payout", "/v1/payouts"),
    )
}


@dataclass
class Reader:
    """One range being read: where its next page begins, and what it saw since the last save."""

    range: Range
    after: str | None = None
    complete_from: int = 0  # everything at or after this second, below the last save's, was seen
    seen: list[tuple[int, str]] = field(default_factory=list)
    page_seconds: int = 0  # how much time the last page covered

    @property
    def left(self) -> bool:
        """Whether there is more to read."""
        return self.range.until > self.range.since


@dataclass
class Sweep:
    """The complete reading of one stream."""

    connection: Stripe
    sync: Sync
    stream: Stream
    keeps: bool = True  # False: a dry run, each chunk is rolled back
    counts: Counts = field(default_factory=Counts)
    readers: list[Reader] = field(default_factory=list)
    _rows: list[Row] = field(default_factory=list)
    _saving: asyncio.Lock = field(default_factory=asyncio.Lock)
    _free: list[Reader] = field(default_factory=list)
    _idle: int = 0

    async def run(self) -> Counts:
        """Read what is left, store it, and tell what was done."""
        left = await syncs.ranges(self.sync, self.stream.kind)
        self.counts += syncs.counts_of(self.sync, self.stream.kind)
        if left:
            self.readers = [Reader(one, complete_from=one.until) for one in left]
        else:
            await self._begin()
        self._free = [reader for reader in self.readers if reader.left]
        await self._read_all()
        await self._save(complete=True)
        return self.counts

    async def _begin(self) -> None:
        """Read the newest page; cut what is before it into pieces that double towards the past."""
        until = int(self.sync.started_at.timestamp()) + 60
        newest = Reader(Range(uuid4(), STRIPE_BEGAN, until), complete_from=until)
        self.readers = [newest]
        await self._page(newest)
        span = max(60, 4 * (until - newest.range.until))
        edge = newest.range.until - span
        if newest.left and edge > STRIPE_BEGAN:
            newest.range.since = edge
        while newest.left and edge > STRIPE_BEGAN:
            span, until = span * 2, edge
            edge = max(STRIPE_BEGAN, edge - span)
            self.readers.append(Reader(Range(uuid4(), edge, until), complete_from=until))

    async def _read_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(READERS if self._free else 0):
                    group.create_task(self._work())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the others were cancelled for it

    async def _work(self) -> None:
        while reader := await self._next():
            while reader.left:
                await self._page(reader)
                if self._idle and not self._free:
                    self._split(reader)
            await self._save_if_full()

    async def _next(self) -> Reader | None:
        """A range to read; waits while others may still give some away."""
        self._idle += 1
        try:
            while not self._free:
                if self._idle >= READERS or not self._left():
                    return None
                await asyncio.sleep(0.01)
            return self._free.pop()
        finally:
            self._idle -= 1

    def _left(self) -> bool:
        return any(one.left for one in self.readers)

    def _split(self, reader: Reader) -> None:
        """Give the older half of a range away."""
        since, until = reader.range.since, reader.range.until
        if until - since < max(4, reader.page_seconds):  # one page more, by the look of it
            return
        middle = (since + until) // 2
        reader.range.since = middle
        older = Reader(Range(uuid4(), since, middle), complete_from=middle)
        self.readers.append(older)
        self._free.append(older)

    async def _page(self, reader: Reader) -> None:
        """Read one page into the buffer and move the range's upper end below it."""
        asked_at = await database().now()
        # Nothing here holds on to the page while it waits: so many readers' pages are large.
        self._take(reader, await self._fetch(reader), asked_at)
        checkpoint("sync.page")
        await self._save_if_full()

    def _take(self, reader: Reader, page: Json, asked_at: datetime) -> None:
        since = reader.range.since  # may have risen while the page was fetched
        objects: Sequence[Json] = page["data"]
        self._rows += rows_from(self.stream.kind, objects, asked_at)
        self.counts.read += len(objects)
        if self.stream.may_vanish:
            reader.seen += [(one["created"], one["id"]) for one in objects]
        if not page["has_more"] or not objects or objects[-1]["created"] < since:
            reader.range.until = since
        else:
            # The second of the last object may hold more: it stays in the range.
            reader.range.until = min(reader.range.until, objects[-1]["created"] + 1)
            reader.after = objects[-1]["id"]
            reader.page_seconds = objects[0]["created"] - objects[-1]["created"]

    async def _fetch(self, reader: Reader) -> Json:
        try:
            return await retrying()(self._get, reader)
        except Rejected as error:
            if error.code != "resource_missing" or reader.after is None:
                raise
            reader.after = None  # the object that the page was to follow is gone: ask by time
            return await retrying()(self._get, reader)

    async def _get(self, reader: Reader) -> Json:
        query: dict[str, str | int] = dict(self.stream.query) | {
            "limit": PAGE,
            "created[gte]": reader.range.since,
            "created[lt]": reader.range.until,
        }
        if reader.after:
            query["starting_after"] = reader.after
        page = await self.connection.get(self.stream.path, urlencode(query, safe="[]"))
        if page.get("object") != "list":
            raise Unavailable("stripe", f"the answer to {self.stream.path} is not a list.")
        return page

    async def _save_if_full(self) -> None:
        # While one chunk is stored, the next is read, but not a third.
        if len(self._rows) < (2 * CHUNK if self._saving.locked() else CHUNK):
            return
        async with self._saving:
            if len(self._rows) >= CHUNK:
                await self._save(complete=False)

    async def _save(self, *, complete: bool) -> None:
        """Store the buffer and what is left to read, in one transaction."""
        rows, self._rows = self._rows, []
        left = [
            Range(one.range.id, one.range.since, one.range.until)
            for one in self.readers
            if one.left
        ]
        pieces = self._complete_pieces()
        vanished = pieces if self.stream.may_vanish and self.keeps else []
        done = replace(self.counts, skipped=dict(self.counts.skipped))
        whose, kind = self.connection.connection, self.stream.kind
        checkpoint("sync.before-save")
        async with database().org(
            whose.org_id, source="stripe", events_since=whose.created_at
        ) as tx:
            stored = await store(tx, whose, {kind: rows})
            counts = replace(stored[kind], read=0)  # counted when read
            done += counts
            if vanished:
                await syncs.note_missing(tx, self.sync, kind, MIRRORS[kind], vanished)
            if self.keeps:
                await syncs.save_progress(tx, self.sync, kind, left, done, complete=complete)
            else:
                await tx.rollback()
            checkpoint("sync.in-save")
        self.counts += counts
        # One that came to its end during this save is still to be looked through for vanished records.
        self.readers = [
            one for one in self.readers if one.left or one.complete_from > one.range.since
        ]
        checkpoint("sync.after-save")

    def _complete_pieces(self) -> list[Piece]:
        """Pieces of time that were read whole since the last save."""
        pieces: list[Piece] = []
        for reader in self.readers:
            low = reader.range.until if reader.left else reader.range.since
            if low < reader.complete_from:
                # complete_from was the range's end, or a second that is read whole by now
                seen = [key for created, key in reader.seen if low <= created]
                pieces.append(Piece(low, reader.complete_from, seen))
                reader.seen = [(at, key) for at, key in reader.seen if at < low]
                reader.complete_from = low
        return pieces


@dataclass
class Vanished:
    """What came of records that a complete reading did not find."""

    counts: Counts
    notes: list[str] = field(default_factory=list)


@retriable("stripe.read_stream", "read {kind}")
async def read_stream(connection: Stripe, sync: Sync, kind: str) -> Counts:
    """Read one kind of record whole, or what an earlier try left of it."""
    if sync.finished(kind):
        return syncs.counts_of(sync, kind)
    return await Sweep(connection, sync, STREAMS[kind]).run()


@retriable("stripe.compare_stream", "compare {kind}")
async def compare_stream(connection: Stripe, kind: str) -> Counts:
    """Read one kind of record whole and tell what storing it would change."""
    unkept = Sync(uuid4(), connection.connection, await database().now(), {}, resumed=False)
    return await Sweep(connection, unkept, STREAMS[kind], keeps=False).run()


async def settle_vanished(sync: Sync, kind: str, allow_deletes: bool) -> Vanished:
    """Tombstones for what a complete reading did not find; too many at once wait for a person."""
    gone, stored = await syncs.missing(sync, kind, MIRRORS[kind])
    if len(gone) > max(FEW, MOST_MISSING * stored) and not allow_deletes:
        counts = Counts()
        counts.skip("vanished, held", len(gone))
        note = (
            f"{len(gone):,} of {stored:,} {kind} records are no longer in Stripe. Nothing was deleted. "
            "If that is right, run the full sync again with allow_deletes."
        )
        return Vanished(counts, [note])
    if not gone:
        return Vanished(Counts())
    return Vanished(Counts(deleted=await syncs.delete_missing(sync, kind, MIRRORS[kind], gone)))


async def bind_account(connection: Stripe) -> None:
    """Make sure that the key is of the account and mode that this connection mirrors."""
    account = await retrying()(connection.get, "/v1/account")
    await connections.bind(connection.connection, account["id"], connection.livemode)
