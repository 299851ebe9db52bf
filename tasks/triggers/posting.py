"""Posting one subscription's events: claimed in their order, signed, at the target's pace.

At least once: an answer that got lost is posted again, under the same id. What a target does to one
event (a 4xx) is that event's trouble, what it does to the connection is everybody's: then it rests.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any
from uuid import UUID

import orjson

from atlvs.checkpoints import checkpoint
from atlvs.db import hook_events, hook_queue, hooks
from atlvs.db.engine import Transaction, database
from atlvs.db.hook_queue import Claimed, Posted
from atlvs.errors import IntegrationError, OutcomeUnknown, Rejected, Unavailable
from atlvs.hooks import GIVEN_UP, LONGEST_REST, next_try, payload, rest, signature
from atlvs.settings import settings
from atlvs.targets import without_address
from blocks import targets
from blocks.wire import retry_after
from tasks.triggers.trouble import tell_owner

log = logging.getLogger(__name__)
IN_FLIGHT = 32
WORTH_IT = 8  # free places for which the queue is asked again
TOGETHER = 0.1  # seconds in which more answers join one writing: at the pace that saves a third
STUBBORN = 60  # tries to write what became of posts, a second apart
OUTAGE = 3  # failures in a row after which a success means that an outage is over
GONE = "its target said 410 Gone"
SHOWN = 300  # characters of an answer in the log
# What of the target itself, not of one event, is wrong.
TARGETS_OWN = frozenset(["limited", "failed", "no_answer", "no_connection"])


async def post_due(
    org_id: UUID, hook_id: UUID, lease: UUID, until: float, done: Counter[str]
) -> None:
    """Post what is due of a subscription, until nothing is or the time is over. Counts outcomes in `done`."""
    async with database().org(org_id) as tx:
        row = await hook_queue.take(tx, hook_id, lease)
    if row is None:
        return
    try:
        await _Posting(row, lease, until, done).run()
    finally:
        with suppress(Unavailable):  # else the lease ends with its process
            async with database().org(org_id) as tx:
                await hook_queue.give_back(tx, hook_id, lease)


class _Posting:
    """One run over a subscription's due events."""

    def __init__(self, row: dict[str, Any], lease: UUID, until: float, done: Counter[str]) -> None:
        self.id, self.org_id, self.lease = row["id"], row["org_id"], lease
        self.url, self.keys = hooks.target_in(row), hooks.keys_in(row)
        self.target_hash: bytes = row["target_hash"]
        self.failures: int = row["failures"]
        self.failing_since: datetime | None = row["failing_since"]
        self.until, self.done = until, done
        self.under_way: set[asyncio.Task[Posted]] = set()
        self.finished: list[Posted] = []
        self.stopped = False  # it rests, or is no more

    async def run(self) -> None:
        """Until nothing is due, the time is over or the target has to rest."""
        try:
            while True:
                await self._round()
                if not self.under_way:
                    return
                await asyncio.wait(self.under_way, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait(self.under_way, timeout=TOGETHER)
                self._collect()
        finally:
            await self._last_words()

    def _collect(self) -> None:
        ended = {task for task in self.under_way if task.done()}
        self.under_way -= ended
        self.finished += [task.result() for task in ended]

    async def _last_words(self) -> None:
        """Whatever went wrong here: what is on its way comes back, and is written."""
        if self.under_way:
            await asyncio.wait(self.under_way)
            self._collect()
        if self.finished:
            async with database().org(self.org_id) as tx:
                await hook_queue.finish(tx, self.finished)

    async def _round(self) -> None:
        """Write what came back, and claim what is next, in one transaction."""
        health = self._health()
        claimed: list[tuple[Claimed, bytes]] = []
        first = 0.0
        for number in range(STUBBORN if self.finished else 1):
            try:
                async with database().org(self.org_id) as tx:
                    await hook_queue.finish(tx, self.finished)
                    await self._note(tx, **health)
                    claimed, first = await self._claim(tx)
                break
            except (
                Unavailable
            ):  # what happened has happened: it is written when the database is back
                if number + 1 >= STUBBORN or not self.finished:
                    raise
                await asyncio.sleep(1)
        self.done.update(one.outcome for one in self.finished)
        self.finished = []
        checkpoint("hooks.written")
        for place, (one, body) in enumerate(claimed):
            at = monotonic() + first + place / settings().hooks_per_second
            self.under_way.add(asyncio.create_task(self._post(one, body, at)))

    async def _claim(self, tx: Transaction) -> tuple[list[tuple[Claimed, bytes]], float]:
        """Events with their bodies, and the seconds until the first may go."""
        free = (1 if self.failures else IN_FLIGHT) - len(self.under_way)
        enough = 1 if self.failures else WORTH_IT
        if self.stopped or monotonic() >= self.until or free < enough:
            return [], 0.0
        pace = settings().hooks_per_second
        claimed = await hook_queue.claim(tx, self.id, self.lease, min(free, max(1, int(pace))))
        if not claimed:
            return [], 0.0
        first = await hook_queue.slots(tx, self.target_hash, len(claimed), pace)
        around = await hook_events.beside(tx, [one.record for one in claimed])
        bodies = [body_of(one, beside) for one, beside in zip(claimed, around, strict=True)]
        return list(zip(claimed, bodies, strict=True)), first

    async def _post(self, one: Claimed, body: bytes, at: float) -> Posted:
        await asyncio.sleep(at - monotonic())
        return await post(one, str(one.event_id), body, self.url, self.keys)

    def _health(self) -> dict[str, Any]:
        """What the answers that came back say of the target."""
        outcomes = {one.outcome for one in self.finished}
        succeeded, gone = "delivered" in outcomes, "gone" in outcomes
        trouble = outcomes & TARGETS_OWN
        recovered = succeeded and not trouble and self.failures >= OUTAGE
        rests = None
        if trouble:
            self.failures += not self.stopped  # what was under way with the first counts as one
            asked = [one.wait or 0.0 for one in self.finished if one.outcome == "limited"]
            rests = max([*asked, 0.0 if asked else rest(self.failures)])
        elif succeeded:
            self.failures = 0
        if succeeded:
            self.failing_since = None
        elif outcomes:
            self.failing_since = self.failing_since or datetime.now(UTC)
        self.stopped = self.stopped or bool(rests) or gone
        reason = next((one.error for one in self.finished if one.error), None)
        return {
            "succeeded": succeeded,
            "gone": gone,
            "rests": rests,
            "recovered": recovered,
            "reason": reason,
        }

    async def _note(
        self,
        tx: Transaction,
        *,
        succeeded: bool,
        gone: bool,
        rests: float | None,
        recovered: bool,
        reason: str | None,
    ) -> None:
        if not self.finished:
            return
        await hook_queue.note_health(
            tx,
            self.id,
            failures=self.failures,
            failing_since=self.failing_since,
            rests=rests,
            succeeded=succeeded,
        )
        if recovered:
            await hook_queue.hurry(tx, self.id)
        if gone:
            await hooks.close(tx, self.id, "gone", GONE)
        elif self.failing_since and datetime.now(UTC) - self.failing_since > GIVEN_UP:
            self.stopped = True
            if await hooks.close(tx, self.id, "disabled", f"only failures for days; {reason}"):
                await tell_owner(tx, self.org_id, self.id, str(reason))


async def post(one: Claimed, id: str, body: bytes, url: str, keys: Sequence[str]) -> Posted:
    """One attempt: signed under this id, sent, and what its answer means."""
    timestamp = int(time())
    headers = {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(id, timestamp, body, keys),
    }
    started, began = datetime.now(UTC), monotonic()
    checkpoint("hooks.posting")
    try:
        answer = await targets.send("POST", url, body, headers)
    except Exception as error:  # noqa: BLE001  # the edge of a post: each failure is recorded
        if not isinstance(error, IntegrationError):
            log.warning("A hook could not be posted: %s", type(error).__name__, exc_info=True)
        posted = failed(one, error)
    else:
        posted = answered(one, answer)
    checkpoint("hooks.answered")
    well = posted.outcome == "delivered"  # then it is not kept
    shown = posted.response if well else without_address(posted.response, url)
    took = (monotonic() - began) * 1000
    return replace(posted, started_at=started, took_ms=took, response=shown)


def body_of(one: Claimed, beside: dict[str, Any]) -> bytes:
    """What is posted of an event."""
    return orjson.dumps(
        payload(
            id=one.event_id,
            type=one.type,
            occurred_at=one.occurred_at,
            org_id=one.org_id,
            record=one.record,
            changed=one.changed,
            beside=beside,
        )
    )


def answered(one: Claimed, answer: targets.Answered) -> Posted:
    """What an answer means. Its times are filled in by the caller."""
    status, wait = answer.status, next_try(one.tries)
    match status:
        case _ if 200 <= status < 300:
            return _posted(one, "delivered", status, response=answer.text)
        case 410:
            return _posted(one, "gone", status, "410 Gone: the subscription ends.", answer.text)
        case 429:
            wait = min(retry_after(answer.headers) or rest(1), LONGEST_REST)
            return _posted(one, "limited", status, "429 Too Many Requests.", answer.text, wait)
        case _ if 300 <= status < 400:
            text = f"{status}: it redirects, which is not followed."
            return _posted(one, "refused", status, text, wait=wait)
        case _ if status < 500 and status != 408:
            return _posted(one, "refused", status, f"The target said {status}.", answer.text, wait)
        case _:
            asked = retry_after(answer.headers) if status == 503 else None
            wait = max(wait, asked) if wait and asked else wait
            return _posted(one, "failed", status, f"The target said {status}.", answer.text, wait)


def failed(one: Claimed, error: Exception) -> Posted:
    """What became of an attempt without an answer."""
    wait = next_try(one.tries)
    text = error.message if isinstance(error, IntegrationError) else type(error).__name__
    match error:
        case Rejected():
            return _posted(one, "refused", error=text, wait=wait)
        case Unavailable():
            return _posted(one, "no_connection", error=text, wait=wait)
        case OutcomeUnknown():
            return _posted(one, "no_answer", error=text, wait=wait)
        case _:
            return _posted(one, "failed", error=text, wait=wait)


def _posted(
    one: Claimed,
    outcome: str,
    status: int | None = None,
    error: str | None = None,
    response: str | None = None,
    wait: float | None = None,
) -> Posted:
    return Posted(
        id=one.id,
        attempt=one.attempts,
        outcome=outcome,
        started_at=one.sending_at,
        took_ms=0.0,
        status=status,
        error=error,
        response=response[:SHOWN] if response else None,
        wait=wait,
    )
