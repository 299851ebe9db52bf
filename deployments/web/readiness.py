"""Whether this process could take a webhook now, and what is missing if not."""

import asyncio

import psycopg

from atlvs.crypto import key_ring
from atlvs.db import connections
from atlvs.errors import Misconfigured, Unavailable
from atlvs.settings import settings

PATIENCE = 2.0


async def missing() -> list[str]:
    """What is missing, in words; empty when ready."""
    found: list[str] = []
    try:
        key_ring(settings())
    except Misconfigured as error:
        found.append(str(error))
    try:
        async with asyncio.timeout(PATIENCE):
            await connections.every("none")
    except TimeoutError:
        found.append(
            f"The database did not answer within {PATIENCE:.0f} seconds. "
            "Is it running, and was atlvs bootstrap run?"
        )
    except Unavailable as error:
        found.append(error.message)
    except psycopg.errors.UndefinedTable:
        found.append("The database has no tables yet. Run: atlvs bootstrap")
    except psycopg.Error as error:
        found.append(f"The database refuses to be read ({type(error).__name__}).")
    return found
