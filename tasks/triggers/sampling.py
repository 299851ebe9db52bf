"""Sending a sample to a subscription: to see that its target answers, without waiting for an event."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson

from atlvs.db import hook_log, hook_queue, hooks
from atlvs.db.engine import database
from atlvs.db.hook_queue import Claimed, Posted
from atlvs.settings import settings
from atlvs.targets import without_address
from tasks.triggers.attempts import post
from tasks.triggers.posting import GONE
from tasks.triggers.samples import samples

REPEATED = "It repeats what it was sent, which is not shown."


@dataclass(frozen=True)
class Sampled:
    """A sample that was sent: under which id, where, and what came of it."""

    id: str
    event: str
    target: str
    outcome: str
    status: int | None
    error: str | None
    response: str | None
    took_ms: float

    @property
    def well(self) -> bool:
        """Whether the target took it."""
        return self.outcome == "delivered"


async def send_sample(org_id: UUID, hook_id: UUID) -> Sampled:
    """Post a sample, once, as an event would be: signed, at the target's pace. It counts neither for
    nor against the target, but one that says 410 is believed. Rejected when the subscription has ended."""
    async with database().org(org_id) as tx:
        row = await hook_log.addressed(tx, hook_id)
        wait = await hook_queue.slots(tx, row["target_hash"], 1, settings().hooks_per_second)
    [payload] = await samples(org_id, row["event"], 1)
    payload["id"] = f"sample-{uuid4()}"
    url, keys = hooks.target_in(row), hooks.keys_in(row)
    await asyncio.sleep(wait)
    posted = await post(_attempt(row, payload), payload["id"], orjson.dumps(payload), url, keys)
    if posted.outcome == "gone":
        async with database().org(org_id) as tx:
            await hooks.close(tx, hook_id, "gone", GONE, begun=row["created_at"])
    return _sampled(row, payload, posted, url)


def _attempt(row: dict[str, Any], payload: dict[str, Any]) -> Claimed:
    """The sample as the sender takes events: one that no queue knows."""
    now = datetime.now(UTC)
    return Claimed(
        id=uuid4(),
        attempts=1,
        tries=1,
        sending_at=now,
        event_id=uuid4(),
        seq=0,
        org_id=row["org_id"],
        type=row["event"],
        occurred_at=now,
        record=payload["data"],
        changed=None,
    )


def _sampled(row: dict[str, Any], payload: dict[str, Any], posted: Posted, url: str) -> Sampled:
    answer = without_address(posted.response, url)
    return Sampled(
        id=payload["id"],
        event=row["event"],
        target=row["shown"],
        outcome=posted.outcome,
        status=posted.status,
        error=posted.error,
        response=REPEATED if answer and _repeats(answer, payload["data"]) else answer,
        took_ms=posted.took_ms,
    )


def _repeats(answer: str, data: Any) -> bool:
    """Whether an answer has anything of the record in it, which may be a person's."""
    if isinstance(data, dict):
        return any(_repeats(answer, value) for value in data.values())
    return isinstance(data, str) and len(data) > 2 and data.casefold() in answer.casefold()
