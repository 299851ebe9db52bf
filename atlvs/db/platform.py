"""The platform's own tables: which are there, which we may write, and taking existing ones on.

Core tables that we created are ours to secure. Those of an existing platform stay untouched until
`atlvs bootstrap --adopt` gives us rights, row security and triggers on them; `--release` undoes it.
Tables and columns with other names are reached through views in the schema `atlvs_map`, which comes
first on our search path.
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier

from atlvs.db.core import core_columns
from atlvs.db.engine import Transaction
from atlvs.db.schema import TOLD, check_names, in_public, real_name, told_columns
from atlvs.records import Finding
from atlvs.settings import settings

# Columns that integrations write: a table without one of them is left alone.
WRITTEN = {
    "invoices": {"status", "amount_paid_cents", "paid_at", "number", "updated_at"},
    "registrations": {"status", "payment_status", "updated_at"},
    "payments": {
        *("id", "org_id", "invoice_id", "registration_id", "contact_id", "amount_cents"),
        *("refunded_cents", "currency", "status", "method", "paid_at", "updated_at"),
    },
}

LATE = (
    "Changes are told up to 15 seconds late: max_prepared_transactions allows two-phase commits, which a"
    " NOTIFY would forbid."
)
LATE_MEND = (
    "As a superuser, alter database … set atlvs.notify = 'on' where nobody prepares transactions that change"
    " our tables, else 'off'."
)
_writable: WeakKeyDictionary[object, set[str]] = WeakKeyDictionary()


async def writable(tx: Transaction) -> set[str]:
    """Core tables that this role may read and write. Asked once per database connection."""
    if tx not in _writable:
        cursor = await tx.execute(
            "select name, (select array_agg(attname::text) from pg_attribute"
            " where attrelid = to_regclass(name) and attnum > 0"
            " and pg_column_is_updatable(attrelid, attnum, false)) as columns"
            " from unnest(%s::text[]) as name where to_regclass(name) is not null"
            " and has_table_privilege(to_regclass(name), 'select, insert, update')",
            [list(core_columns())],
        )
        _writable[tx] = {
            row["name"]
            for row in await cursor.fetchall()
            if WRITTEN.get(row["name"], set()) <= set(row["columns"] or ())
        }
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
        return self.column("id" if self.name == "organizations" else "org_id")

    def column(self, ours: str) -> str:
        """What the platform calls a column."""
        return self.names.get(ours, ours)


def core_tables() -> list[CoreTable]:
    """All core tables with their mapping."""
    check_names()
    mapped = settings().tables
    return [
        CoreTable(name, real_name(name), columns, mapped[name].columns if name in mapped else {})
        for name, columns in core_columns().items()
    ]


def adopt(owner_url: str) -> list[Finding]:
    """Take existing tables on: views for other names, rights, row security, triggers. Repeatable."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        created = _created(connection)
        found = [
            _adopted(connection, table) for table in core_tables() if table.real not in created
        ]
        return found + _untold(connection)


def release(owner_url: str) -> list[str]:
    """Undo `adopt`: existing tables are as they were before."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        adopted = _adoptions(connection) - _created(connection)
        released = [table for table in core_tables() if table.real in adopted]
        for table in released:
            with connection.transaction():
                connection.execute(
                    SQL("drop view if exists atlvs_map.{}").format(Identifier(table.name))
                )
                connection.execute("select atlvs_release(%s::regclass)", [in_public(table.real)])
        return [table.real for table in released]


def findings(owner_url: str) -> list[Finding]:
    """For each core table: taken on, or which features are off without it."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        adopted, untold = _adoptions(connection), _untold(connection)
    return untold + [
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
    if unfit := _unfit(table, there):
        return unfit
    lacking = [name for name in table.columns if table.column(name) not in there]
    try:
        with connection.transaction():
            _secure(connection, table)
            _map(connection, table, lacking)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.WrongObjectType) as error:
        return Finding(
            False,
            f"Features that need {table.name} are off: {error.diag.message_primary}.",
            f"Run atlvs bootstrap --adopt with ATLVS_OWNER_DATABASE_URL of a role that is a member of"
            f" {table.real}'s owner and of ours.",
        )
    return _taken_on(table, lacking)


