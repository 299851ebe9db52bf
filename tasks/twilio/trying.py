"""Messages that failed for now: tried again where no other channel stands behind them."""

from collections.abc import Sequence
from dataclasses import replace

from atlvs.db import deliveries, resending
from atlvs.db.engine import Transaction
from atlvs.records import Outcome
from tasks.twilio.fates import later
from tasks.twilio.rows import number_in


async def advance(tx: Transaction, outcomes: Sequence[Outcome]) -> int:
    """Write what became of deliveries; what may work later waits for that instead of having failed."""
    passing = [one for one in outcomes if _wait(one, 1)]
    moved = await deliveries.advance(tx, [one for one in outcomes if one not in passing])
    tries = await resending.tries(tx, passing) if passing else {}
    return moved + await deliveries.advance(
        tx, [_again(one, tries.get(one.delivery, 0)) for one in passing]
    )


def _wait(one: Outcome, attempts: int) -> float | None:
    failed = one.state in deliveries.FAILURES
    return later(number_in(one.code), attempts) if failed and attempts else None


def _again(one: Outcome, attempts: int) -> Outcome:
    wait = _wait(one, attempts)
    return replace(one, state="queued", retry_after=wait) if wait else one
