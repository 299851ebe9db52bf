"""Finding out what became of messages whose answer got lost, before anything is sent again."""

import asyncio
import logging
from collections import Counter
from typing import Any
from uuid import UUID

from atlvs.db import deliveries
from atlvs.db.engine import database
from atlvs.errors import IntegrationError
from tasks.notify.lines import open_lines
from tasks.notify.senders import sender_for

log = logging.getLogger(__name__)


async def settle(org_id: UUID, channel: str) -> Counter[str]:
    """Ask the provider about deliveries of unknown outcome; counts what they turned out to be."""
    found: Counter[str] = Counter()
    while unknown := await deliveries.unknown(org_id, channel):
        async with open_lines(org_id, [channel]) as lines:
            if channel in lines.closed:
                return found
            try:
                outcomes = await sender_for(channel).look(lines.connectors[channel], unknown)
            except IntegrationError as error:  # asked again later; every time it waits longer
                log.warning("%s cannot be asked: %s", channel, error)
                return found
        async with database().org(org_id) as tx:
            # Meanwhile somebody else may have found it, and sent it again.
            calls = {one.id: one.call_id for one in unknown}
            await deliveries.advance(tx, [one for one in outcomes if one.state != "unknown"], calls)
            await deliveries.doubt(tx, [one for one in outcomes if one.state == "unknown"])
        found.update(one.state for one in outcomes)
    return found


async def settle_all(work: list[dict[str, Any]]) -> Counter[str]:
    """The same for each organization and channel with deliveries of unknown outcome."""
    found: Counter[str] = Counter()
    wanted = [(row["org_id"], row["channel"]) for row in work if row["unknown"]]
    for states in await asyncio.gather(*(settle(*one) for one in wanted)):
        found += states
    return found
