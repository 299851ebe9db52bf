"""Migrations: there and back, at once, beside an existing platform."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from databases import difference, execute, look, new_database, url_as

from atlvs.db import migrate
from atlvs.errors import Misconfigured
from atlvs.settings import settings

VERSIONS = "integration_alembic_version"
KEPT = (VERSIONS, f"{VERSIONS}_pkc")  # Alembic keeps its table when nothing is left of the rest


@pytest.fixture
def empty(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database with nothing in it."""
    monkeypatch.delenv("ATLVS_TABLES", raising=False)
    settings.cache_clear()
    with new_database(postgres) as url:
        yield url
    settings.cache_clear()


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch):
    """Sets ATLVS_TABLES."""

    def put(**mapped: object) -> None:
        monkeypatch.setenv("ATLVS_TABLES", orjson.dumps(mapped).decode())
        settings.cache_clear()

    return put


def revisions() -> list[str]:
    config = Config()
    config.set_main_option("script_location", "atlvs:migrations")
    return [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def test_there_and_back_leaves_nothing_and_works_again(empty: str):
    before = look(empty)
    migrate.upgrade(empty)
    full = look(empty)
    migrate.downgrade(empty)
    assert difference(look(empty, but=KEPT), before) == {}
    assert execute(empty, f"select * from {VERSIONS}") == []
    migrate.upgrade(empty)
    assert difference(look(empty), full) == {}


@pytest.mark.parametrize("revision", revisions())
def test_each_revision_is_undone_whole(empty: str, revision: str):
    steps = ["base", *revisions()]
    before = steps[steps.index(revision) - 1]
    if before != "base":
        migrate.upgrade(empty, before)
    else:
        migrate.upgrade(empty)
        migrate.downgrade(empty)
    seen = look(empty)
    migrate.upgrade(empty, revision)
    assert difference(look(empty), seen) != {}
    migrate.downgrade(empty, before)
    assert difference(look(empty), seen) == {}


def test_second_upgrade_changes_nothing(empty: str):
    migrate.upgrade(empty)
    before = look(empty)
    xmin = execute(empty, f"select xmin::text, * from {VERSIONS}")
    migrate.upgrade(empty)
    assert difference(look(empty), before) == {}
    assert execute(empty, f"select xmin::text, * from {VERSIONS}") == xmin
    assert [row[1] for row in xmin] == [revisions()[-1]]


def test_version_table_leaves_the_platforms_own_alembic_alone(empty: str):
    execute(
        empty,
        "create table alembic_version (version_num text)",
        "insert into alembic_version values ('theirs')",
    )
    migrate.upgrade(empty)
    migrate.downgrade(empty)
    assert execute(empty, "select * from alembic_version") == [("theirs",)]


UPGRADE = "import sys; from atlvs.db import migrate; migrate.upgrade(sys.argv[1])"


def upgrades(*urls: str) -> None:
    """Upgrade in processes of their own, all at once."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", UPGRADE, url],
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        )
        for url in urls
    ]
    told = [process.communicate(timeout=60)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(urls), told


def test_upgrades_of_processes_at_once_end_well_on_one_or_two_databases(postgres: str, empty: str):
    with new_database(postgres) as second:
        upgrades(empty, second, empty, second)
        same = {"around": set[str]()}
        assert difference(look(empty) | same, look(second) | same) == {}
    assert execute(empty, f"select * from {VERSIONS}") == [(revisions()[-1],)]


def test_upgrades_of_threads_at_once_end_well(postgres: str, empty: str):
    with new_database(postgres) as second, ThreadPoolExecutor() as threads:
        for done in [threads.submit(migrate.upgrade, url) for url in (empty, second) * 2]:
            done.result()
        assert execute(second, f"select * from {VERSIONS}") == [(revisions()[-1],)]


def test_failed_upgrade_leaves_nothing_and_can_be_repeated(empty: str):
    execute(empty, "create table integration_outbox ()")
    with pytest.raises(psycopg.errors.DuplicateTable):
        migrate.upgrade(empty)
    assert execute(empty, f"select * from {VERSIONS}") == [("0001",)]
    execute(empty, "drop table integration_outbox")
    migrate.upgrade(empty)


def test_owner_who_is_no_superuser_can_migrate_and_become_the_roles(empty: str):
    """As on a managed PostgreSQL. The state of the roles is that of a maker since version 16."""
    execute(
        empty,
        "create role keeper login createrole",
        f"alter database {empty.split('/')[3].split('?')[0]} owner to keeper",
        "alter schema public owner to keeper",
        "grant atlvs_app, atlvs_system to keeper with admin true, inherit false, set false",
    )
    owner = url_as(empty, "keeper")
    try:
        migrate.upgrade(owner)
        for role in ("atlvs_app", "atlvs_system"):
            assert execute(f"{owner}&options=-c%20role%3D{role}", "select current_user") == [
                (role,)
            ]
        before = look(empty)
        migrate.upgrade(owner)
        assert difference(look(empty), before) == {}
        migrate.downgrade(owner)
    finally:
        execute(empty, "reassign owned by keeper to postgres", "drop owned by keeper")
        execute(empty, "drop role keeper")


def test_missing_right_is_told_with_its_mend(empty: str):
    execute(empty, "create role nobody_much login")
    try:
        with pytest.raises(Misconfigured, match="ATLVS_OWNER_DATABASE_URL"):
            migrate.upgrade(url_as(empty, "nobody_much"))
    finally:
        execute(empty, "drop owned by nobody_much", "drop role nobody_much")


def test_database_that_is_away_is_told_without_a_traceback_of_its_own():
    with pytest.raises(Misconfigured, match="cannot be reached"):
        migrate.upgrade("postgresql://somebody:secret-word@127.0.0.1:9/none?connect_timeout=2")


def test_missing_core_tables_refer_to_the_platforms_own_names(empty: str, tables):
    execute(
        empty,
        'create table "Org" (org_uuid uuid primary key default gen_random_uuid(), name text)',
        'create table "order" (id uuid primary key, tenant uuid)',
    )
    tables(
        organizations={"table": "Org", "columns": {"id": "org_uuid"}},
        invoices={"table": "order", "columns": {"org_id": "tenant"}},
    )
    before = look(empty)
    migrate.upgrade(empty)
    referred = {
        row[0]
        for row in execute(
            empty,
            "select conrelid::regclass::text from pg_constraint"
            " where contype = 'f' and confrelid = '\"Org\"'::regclass"
            " and pg_get_constraintdef(oid) ~ 'org_uuid'",
        )
    }
    assert {"contacts", "companies", "integration_connections", "stripe_payments"} <= referred
    [(made,)] = execute(
        empty,
        "select array_agg(table_name) from integration_created where table_name ~ '^(org|inv)'",
    )
    assert made == ["invoice_lines"]
    migrate.downgrade(empty)
    assert difference(look(empty, but=KEPT), before) == {}


@pytest.mark.parametrize(
    ("mapped", "told"),
    [
        ({"contacts": {"table": "nowhere"}}, "nowhere, which does not exist"),
        ({"contact": {"table": "people"}}, "'contact'; ours are: organizations"),
        ({"contacts": {"table": "contacts", "columns": {"mail": "email"}}}, "does not have: mail"),
    ],
)
def test_wrong_map_is_refused_before_anything_is_made(empty: str, tables, mapped: dict, told: str):
    tables(**mapped)
    with pytest.raises(Misconfigured, match=told):
        migrate.upgrade(empty)
    assert execute(empty, "select to_regclass('organizations')") == [(None,)]


SEED = """
create table organizations (id uuid primary key default gen_random_uuid());
create table contacts (id uuid primary key default gen_random_uuid(), org_id uuid);
create table companies (id uuid primary key default gen_random_uuid(), org_id uuid);
create table stripe_customers (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  org_id UUID NOT NULL REFERENCES organizations(id),
  contact_id UUID REFERENCES contacts(id),
  company_id UUID REFERENCES companies(id),
  stripe_customer_id TEXT NOT NULL UNIQUE,
  created_at TIMESTAMPTZ DEFAULT NOW()
);
create table stripe_payments (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  org_id UUID NOT NULL REFERENCES organizations(id),
  stripe_payment_intent_id TEXT NOT NULL UNIQUE,
  amount_cents INT NOT NULL,
  currency TEXT NOT NULL DEFAULT 'usd',
  status TEXT NOT NULL,
  source_type TEXT NOT NULL,
  source_id UUID NOT NULL,
  created_at TIMESTAMPTZ DEFAULT NOW()
);
insert into organizations default values;
insert into stripe_payments (org_id, stripe_payment_intent_id, amount_cents, status, source_type, source_id)
  select id, 'pi_theirs', 1200, 'succeeded', 'invoice', gen_random_uuid() from organizations;
"""


def test_stripe_tables_of_the_platform_are_kept_with_their_rows(empty: str):
    execute(empty, SEED)
    execute(
        empty, "create role cashier login", "grant select, insert on stripe_payments to cashier"
    )
    before = look(empty)
    paid = execute(empty, "select * from stripe_payments")
    cashier = url_as(empty, "cashier")
    try:
        migrate.upgrade(empty)
        assert len(execute(cashier, "select * from stripe_payments")) == 1
        migrate.downgrade(empty)
        assert execute(empty, "select * from stripe_payments") == paid
        after = look(empty, but=KEPT)
        # What we loosened stays loose: rows that came in meanwhile need it.
        told = str(difference(before, after))
        assert set(difference(before, after)) == {"columns", "constraints"}
        assert "currency" not in told
        assert "connection_id" not in told
    finally:
        execute(empty, "drop owned by cashier", "drop role cashier")
