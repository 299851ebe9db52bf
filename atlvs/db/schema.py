"""Running the SQL of a migration, and making core tables only where the platform has none."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from alembic import op
from psycopg import Connection
from psycopg.sql import SQL, Identifier

from atlvs.db.core import core_columns, core_statements, sql_file
from atlvs.errors import Misconfigured
from atlvs.settings import settings

# Core tables whose changes become domain events; the first three since revision 0002.
TOLD = (
    *("contacts", "invoices", "payments"),
    *("registrations", "leads", "deals", "tasks", "events", "approvals", "incidents"),
)


def real_name(table: str) -> str:
    """What the platform calls one of our core tables."""
    mapped = settings().tables.get(table)
    return mapped.table if mapped else table


def real_column(table: str, column: str) -> str:
    """What the platform calls a column of one of our core tables."""
    mapped = settings().tables.get(table)
    return mapped.columns.get(column, column) if mapped else column


def in_public(table: str) -> str:
    """A table's full name as SQL has it: platforms use capitals and reserved words."""
    return f"public.{_quoted(table)}"


def run(name: str) -> None:
    """Run one SQL file in the migration's transaction."""
    connection = _connection()
    connection.execute(_with_real_references(connection, sql_file(name)).encode())


def restore(function: str, name: str) -> None:
    """Make a function again as an earlier migration's file has it."""
    found = re.search(
        rf"^create (function {function}\b.*?^(?:end )?\$\$;)", sql_file(name), re.M | re.S
    )
    if found is None:
        raise LookupError(f"{name} makes no {function}")
    _connection().execute(f"create or replace {found[1]}".encode())


def check_names() -> None:
    """Misconfigured when ATLVS_TABLES speaks of tables or columns that we do not have."""
    core = core_columns()
    for table, mapped in settings().tables.items():
        unknown = set(mapped.columns) - set(core.get(table, {}))
        if table not in core:
            raise Misconfigured(f"ATLVS_TABLES names {table!r}; ours are: {', '.join(core)}.")
        if unknown:
            raise Misconfigured(
                f"ATLVS_TABLES names columns that {table} does not have: "
                f"{', '.join(sorted(unknown))}. Ours come first: {{ours: theirs}}."
            )


def create_missing(name: str) -> None:
    """Create the core tables that the platform lacks, and remember which they were."""
    check_names()
    connection = _connection()
    created: set[str] = set()
    for table, statement in core_statements(name):
        if "create table" in statement:
            if _exists(connection, real_name(table)):
                continue
            if table in settings().tables:
                raise Misconfigured(
                    f"ATLVS_TABLES says that {table} is {real_name(table)}, which does not exist "
                    "in the schema public."
                )
            created.add(table)
            connection.execute("insert into integration_created values (%s)", [table])
        if table in created:
            connection.execute(_with_real_references(connection, statement).encode())


def secure_created() -> None:
    """Row security and triggers on the core tables that we made ourselves."""
    connection = _connection()
    for (table,) in connection.execute("select table_name from integration_created").fetchall():
        org = "id" if table == "organizations" else "org_id"
        connection.execute("select atlvs_adopt(%s::regclass, %s, true)", [table, org])
        if table in TOLD[:3]:
            connection.execute("select atlvs_tell(%s::regclass, %s)", [table, table])
        if table == "organizations":
            connection.execute("select atlvs_cross('organizations', 'select')")


def told_columns(table: str, renamed: Mapping[str, str]) -> str:
    """What our triggers on a platform's own table tell of a row: our columns, each by its name there."""
    return json.dumps({name: renamed.get(name, name) for name in core_columns()[table]})


def tell_more(tables: Iterable[str]) -> None:
    """Triggers on further core tables: those we made, and those taken on already."""
    connection = _connection()
    adopted = {row[0] for row in connection.execute("select table_name from integration_adoptions")}
    created = {row[0] for row in connection.execute("select table_name from integration_created")}
    for table in tables:
        if (real := real_name(table)) in adopted:
            mapped = settings().tables.get(table)
            theirs = told_columns(table, mapped.columns if mapped else {})
            connection.execute(
                "select atlvs_tell(%s::regclass, %s, %s)",
                [in_public(real), table, "" if real in created else theirs],
            )


def tell_ours() -> None:
    """Triggers on tables taken on before this tell of our columns only, by the names they were given."""
    connection = _connection()
    found = connection.execute(
        "select tgrelid::regclass::text, tgargs from pg_trigger join pg_class on tgrelid = pg_class.oid"
        " where tgname = 'atlvs_created' and tgfoid = 'atlvs_emit'::regproc"
        " and relname in (select table_name from integration_adoptions"
        " except select table_name from integration_created)"
    )
    for target, given in found.fetchall():
        table, names = bytes(given).decode().split("\0")[:2]
        if table in core_columns():
            columns = told_columns(table, json.loads(names or "{}"))
            connection.execute("select atlvs_tell(%s::regclass, %s, %s)", [target, table, columns])


def drop_created() -> None:
    """Drop the core tables that we made; an existing platform's stay."""
    connection = _connection()
    for (table,) in connection.execute("select table_name from integration_created").fetchall():
        connection.execute(SQL("drop table if exists {} cascade").format(Identifier(table)))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _with_real_references(connection: Connection[Any], text: str) -> str:
    """References to core tables by their real names, and none where the platform's table takes none."""
    core = core_columns()

    def real(match: re.Match[str]) -> str:
        table, on_delete = match[1], match[2] or ""
        if table not in core:
            return match[0]
        if not _referable(connection, table):
            return ""
        column = real_column(table, "id")
        return f" references {in_public(real_name(table))}({_quoted(column)}){on_delete}"

    return re.sub(r" references (\w+)\(id\)( on delete (?:cascade|set null))?", real, text)


def _referable(connection: Connection[Any], table: str) -> bool:
    """Not to a view, to an id that is no unique uuid, nor without the right to."""
    found = connection.execute(
        "select exists (select from pg_index join pg_attribute on attrelid = indrelid and attnum = indkey[0]"
        " where indrelid = to_regclass(%(table)s) and indisunique and indimmediate and indnkeyatts = 1"
        " and indpred is null and attname = %(column)s and atttypid = 'uuid'::regtype"
        " and has_table_privilege(indrelid, 'references'))",
        {"table": in_public(real_name(table)), "column": real_column(table, "id")},
    ).fetchone()
    return bool(found and found[0])


def _exists(connection: Connection[Any], table: str) -> bool:
    found = connection.execute("select to_regclass(%s)", [in_public(table)]).fetchone()
    return bool(found and found[0])


def _connection() -> Connection[Any]:
    connection = op.get_bind().connection.dbapi_connection
    if not isinstance(connection, Connection):
        raise TypeError("Migrations run on psycopg connections.")
    return connection
