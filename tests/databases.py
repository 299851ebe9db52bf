"""Databases without our tables, and what can be seen of them from outside."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

OURS = ("atlvs_app", "atlvs_system")


@contextmanager
def new_database(postgres: str, template: str = "template0") -> Iterator[str]:
    """A database of its own; the superuser's address."""
    name = f"t_{uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            SQL("create database {} template {} strategy file_copy").format(
                Identifier(name), Identifier(template)
            )
        )
    yield f"postgresql://postgres@/{name}?host={conninfo_to_dict(postgres)['host']}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(SQL("drop database {} with (force)").format(Identifier(name)))


def url_as(url: str, role: str) -> str:
    """The address for another role."""
    return url.replace("postgres@", f"{role}@")


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements in one transaction; the rows of the last."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


TABLES = """
    select relname, relkind, relrowsecurity, relforcerowsecurity, relowner::regrole::text
    from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'p', 'S')
"""
COLUMNS = """
    select relname, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)
    from pg_attribute join pg_class on attrelid = pg_class.oid
    left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'v') and attnum > 0 and not attisdropped
"""
CONSTRAINTS = """
    select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
    where connamespace = 'public'::regnamespace
"""
INDEXES = "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public'"
POLICIES = """
    select tablename, policyname, permissive, roles::text, cmd, qual, with_check from pg_policies
    where schemaname = 'public'
"""
TRIGGERS = """
    select tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
"""
FUNCTIONS = """
    select proname, pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
"""
# Absent rights mean the default ones: `grant` and `revoke` only write them out.
GRANTS = """
    select relname, grantor::regrole::text, grantee::regrole::text, privilege_type, is_grantable
    from pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
"""
AROUND = """
    select 'schema', nspname, grantee::regrole::text, privilege_type from pg_namespace,
        aclexplode(coalesce(nspacl, acldefault('n', nspowner))) where nspname in ('public', 'atlvs_map')
    union all
    select 'database', null, grantee::regrole::text, privilege_type from pg_database,
        aclexplode(coalesce(datacl, acldefault('d', datdba))) where datname = current_database()
"""
ASPECTS = {
    "tables": TABLES,
    "columns": COLUMNS,
    "constraints": CONSTRAINTS,
    "indexes": INDEXES,
    "policies": POLICIES,
    "triggers": TRIGGERS,
    "functions": FUNCTIONS,
    "grants": GRANTS,
    "around": AROUND,
}


def look(url: str, *, but: tuple[str, ...] = ()) -> dict[str, set[str]]:
    """Everything that the catalog tells of `public`, but tables of these names."""
    with psycopg.connect(url) as connection:
        return {
            aspect: {repr(row) for row in connection.execute(sql.encode()) if row[0] not in but}
            for aspect, sql in ASPECTS.items()
        }


def difference(one: dict[str, set[str]], other: dict[str, set[str]]) -> dict[str, list[str]]:
    """What stands in one of the two only; empty when they are equal."""
    return {
        aspect: sorted(one[aspect] ^ other[aspect])
        for aspect in ASPECTS
        if one[aspect] != other[aspect]
    }