def _unfit(table: CoreTable, there: dict[str, str]) -> Finding | None:
    """Why a table cannot be taken on; our triggers must never fail the platform's own writes."""
    if not there:
        return Finding(False, f"Table {table.real} does not exist.", "Correct ATLVS_TABLES.")
    for column in (table.column("id"), table.org_column):
        if there.get(column) != "uuid":
            found = f"is {there[column]}, not uuid" if column in there else "does not exist"
            return Finding(
                False,
                f"Features that need {table.name} are off: {table.real}.{column} {found}.",
                "Name the column with a uuid in ATLVS_TABLES.",
            )
    return None


def _secure(connection: Connection[TupleRow], table: CoreTable) -> None:
    real = in_public(table.real)
    connection.execute("select atlvs_adopt(%s::regclass, %s, false)", [real, table.org_column])
    if table.name == "organizations":
        connection.execute("select atlvs_cross(%s::regclass, 'select')", [real])
    if table.name in TOLD:
        columns = told_columns(table.name, table.names)
        connection.execute("select atlvs_tell(%s::regclass, %s, %s)", [real, table.name, columns])


def _map(connection: Connection[TupleRow], table: CoreTable, lacking: list[str]) -> None:
    """A view in our words, where names differ or columns lack."""
    view = Identifier(table.name)
    connection.execute(SQL("drop view if exists atlvs_map.{}").format(view))
    if not (table.names or lacking or table.real != table.name):
        return
    columns = SQL(", ").join(
        _column(name, kind, None if name in lacking else table.column(name))
        for name, kind in table.columns.items()
    )
    connection.execute(
        SQL(
            "create view atlvs_map.{} with (security_invoker = true) as select {} from public.{}"
        ).format(view, columns, Identifier(table.real))
    )
    connection.execute(
        SQL("grant select, insert, update, delete on atlvs_map.{} to atlvs_app").format(view)
    )
    if table.name == "organizations":
        connection.execute(SQL("grant select on atlvs_map.{} to atlvs_system").format(view))


def _untold(connection: Connection[TupleRow]) -> list[Finding]:
    """What changes are not told, or late: triggers see the statements that name their table."""
    divided = connection.execute(
        "select distinct relname from pg_trigger join pg_class on tgrelid = pg_class.oid"
        " where tgname = 'atlvs_created' and (relkind = 'p' or relhassubclass) order by 1"
    )
    found = [
        Finding(
            False,
            f"Changes made directly in a part of {name} are not told.",
            f"Have them made in {name} itself.",
        )
        for (name,) in divided.fetchall()
    ]
    prepared = connection.execute(
        "select 1 where current_setting('max_prepared_transactions') <> '0'"
        " and coalesce(current_setting('atlvs.notify', true), '') = ''"
    )
    if prepared.fetchone():
        found.append(Finding(False, LATE, LATE_MEND))
    return found


def _taken_on(table: CoreTable, lacking: list[str]) -> Finding:
    if needed := sorted(WRITTEN.get(table.name, set()).intersection(lacking)):
        return Finding(
            False,
            f"Features that write {table.name} are off: {table.real} lacks {', '.join(needed)}.",
            "Add the columns, or name the platform's own in ATLVS_TABLES.",
        )
    without = f"; without {', '.join(lacking)}, which stay empty" if lacking else ""
    return Finding(True, f"Table {table.real} is taken on{without}.")


def _column(name: str, kind: str, theirs: str | None) -> Composed:
    value = Identifier(theirs) if theirs else SQL("null::{}").format(SQL(kind))  # pyright: ignore
    return SQL("{} as {}").format(value, Identifier(name))


def _columns(connection: Connection[TupleRow], table: str) -> dict[str, str]:
    """A table's columns with their types; no right on the table is needed to see them."""
    found = connection.execute(
        "select attname, format_type(atttypid, null) from pg_attribute"
        " where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        [in_public(table)],
    )
    return dict(found.fetchall())


def _created(connection: Connection[TupleRow]) -> set[str]:
    found = connection.execute("select table_name from integration_created")
    return {row[0] for row in found.fetchall()}


def _adoptions(connection: Connection[TupleRow]) -> set[str]:
    found = connection.execute("select table_name from integration_adoptions")
    return {row[0] for row in found.fetchall()}
