"""Organizations are apart in the database itself: seen from both of the product's roles."""

from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg
import pytest
from conftest import Rows
from databases import url_as
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier, Literal

from atlvs.db import engine, migrate
from atlvs.settings import settings

# What crosses organizations, and how far. A new entry is a decision.
CROSSING = {
    "organizations": {"SELECT"},
    "integration_connections": {"SELECT"},
    "integration_inbox": {"SELECT", "INSERT", "UPDATE"},
    "integration_outbox": {"SELECT", "UPDATE"},
    "integration_api_keys": {"SELECT", "UPDATE"},
    "integration_syncs": {"SELECT"},
    "integration_notifications": {"SELECT"},
    "integration_deliveries": {"SELECT"},
    "integration_hooks": {"SELECT"},
    "integration_hook_deliveries": {"SELECT"},
}
# Columns that take certain words only.
WORDS = {
    "integration_syncs": {"kind": "'full'"},
    "integration_consents": {"channel": "'sms'", "verdict": "'refused'"},
    "integration_deliveries": {"channel": "'email'", "state": "'queued'"},
    "integration_hook_attempts": {"outcome": "'delivered'"},
}
WITH_ORG = """
    select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
    and exists (select from pg_attribute where attrelid = pg_class.oid and attname = 'org_id')
"""
ALL = """
    select relname from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')
"""
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
VALUES = {
    "uuid": "gen_random_uuid()",
    "text": "'x' || gen_random_uuid()",
    "bigint": "0",
    "integer": "0",
    "real": "0",
    "boolean": "true",
    "jsonb": "'{}'",
    "bytea": "decode(md5(random()::text), 'hex')",
    "text[]": "'{}'",
    "timestamp with time zone": "now()",
    "time without time zone": "'08:00'",
}


def tables(rows: Rows, sql: str = WITH_ORG) -> list[str]:
    found = [row[0] for row in rows(sql)]
    assert len(found) > 20
    return found


def columns(rows: Rows, table: str) -> dict[str, str]:
    """What has to be given to insert a row, with values that fit."""
    found = rows(
        "select attname, format_type(atttypid, null) from pg_attribute where attrelid = %s::regclass"
        " and attnum > 0 and not attisdropped and attnotnull and not atthasdef and attidentity = ''",
        table,
    )
    return {name: VALUES[kind] for name, kind in found}


def row_of(rows: Rows, table: str, org: UUID) -> str:
    """A statement that inserts a row of an organization into any table."""
    given = columns(rows, table) | {"org_id": f"'{org}'"}
    given |= WORDS.get(table, {})
    return f"insert into {table} ({', '.join(given)}) values ({', '.join(given.values())})"


def fill(rows: Rows, table: str, org: UUID) -> None:
    """References are not looked at, nor events told."""
    made = row_of(rows, table, org)
    rows(f"do $$ begin set local session_replication_role = replica; {made}; end $$")


def insert(connection: Connection, rows: Rows, table: str, org: UUID) -> None:
    connection.execute(row_of(rows, table, org).encode())


@pytest.fixture
def other(rows: Rows) -> UUID:
    """A second organization."""
    return rows("insert into organizations (name) values ('Other') returning id")[0][0]


@pytest.fixture
def session(database_url: str) -> Iterator[Callable[[str], Connection]]:
    """Opens connections as the product does, for a role."""
    opened: list[Connection] = []

    def open_as(role: str) -> Connection:
        opened.append(psycopg.connect(engine.role_conninfo(settings(), role), autocommit=True))
        return opened[-1]

    yield open_as
    for connection in opened:
        connection.close()


@pytest.fixture
def app(session: Callable[[str], Connection]) -> Connection:
    return session(engine.APP)


def become(connection: Connection, org: UUID | None) -> None:
    connection.execute("select set_config('atlvs.org_id', %s, false)", [str(org) if org else ""])


def count(connection: Connection, table: str) -> int:
    [(number,)] = connection.execute(SQL("select count(*) from {}").format(Identifier(table)))
    return number


@pytest.mark.parametrize("role", [engine.APP, engine.SYSTEM])
def test_role_has_no_way_around(rows: Rows, role: str):
    [attributes] = rows(
        "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolinherit"
        " from pg_roles where rolname = %s",
        role,
    )
    assert attributes == (False,) * 6
    assert rows("select relname from pg_class where relowner = %s::regrole", role) == []
    assert (
        rows("select roleid::regrole from pg_auth_members where member = %s::regrole", role) == []
    )
    assert rows("select has_schema_privilege(%s, 'public', 'create')", role) == [(False,)]
    assert rows("select has_schema_privilege(%s, 'atlvs_map', 'create')", role) == [(False,)]


def test_every_table_with_an_organization_is_secured(rows: Rows):
    for table in tables(rows):
        [(secured,)] = rows("select relrowsecurity from pg_class where oid = %s::regclass", table)
        assert secured, table
        found = rows(
            "select roles::text, qual, with_check from pg_policies"
            " where tablename = %s and policyname = 'atlvs_org'",
            table,
        )
        assert [row[0] for row in found] == ["{atlvs_app}"], table
        assert "atlvs_org()" in found[0][1], table
        assert found[0][1] == found[0][2], table


def test_without_an_organization_no_row_is_read_or_written(rows: Rows, app: Connection, org: UUID):
    for table in tables(rows):
        fill(rows, table, org)
        assert rows(f"select count(*) from {table}") != [(0,)]
        assert count(app, table) == 0, table
        assert app.execute(f"update {table} set org_id = org_id".encode()).rowcount == 0
        assert app.execute(f"delete from {table}".encode()).rowcount == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            insert(app, rows, table, org)
    assert count(app, "organizations") == 0


