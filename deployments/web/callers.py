"""Who calls the service door, what they may do, and through which connection."""

import asyncio
import math
import re
from time import monotonic
from uuid import UUID

from atlvs.db import api_keys, connections
from atlvs.errors import Misconfigured, Unauthorized
from atlvs.records import ApiKey
from blocks import CONNECTORS
from blocks.base import DEFAULT, Connector
from deployments.web.failures import Failure, later, not_found
from deployments.web.methods import Method

FRESH = 10.0  # seconds that a key is remembered: so long does a revoked one still work
MOST = 10_000
PATIENCE = 8.0
PER_SECOND, BURST = 20.0, 40  # requests of one key, where they are counted
CHALLENGE = {"www-authenticate": "Bearer"}
CONNECTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Callers:
    """API keys of this process's callers."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[ApiKey | None, float]] = {}

    async def authorized(self, header: str | None, method: Method) -> ApiKey:
        """Whose call of a method it is; a Failure when there is no key or it lacks the right."""
        return await self.allowed(
            header, rights_for(method), f"call {method.provider} {method.name}"
        )

    async def allowed(self, header: str | None, rights: set[str], doing: str) -> ApiKey:
        """Whose request it is, if the key has one of these scopes; else a Failure."""
        key = await self._key(header or "")
        if key is None:
            raise Failure(
                401,
                "unauthorized",
                "Send a valid API key as: Authorization: Bearer atlvs_…",
                headers=CHALLENGE,
            )
        if rights.isdisjoint(key.scopes):
            raise Failure(403, "forbidden", f"This key may not {doing}.")
        return key

    async def paced(self, key: ApiKey) -> None:
        """Count one request of the key's; a Failure when there are too many, or it is revoked."""
        try:
            async with asyncio.timeout(PATIENCE):
                wait = await api_keys.take(key.id, PER_SECOND, BURST)
        except TimeoutError:
            raise later("The database did not answer.", None) from None
        if wait == math.inf:
            raise Failure(401, "unauthorized", "This API key is revoked.", headers=CHALLENGE)
        if wait is not None:
            text = f"A key has {PER_SECOND:.0f} requests a second, and {BURST} at once."
            headers = {"retry-after": str(max(1, math.ceil(wait)))}
            raise Failure(429, "rate_limited", text, headers=headers)

    async def _key(self, header: str) -> ApiKey | None:
        scheme, _, text = header.partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text.startswith("atlvs_") or not text.isascii():
            return None
        digest = api_keys.digest(text)
        known = self._known.get(digest)
        if known and monotonic() < known[1]:
            return known[0]
        try:
            async with asyncio.timeout(PATIENCE):
                key = await api_keys.find(text)
        except TimeoutError:
            raise later("The database did not answer.", None) from None
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[digest] = (key, monotonic() + FRESH)
        return key


def rights_for(method: Method) -> set[str]:
    """The scopes of which one is needed."""
    rights = {
        "services",
        f"services:{method.provider}",
        f"services:{method.provider}:{method.name}",
    }
    return rights if method.writes else rights | {"services:read"}


async def connector_for(provider: str, asked: str | None, org_id: UUID) -> Connector:
    """The organization's connection that is asked for, or the one that is meant when none is."""
    name = asked or DEFAULT
    found = await connections.find(provider, name) if CONNECTION_NAME.fullmatch(name) else None
    if found and found[0].org_id == org_id:
        connection, fields = found
        if not connection.enabled:
            raise Unauthorized(provider, f"connection {name!r} is disconnected.")
        return CONNECTORS[provider].assembled(connection, fields)
    if asked:
        raise not_found(f"There is no {provider} connection {asked!r}.")
    return await connector_for(provider, await only_connection(provider, org_id), org_id)


async def only_connection(provider: str, org_id: UUID) -> str:
    """The name of the organization's one connection of a provider."""
    names = [
        connection.name
        for connection in await connections.every(provider)
        if connection.org_id == org_id
    ]
    if not names:
        raise Misconfigured(
            f"There is no {provider} connection. Make one: atlvs connect {provider}"
        )
    if len(names) > 1:
        text = f"Choose a connection with ?connection=: {', '.join(names)}."
        raise Failure(422, "connection_ambiguous", text, "connection")
    return names[0]
