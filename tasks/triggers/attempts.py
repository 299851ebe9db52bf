"""One attempt to post an event: its body, how it is signed and sent, and what its answer means."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any

import orjson

from atlvs.checkpoints import checkpoint
from atlvs.db.hook_queue import Claimed, Posted
from atlvs.errors import IntegrationError, OutcomeUnknown, Rejected, Unavailable
from atlvs.hooks import LONGEST_REST, next_try, payload, rest, signature
from atlvs.targets import without_address
from blocks import targets
from blocks.wire import retry_after

log = logging.getLogger(__name__)
SHOWN = 300  # characters of an answer in the log
UNWRITABLE = "the record cannot be written as JSON"


def bodies(
    claimed: Sequence[Claimed], around: Sequence[dict[str, Any]]
) -> tuple[list[tuple[Claimed, bytes]], list[Posted]]:
    """What is posted of events; those of which nothing can be made are dead, and hold up no other."""
    made: list[tuple[Claimed, bytes]] = []
    dead: list[Posted] = []
    for one, beside in zip(claimed, around, strict=True):
        try:
            made.append((one, body_of(one, beside)))
        except Exception as error:  # noqa: BLE001  # somebody's data: nested too deep, say
            log.warning("Event %s: %s (%s).", one.event_id, UNWRITABLE, type(error).__name__)
            dead.append(_posted(one, "failed", error=f"{UNWRITABLE}."))
    return made, dead


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
        claimed_at=one.sending_at,
        outcome=outcome,
        started_at=one.sending_at,
        took_ms=0.0,
        status=status,
        error=error,
        response=response[:SHOWN] if response else None,
        wait=wait,
    )
