"""One run at a time."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from atlvs.db.engine import database
from atlvs.errors import Unavailable
from blocks.base import Connector


@asynccontextmanager
async def alone(connector: Connector, kind: str) -> AsyncGenerator[None]:
    """One sync of a kind per connection; a second one is told so. Ends with the process."""
    connection = connector.connection
    async with database().lock(f"{connector.slug} {kind} {connection.id}") as free:
        if not free:
            raise Unavailable(
                connector.slug,
                f"a {kind} sync of {connection.name!r} is running already. Wait for it.",
            )
        yield
