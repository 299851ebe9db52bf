"""What answers say of a target, beside what they say of their events. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from atlvs.db.hook_queue import Posted
from atlvs.hooks import rest

OUTAGE = 3  # failures in a row after which a success means that an outage is over
# What of the target itself, not of one event, is wrong.
TARGETS_OWN = frozenset(["limited", "failed", "no_answer", "no_connection"])
STOPS = TARGETS_OWN | {"gone"}  # after which nothing more goes out


@dataclass(frozen=True)
class Health:
    """How a target does. `rests`: seconds in which it is not posted to."""

    failures: int
    failing_since: datetime | None
    rests: float | None
    succeeded: bool
    gone: bool
    recovered: bool
    reason: str | None


def heard(row: dict[str, Any], posted: Sequence[Posted], *, stopped: bool) -> Health:
    """How a target does that did as in `row`, and now gave these answers. `stopped`: an earlier one of
    those that were under way together has made it rest; they count as one."""
    outcomes = {one.outcome for one in posted}
    succeeded, trouble = "delivered" in outcomes, bool(outcomes & TARGETS_OWN)
    failures: int = row["failures"]
    recovered = succeeded and not trouble and not stopped and failures >= OUTAGE
    if trouble:
        failures += not stopped
    elif succeeded and not stopped:
        failures = 0
    return Health(
        failures=failures,
        failing_since=None if succeeded else row["failing_since"] or datetime.now(UTC),
        rests=_rest(posted, failures) if trouble else None,
        succeeded=succeeded,
        gone="gone" in outcomes,
        recovered=recovered,
        reason=next((one.error for one in posted if one.error), None),
    )


def _rest(posted: Sequence[Posted], failures: int) -> float:
    """As long as it asks for, else the longer the more often it failed."""
    asked = [one.wait or 0.0 for one in posted if one.outcome == "limited"]
    return max(asked) if asked else rest(max(1, failures))
