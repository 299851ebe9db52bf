"""Pausing the Zaps of subscriptions that we ended: Zapier takes a DELETE of the target for that
(https://docs.zapier.com/platform/build/hook-trigger, "reverse unsubscribe")."""

import asyncio
from typing import Any
from uuid import UUID

from atlvs.db import hook_farewells, hooks
from atlvs.db.engine import database
from atlvs.errors import IntegrationError, Rejected
from atlvs.hooks import TRIES, jittered
from blocks import targets

AT_ONCE = 32
DONE = (404, 405, 410)  # there is nothing to pause


async def say_farewells() -> int:
    """Tell the targets that wait for it; returns how many were told. Tried again over days."""
    said = 0
    for org_id in await hook_farewells.organizations():
        async with database().org(org_id) as tx:
            leaving = await hook_farewells.waiting(tx)
        for start in range(0, len(leaving), AT_ONCE):
            some = leaving[start : start + AT_ONCE]
            said += sum(await asyncio.gather(*(_say(org_id, row) for row in some)))
    return said


async def _say(org_id: UUID, row: dict[str, Any]) -> bool:
    number = row["farewells"]
    done = await _said(hooks.target_in(row)) or number >= len(TRIES)
    async with database().org(org_id) as tx:
        await hook_farewells.said(tx, row["id"], None if done else jittered(TRIES[number]))
    return done


async def _said(url: str) -> bool:
    """Whether nothing is to be tried again."""
    try:
        answer = await targets.send("DELETE", url, b"", {})
    except Rejected:
        return True
    except IntegrationError:
        return False
    return answer.status < 300 or answer.status in DONE