def test_another_organizations_rows_are_out_of_reach(
    rows: Rows, app: Connection, org: UUID, other: UUID
):
    become(app, org)
    for table in tables(rows):
        fill(rows, table, other)
        before = rows(f"select * from {table}")
        assert count(app, table) == 0, table
        assert app.execute(f"update {table} set org_id = org_id".encode()).rowcount == 0
        assert app.execute(f"delete from {table}".encode()).rowcount == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            insert(app, rows, table, other)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(f"truncate {table} cascade".encode())
        assert rows(f"select * from {table}") == before
    assert [row[0] for row in app.execute("select name from organizations")] == ["Acme"]


def test_own_row_cannot_be_given_away(rows: Rows, app: Connection, org: UUID, other: UUID):
    become(app, org)
    for table in tables(rows):
        fill(rows, table, org)
        assert count(app, table) == 1, table
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            app.execute(SQL("update {} set org_id = {}").format(Identifier(table), Literal(other)))


def test_organization_of_one_transaction_does_not_reach_the_next(app: Connection, org: UUID):
    with app.transaction():
        app.execute("select set_config('atlvs.org_id', %s, true)", [str(org)])
        assert count(app, "organizations") == 1
    assert count(app, "organizations") == 0


async def test_pooled_connection_forgets_the_organization(org: UUID):
    for _ in range(3):
        async with engine.database().org(org) as tx:
            cursor = await tx.execute("select count(*) as seen from organizations")
            assert await cursor.fetchone() == {"seen": 1}
        async with engine.database()._connection(engine.APP) as tx:
            cursor = await tx.execute("select count(*) as seen from organizations")
            assert await cursor.fetchone() == {"seen": 0}


def test_wrong_organization_id_is_an_error_and_shows_nothing(app: Connection, org: UUID):
    app.execute("select set_config('atlvs.org_id', 'true or true', false)")
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        count(app, "organizations")


def test_system_role_reaches_only_what_crosses(rows: Rows):
    reached = {
        (table, privilege)
        for table in tables(rows, ALL)
        for privilege in PRIVILEGES
        if rows(
            "select has_table_privilege(%s, %s::regclass, %s)", engine.SYSTEM, table, privilege
        )[0][0]
    }
    assert reached == {(table, one) for table, given in CROSSING.items() for one in given}


def test_system_role_is_refused_everything_else(
    rows: Rows, session: Callable[[str], Connection], org: UUID
):
    system = session(engine.SYSTEM)
    become(system, org)
    for table in tables(rows, ALL):
        if table in CROSSING:
            count(system, table)
            continue
        for statement in ("select * from {}", "delete from {}", "update {} set org_id = null"):
            with pytest.raises(
                (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedColumn)
            ):
                system.execute(SQL(statement).format(Identifier(table)))


def test_app_role_reaches_no_table_without_an_organization(rows: Rows):
    for table in set(tables(rows, ALL)) - set(tables(rows)) - {"organizations"}:
        for privilege in PRIVILEGES:
            assert rows(
                "select has_table_privilege(%s, %s::regclass, %s)", engine.APP, table, privilege
            ) == [(False,)], table


def whoami(connection: Connection) -> str:
    [(name,)] = connection.execute("select current_user")
    return name


def test_reset_role_stays_at_the_products_role_under_a_superusers_url(app: Connection):
    """As DATABASE_URL names a superuser here, `role` came with the connection and is its default."""
    for statement in ("reset role", "reset all", "discard all", "set role atlvs_app"):
        app.execute(statement.encode())
        assert whoami(app) == engine.APP, statement


def test_superusers_url_is_no_wall_against_set_role(app: Connection):
    """Why README asks for a DATABASE_URL that is no superuser's: this only SQL of ours could do."""
    app.execute("set role none")
    assert whoami(app) == "postgres"


def test_url_of_the_role_itself_is_a_wall(
    database_url: str, session: Callable[[str], Connection], monkeypatch: pytest.MonkeyPatch
):
    """The embedded database is entered so, and production can be."""
    monkeypatch.setenv("DATABASE_URL", url_as(database_url, engine.APP))
    settings.cache_clear()
    app = session(engine.APP)
    for statement in ("reset role", "set role none", "reset session authorization"):
        app.execute(statement.encode())
        assert whoami(app) == engine.APP, statement
    for role in ("postgres", engine.SYSTEM):
        for statement in (f"set role {role}", f"set session authorization {role}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement.encode())
    with pytest.raises(psycopg.OperationalError, match="permission denied to set role"):
        session(engine.SYSTEM)


def test_embedded_database_is_entered_as_the_role_itself(
    postgres: str, monkeypatch: pytest.MonkeyPatch
):
    place = conninfo_to_dict(postgres)["host"]
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("ATLVS_DATA_DIR", str(place).removesuffix("/postgres"))
    settings.cache_clear()
    migrate.upgrade(engine.owner_url(settings()))
    try:
        for role in (engine.APP, engine.SYSTEM):
            with psycopg.connect(
                engine.role_conninfo(settings(), role), autocommit=True
            ) as connection:
                assert connection.execute("select session_user").fetchone() == (role,)
                connection.execute("set role none")
                assert whoami(connection) == role
    finally:
        settings.cache_clear()
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute("drop database if exists atlvs with (force)")
