"""What `atlvs check zapier` looks at: keys, the way to us, subscriptions, and whether anybody posts."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from atlvs.db import api_keys, hook_standing
from atlvs.errors import Rejected
from atlvs.records import Finding
from atlvs.settings import settings
from atlvs.targets import checked_target

Row = dict[str, Any]
DRAINER = "Start the drainer: atlvs up, or python -m deployments.drainer"
FAILING = ("active", "disabled")
MOST = 20  # failing subscriptions that are named


async def findings_of(org_id: UUID) -> list[Finding]:
    """Everything."""
    rows = await hook_standing.standing(org_id)
    return [
        await _keys(org_id),
        _reachable(),
        _subscriptions(rows),
        *await _failing(org_id, rows),
        *await _drained(org_id),
        *_loopback(),
    ]


async def _keys(org_id: UUID) -> Finding:
    number = await _number(org_id)
    if not number:
        mend = "Make one: atlvs api-keys create zapier --scope zapier"
        return Finding(False, "No API key has a scope for Zapier.", mend)
    plural = "s have" if number > 1 else " has"
    return Finding(True, f"{number} API key{plural} a scope for Zapier.")


async def has_key(org_id: UUID) -> bool:
    """Whether Zapier was given a key."""
    return bool(await _number(org_id))


async def _number(org_id: UUID) -> int:
    keys = [one for one in await api_keys.every(org_id) if one.revoked_at is None]
    return sum(any(map(is_zapiers, one.scopes)) for one in keys)


def is_zapiers(scope: str) -> bool:
    """Whether a scope lets its key use Zapier's paths."""
    return scope == "zapier" or scope.startswith("zapier:")


def _reachable() -> Finding:
    url = settings().public_base_url
    try:
        checked_target(url)
    except Rejected as error:
        why = error.message.removeprefix("the target ")
        mend = "Set PUBLIC_BASE_URL to the https address at which the web process is public."
        return Finding(False, f"Zapier cannot call {url}: it {why}", mend)
    return Finding(True, f"Zapier calls {url}.")


def _subscriptions(rows: Sequence[Row]) -> Finding:
    if not rows:
        return Finding(True, "Nobody has subscribed to an event yet.")
    states = Counter(row["state"] for row in rows)
    told = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    return Finding(True, f"Subscriptions: {told}.")


async def _failing(org_id: UUID, rows: Sequence[Row]) -> list[Finding]:
    """Those whose target only fails, and those that were given up for it."""
    failing = [row for row in rows if row["failing_since"] and row["state"] in FAILING]
    why = await hook_standing.last_reasons(org_id, [row["id"] for row in failing[:MOST]])
    found = [_trouble(row, row["reason"] or why.get(row["id"])) for row in failing[:MOST]]
    if len(failing) > MOST:
        more = f"{len(failing) - MOST} more subscriptions fail."
        found.append(Finding(False, more, "See all of them: atlvs hooks list"))
    return found


def _trouble(row: Row, reason: str | None) -> Finding:
    name, since = f"{row['event']} to {row['target']}", _minute(row["failing_since"])
    if row["state"] == "disabled":
        text = f"{name} is disabled, failing since {since}"
        mend = f"When its target is mended: atlvs hooks enable {row['id']}"
    else:
        text = f"{name} fails since {since}; {row['waiting']} posts wait"
        mend = f"Mend its target, then try it: atlvs hooks sample {row['id']}"
    return Finding(False, f"{text}: {reason.rstrip('.')}." if reason else f"{text}.", mend)


async def _drained(org_id: UUID) -> list[Finding]:
    """Signs that no drainer runs."""
    late = await hook_standing.backlog(org_id)
    found = [
        Finding(False, f"{what} is due since {_minute(at)}, and nobody takes it up.", DRAINER)
        for what, at in (("A post", late.post), ("An event that is to be told", late.event))
        if at
    ]
    return found or [Finding(True, "Nothing waits for the drainer.")]


def _loopback() -> list[Finding]:
    if not settings().hooks_loopback:
        return []
    text = "Hooks may be posted into this machine (ATLVS_HOOKS_LOOPBACK): for tests only."
    return [Finding(False, text, "Unset ATLVS_HOOKS_LOOPBACK.")]


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
