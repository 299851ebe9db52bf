"""Leases: a process's word that it works on some rows, worth as much as its advisory lock. A lease ends
with its process, however that ends, and what was under it can be taken by the next one at once."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from atlvs.db.engine import database
from atlvs.errors import Unavailable


@asynccontextmanager
async def leasing() -> AsyncGenerator[UUID]:
    """A new lease."""
    lease = uuid4()
    async with database().lock(f"lease {lease}") as free:
        if not free:
            raise Unavailable("database", "the lock of a new lease is taken.", retry_after=1)
        yield lease


def dead(table: str) -> str:
    """The leases in a table whose holders have ended; in a transaction, as it takes their locks."""
    return f"""
        select lease from (select distinct lease from {table} where lease is not null) as leases
        where pg_try_advisory_xact_lock(hashtextextended('lease ' || lease, 0))
    """
