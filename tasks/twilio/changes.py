"""From what Twilio told us to what it means: how deliveries stand, and what numbers want.

Callbacks come in any order and more than once; `advance` goes forward only. They are
signed with all that they say, so nothing has to be asked for again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from atlvs.db import consents, deliveries
from atlvs.db.engine import Transaction
from atlvs.db.inbox import Waiting
from atlvs.records import Connection, Counts, Outcome, Word
from blocks.twilio import Twilio
from tasks.twilio.fates import outcome_of, word_of, word_of_reply
from tasks.twilio.trying import advance

CHANNELS = {"message": "sms", "call": "call"}


@dataclass(frozen=True)
class Told:
    """How a message or call stands, and the delivery that it is of, if its callback named one."""

    sid: str
    status: str
    error: int | None
    at: datetime
    delivery: UUID | None = None


@dataclass
class Changes:
    """What a lane's events tell."""

    told: list[Told] = field(default_factory=list[Told])
    words: list[Word] = field(default_factory=list[Word])

    def update(self, other: "Changes") -> None:
        """Take over what another lane tells."""
        self.told += other.told
        self.words += other.words


async def fetch_changes(_connection: Twilio, events: Sequence[Waiting]) -> Changes | None:
    """What these events of one message or call say; None when they say nothing. Asks nobody."""
    changes = Changes()
    for event in events:
        if event.payload.get("kind") == "reply":
            _take_reply(changes, event)
        elif event.payload.get("kind") in CHANNELS:
            _take_status(changes, event)
    return changes if changes.told or changes.words else None


def _take_reply(changes: Changes, event: Waiting) -> None:
    payload = event.payload
    word = word_of_reply(payload["from"], payload["word"], payload["sid"], event.received_at)
    if word is not None:
        changes.words.append(word)


def _take_status(changes: Changes, event: Waiting) -> None:
    payload: dict[str, Any] = event.payload
    sid, error, given = payload["sid"], payload["error"], payload["delivery"]
    changes.told.append(
        Told(sid, payload["status"], error, event.received_at, UUID(given) if given else None)
    )
    # as of then: a START may have come since
    word = word_of(CHANNELS[payload["kind"]], payload["to"], sid, error, event.received_at)
    if word is not None:
        changes.words.append(word)


async def apply_changes(
    tx: Transaction, connection: Connection, changes: Changes
) -> dict[str, Counts]:
    """Advance the deliveries, and write down what was said of numbers."""
    told = Counts(read=len(changes.told))
    unnamed = [one.sid for one in changes.told if one.delivery is None]
    bound = await deliveries.by_provider_id(tx, connection.id, unnamed) if unnamed else {}
    outcomes = outcomes_of(changes.told, bound)
    told.updated = await advance(tx, outcomes)
    told.unchanged = len(outcomes) - told.updated
    if others := len(changes.told) - len(outcomes):
        told.skip("no delivery of ours", others)
    said = Counts(read=len(changes.words))
    said.created = await consents.record(tx, connection.org_id, changes.words)
    said.unchanged = said.read - said.created
    return {"delivery": told, "consent": said}


def outcomes_of(told: Sequence[Told], bound: dict[str, UUID]) -> list[Outcome]:
    """What was told of deliveries of ours."""
    outcomes: list[Outcome] = []
    for one in told:
        delivery = one.delivery or bound.get(one.sid)
        outcome = outcome_of(delivery, one.sid, one.status, one.error, one.at) if delivery else None
        if outcome is not None:
            outcomes.append(outcome)
    return outcomes
