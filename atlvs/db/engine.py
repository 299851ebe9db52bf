"""Connections to our database, as one of two roles that row security binds.

`Database.org(org_id)` is a transaction that sees one organization's rows. `Database.system()` is a
transaction for the few tables that cross organizations (see migrations/sql/security.sql).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from atlvs.db import embedded
from atlvs.db.foreign import record_in
from atlvs.errors import Unavailable
from atlvs.settings import Settings, settings

Transaction = AsyncConnection[DictRow]
APP, SYSTEM = "atlvs_app", "atlvs_system"
SESSION = (
    "-c search_path=atlvs_map,public -c timezone=UTC -c idle_in_transaction_session_timeout=300000"
)


def owner_url(settings: Settings) -> str:
    """Where migrations run: ATLVS_OWNER_DATABASE_URL, else DATABASE_URL, else the embedded server."""
    given = settings.owner_database_url or settings.database_url
    if given:
        return given.get_secret_value()
    return embedded.ensure_database(embedded.start(settings.data_dir), "atlvs")


def role_conninfo(settings: Settings, role: str) -> str:
    """How the product connects: never as owner or superuser."""
    if settings.database_url is None:
        address = embedded.address(settings.data_dir)
        return make_conninfo(address, dbname="atlvs", user=role, options=SESSION)
    url = settings.database_url.get_secret_value()
    given = str(conninfo_to_dict(url).get("options") or "")
    return make_conninfo(url, options=f"{given} -c role={role} {SESSION}".strip())


class Database:
    """Two small pools, opened on first use, in one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pools: dict[str, AsyncConnectionPool[Transaction]] = {}
        self._clock: tuple[datetime, float] | None = None

    @asynccontextmanager
    async def org(
        self, org_id: UUID, *, source: str = "", events_since: datetime | None = None
    ) -> AsyncGenerator[Transaction]:
        """A transaction that sees one organization. Commits at the end, rolls back on an exception.

        `source` is told in domain events; records older than `events_since` make none.
        """
        async with self._connection(APP) as connection:
            await connection.execute(
                "select set_config('atlvs.org_id', %s, true), set_config('atlvs.source', %s, true),"
                " set_config('atlvs.events_since', %s, true)",
                [str(org_id), source, events_since.isoformat() if events_since else ""],
            )
            yield connection

    @asynccontextmanager
    async def system(self) -> AsyncGenerator[Transaction]:
        """A transaction across organizations, on the tables granted for it."""
        async with self._connection(SYSTEM) as connection:
            yield connection

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncGenerator[bool]:
        """A lock that ends with its process; False when somebody else holds it.

        A session's advisory lock on a connection of its own: no transaction stays open.
        """
        conninfo = await asyncio.to_thread(role_conninfo, self._settings, SYSTEM)
        try:
            connection = await AsyncConnection.connect(conninfo, autocommit=True)
        except psycopg.OperationalError as error:
            raise unavailable(error) from error
        async with connection:
            cursor = await connection.execute(
                "select pg_try_advisory_lock(hashtextextended(%s, 0))", [name]
            )
            row = await cursor.fetchone()
            yield bool(row and row[0])

    async def now(self) -> datetime:
        """The database's clock, which all processes share. Asked every minute, counted on between."""
        if self._clock is None or monotonic() - self._clock[1] > 60:
            async with self.system() as connection:
                row = await (await connection.execute("select clock_timestamp() as now")).fetchone()
            self._clock = (row["now"] if row else datetime.now(UTC), monotonic())
        then, at = self._clock
        return then + timedelta(seconds=monotonic() - at)

    async def notifications(self, *channels: str) -> AsyncIterator[None]:
        """Yields once when listening, then at each NOTIFY. Raises Unavailable when the connection ends."""
        try:
            async with await AsyncConnection.connect(
                role_conninfo(self._settings, SYSTEM), autocommit=True
            ) as connection:
                for channel in channels:
                    await connection.execute(SQL("listen {}").format(Identifier(channel)))
                yield
                async for _ in connection.notifies():
                    yield
        except psycopg.OperationalError as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        """Close the pools; the next use opens new ones."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.close()

    @asynccontextmanager
    async def _connection(self, role: str) -> AsyncGenerator[Transaction]:
        try:
            pool = self._pools.get(role) or await self._open(role)
            async with pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise Unavailable("database", await self._why(role), retry_after=2) from error
        except psycopg.errors.ProgramLimitExceeded:  # too much was asked for: the database is well
            raise
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise unavailable(error) from error

    async def _why(self, role: str) -> str:
        """What PostgreSQL says to a new connection; its text names host, role and database only."""
        try:
            conninfo = await asyncio.to_thread(role_conninfo, self._settings, role)
            async with await AsyncConnection.connect(conninfo, connect_timeout=3):
                return "all connections of this process are in use."
        except psycopg.OperationalError as error:
            return f"PostgreSQL cannot be reached: {error}"

    async def _open(self, role: str) -> AsyncConnectionPool[Transaction]:
        conninfo = await asyncio.to_thread(role_conninfo, self._settings, role)
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            conninfo,
            min_size=0,
            max_size=8,
            timeout=10,
            open=False,
            check=AsyncConnectionPool.check_connection,  # a restart of PostgreSQL costs nobody a try
            configure=_reading,
            kwargs={"row_factory": dict_row},
        )
        if role in self._pools:  # somebody was quicker while we looked the address up
            return self._pools[role]
        self._pools[role] = pool
        await pool.open()
        return pool


async def _reading(connection: Transaction) -> None:
    """The platform's JSON may hold what would fail to be read."""
    set_json_loads(record_in, connection)


def unavailable(error: Exception) -> Unavailable:
    """A lost database as one of our errors. Its own message may hold row values: only its kind is told."""
    return Unavailable(
        "database", f"PostgreSQL did not answer ({type(error).__name__}).", retry_after=2
    )


_databases: WeakKeyDictionary[asyncio.AbstractEventLoop, Database] = WeakKeyDictionary()


def database() -> Database:
    """The database of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _databases:
        _databases[loop] = Database(settings())
    return _databases[loop]
