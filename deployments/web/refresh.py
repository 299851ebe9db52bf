"""Keeping the sealed copies of blocks as fresh as the Prefect server, whenever it answers."""

import asyncio
import importlib
import importlib.util
import logging

from atlvs.settings import settings

logger = logging.getLogger(__name__)

EVERY = 30.0
PATIENCE = 20.0


async def forever() -> None:
    """Copy blocks into sealed rows again and again; one log line for each change of state."""
    # Without an address Prefect would start a server of its own in here.
    if not settings().prefect_api_url or importlib.util.find_spec("tasks.connections") is None:
        return
    refresh_connections = importlib.import_module("tasks.connections").refresh_connections
    state = "refreshed"
    while True:
        was, state = state, "refreshed"
        try:
            await asyncio.wait_for(refresh_connections(), PATIENCE)
        except Exception as error:  # noqa: BLE001  # Prefect may be away in many ways; we go on
            state = f"kept as they are ({type(error).__name__})"
        if state != was:
            logger.warning("Connections are %s.", state)
        await asyncio.sleep(EVERY)
