"""Pausing the Zaps of subscriptions that we ended: Zapier takes a DELETE of the target for that
(https://docs.zapier.com/platform/build/hook-trigger, "reverse unsubscribe")."""

from atlvs.db import hooks
from atlvs.db.engine import database
from atlvs.errors import IntegrationError, Rejected
from atlvs.hooks import TRIES, jittered
from blocks import targets

DONE = (404, 405, 410)  # there is nothing to pause


async def say_farewells() -> int:
    """Tell the targets that wait for it; returns how many were told. Tried again over days."""
    said = 0
    for org_id in await hooks.farewell_organizations():
        async with database().org(org_id) as tx:
            leaving = await hooks.farewells(tx)
        for row in leaving:
            number = row["farewells"]
            done = await _said(hooks.target_in(row)) or number >= len(TRIES)
            async with database().org(org_id) as tx:
                await hooks.said_farewell(tx, row["id"], None if done else jittered(TRIES[number]))
            said += done
    return said


async def _said(url: str) -> bool:
    """Whether nothing is to be tried again."""
    try:
        answer = await targets.send("DELETE", url, b"", {})
    except Rejected:
        return True
    except IntegrationError:
        return False
    return answer.status < 300 or answer.status in DONE
