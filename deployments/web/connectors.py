"""Opened connectors of this process, kept for half a minute each."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from atlvs.db import connections
from atlvs.errors import Misconfigured, Unavailable
from blocks import CONNECTORS
from blocks.base import Connector

logger = logging.getLogger(__name__)

FRESH = 30.0  # seconds; an older one still serves while it is looked up again
UNKNOWN = 2.0  # seconds that a name without a connection is remembered
MOST = 1_000  # names remembered
PATIENCE = 8.0
MOST_LOOKUPS = 64

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Looked:
    """What a lookup found, and until when it need not be repeated."""

    connector: Connector | None
    until: float


class Connectors:
    """Connectors by provider and connection name."""

    def __init__(self) -> None:
        self._looked: dict[Key, Looked] = {}
        self._lookups: dict[Key, asyncio.Task[Connector | None]] = {}

    async def get(self, provider: str, name: str) -> Connector | None:
        """The connector, or None when there is no such connection, or it is disconnected."""
        known = self._looked.get((provider, name))
        if known and monotonic() < known.until:
            return known.connector
        if known and known.connector:
            with suppress(Unavailable):
                self._lookup((provider, name))
            return known.connector
        lookup = self._lookup((provider, name))
        try:
            return await asyncio.wait_for(asyncio.shield(lookup), PATIENCE)
        except TimeoutError as error:
            raise Unavailable("database", "the connection could not be looked up.") from error

    def forget(self) -> None:
        """Look everything up again: what we knew proved wrong."""
        self._looked.clear()

    async def close(self) -> None:
        """End the lookups under way."""
        lookups = list(self._lookups.values())
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)

    def _lookup(self, key: Key) -> asyncio.Task[Connector | None]:
        """The one lookup of this name that is under way."""
        if key not in self._lookups:
            if len(self._lookups) >= MOST_LOOKUPS:
                raise Unavailable("database", "too many connections are being looked up.")
            self._lookups[key] = asyncio.create_task(self._look(*key))
            self._lookups[key].add_done_callback(lambda lookup: self._ended(key, lookup))
        return self._lookups[key]

    def _ended(self, key: Key, lookup: asyncio.Task[Connector | None]) -> None:
        del self._lookups[key]
        error = None if lookup.cancelled() else lookup.exception()
        if isinstance(error, Misconfigured):
            self._looked.pop(key, None)  # the next request asks, and is told why
        elif error:
            logger.warning("connection %s/%s keeps its last state: %s", *key, type(error).__name__)

    async def _look(self, provider: str, name: str) -> Connector | None:
        connector = await looked_up(provider, name)
        if len(self._looked) >= MOST:
            self._looked.clear()
        until = monotonic() + (FRESH if connector else UNKNOWN)
        self._looked[provider, name] = Looked(connector, until)
        return connector


async def looked_up(provider: str, name: str) -> Connector | None:
    """The connector from our sealed copy, without asking Prefect."""
    found = await connections.find(provider, name)
    if found is None or not found[0].enabled:
        return None
    return CONNECTORS[provider].assembled(*found)
