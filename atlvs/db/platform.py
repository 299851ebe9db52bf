"""The platform's own tables: which are there, which we may write, and taking existing ones on.

Core tables that we created are ours to secure. Those of an existing platform stay untouched until
`atlvs bootstrap --adopt` gives us rights, row security and triggers on them; `--release` undoes it.
Tables and columns with other names are reached through views in the schema `atlvs_map`, which comes
first on our search path.
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import orjson
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier

from atlvs.db.engine import Transaction
from atlvs.db.schema import TOLD, core_columns, real_name
from atlvs.records import Finding
from atlvs.settings import settings

_writable: WeakKeyDictionary[object, set[str]] = WeakKeyDictionary()


async def writable(tx: Transaction) -> set[str]:
    """Core tables that this role may read and write. Asked once per database connection."""
    if tx not in _writable:
        cursor = await tx.execute(
            "select name from unnest(%s::text[]) as name where to_regclass(name) is not null"
            " and has_table_privilege(to_regclass(name), 'select, insert, update')",
            [list(core_columns())],
        )
        _writable[tx] = {row["name"] for row in await cursor.fetchall()}
    return _writable[tx]


@dataclass(frozen=True)
class CoreTable:
    """One of our core tables and where the platform keeps it."""

    name: str
    real: str
    columns: dict[str, str]  # ours → type
    names: dict[str, str]  # ours → theirs, where they differ

    @property
    def org_column(self) -> str:
        """The platform's column with the organization."""
        ours = "id" if self.name == "organizations" else "org_id"
        return self.names.get(ours, ours)


def core_tables() -> list[CoreTable]:
    """All core tables with their mapping."""
    mapped = settings().tables
    return [
        CoreTable(name, real_name(name), columns, mapped[name].columns if name in mapped else {})
        for name, columns in core_columns().items()
    ]


def adopt(owner_url: str) -> list[Finding]:
    """Take existing tables on: views for other names, rights, row security, triggers. Repeatable."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        created = _created(connection)
        return [_adopted(connection, table) for table in core_tables() if table.real not in created]


def release(owner_url: str) -> list[str]:
    """Undo `adopt`: existing tables are as they were before."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        created = _created(connection)
        released = [
            table
            for table in core_tables()
            if table.real not in created and _columns(connection, table.real)
        ]
        for table in released:
            connection.execute(
                SQL("drop view if exists atlvs_map.{}").format(Identifier(table.name))
            )
            connection.execute("select atlvs_release(%s::regclass)", [table.real])
        return [table.real for table in released]


def findings(owner_url: str) -> list[Finding]:
    """For each core table: taken on, or which features are off without it."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        adopted = {
            row[0]
            for row in connection.execute("select table_name from integration_adoptions").fetchall()
        }
        return [
            Finding(True, f"Table {table.real} is in use.")
            if table.real in adopted
            else Finding(
                False,
                f"Features that need {table.name} are off: {table.real} is not taken on.",
                "As its owner, run: atlvs bootstrap --adopt",
            )
            for table in core_tables()
        ]


def _adopted(connection: Connection[TupleRow], table: CoreTable) -> Finding:
    there = _columns(connection, table.real)
    if not there:
        return Finding(False, f"Table {table.real} does not exist.", "Correct ATLVS_TABLES.")
    try:
        with connection.transaction():
            connection.execute(
                "select atlvs_adopt(%s::regclass, %s, false)", [table.real, table.org_column]
            )
            if table.name == "organizations":
                connection.execute("select atlvs_cross(%s::regclass, 'select')", [table.real])
            if table.name in TOLD:
                names = orjson.dumps(table.names).decode() if table.names else ""
                connection.execute(
                    "select atlvs_tell(%s::regclass, %s, %s)", [table.real, table.name, names]
                )
            lacking = _map(connection, table, there)
    except psycopg.errors.InsufficientPrivilege as error:
        return Finding(
            False,
            f"Features that need {table.name} are off: {error.diag.message_primary}.",
            f"Run atlvs bootstrap --adopt with ATLVS_OWNER_DATABASE_URL of {table.real}'s owner.",
        )
    if lacking:
        return Finding(
            True, f"Table {table.real} is taken on; without {', '.join(lacking)}, which stay empty."
        )
    return Finding(True, f"Table {table.real} is taken on.")


def _map(connection: Connection[TupleRow], table: CoreTable, there: set[str]) -> list[str]:
    """A view in our words, where names differ or columns lack; returns the lacking columns."""
    lacking = [name for name in table.columns if table.names.get(name, name) not in there]
    connection.execute(SQL("drop view if exists atlvs_map.{}").format(Identifier(table.name)))
    if table.names or lacking or table.real != table.name:
        columns = SQL(", ").join(
            _column(name, kind, None if name in lacking else table.names.get(name, name))
            for name, kind in table.columns.items()
        )
        connection.execute(
            SQL(
                "create view atlvs_map.{} with (security_invoker = true) as select {} from public.{}"
            ).format(Identifier(table.name), columns, Identifier(table.real))
        )
        connection.execute(
            SQL("grant select, insert, update, delete on atlvs_map.{} to atlvs_app").format(
                Identifier(table.name)
            )
        )
    return lacking


def _column(name: str, kind: str, theirs: str | None) -> Composed:
    value = Identifier(theirs) if theirs else SQL("null::{}").format(SQL(kind))  # pyright: ignore
    return SQL("{} as {}").format(value, Identifier(name))


def _columns(connection: Connection[TupleRow], table: str) -> set[str]:
    found = connection.execute(
        "select column_name from information_schema.columns where table_schema = 'public' and table_name = %s",
        [table],
    )
    return {row[0] for row in found.fetchall()}


def _created(connection: Connection[TupleRow]) -> set[str]:
    return {
        row[0]
        for row in connection.execute("select table_name from integration_created").fetchall()
    }
