"""Beside an existing platform: other names, own rows, own rules, and a way back."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest
from databases import difference, execute, look, new_database, url_as

from atlvs.db import migrate, platform
from atlvs.db.engine import Transaction, database
from atlvs.db.organizations import the_organization
from atlvs.records import Finding
from atlvs.settings import settings

NAMES = {
    "organizations": {"table": "orgs", "columns": {"name": "title"}},
    "contacts": {
        "table": "crm_people",
        "columns": {"email": "mail", "org_id": "tenant_id", "updated_at": "modified"},
    },
    "invoices": {"table": "Bill", "columns": {"amount_cents": "total"}},
    "payments": {"table": "payments"},
}
# One table each: secured by nobody, by the platform itself (and forced), with capitals, lacking
# columns that we write, with ids that are no uuids.
TABLES = """
create table orgs (id uuid primary key default gen_random_uuid(), title text not null);
create table crm_people (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid references orgs(id),
    mail text,
    first_name text,
    shoe_size int default 42,
    modified timestamptz default now()
);
create table companies (id uuid primary key default gen_random_uuid(), org_id uuid not null, name text);
alter table companies enable row level security, force row level security;
create policy theirs on companies
    using (org_id = nullif(current_setting('their.org', true), '')::uuid);
create table "Bill" (
    id uuid primary key default gen_random_uuid(), org_id uuid, contact_id uuid, company_id uuid,
    number text, status text not null default 'draft', total bigint not null default 0,
    amount_paid_cents bigint not null default 0, currency text not null default 'usd', due_on date,
    paid_at timestamptz, created_at timestamptz default now(), updated_at timestamptz default now());
create table payments (id uuid primary key default gen_random_uuid(), org_id uuid, amount_cents bigint);
create table tasks (id serial primary key, org_id uuid, title text);
create view events as select gen_random_uuid() as id, gen_random_uuid() as org_id;
create function set_modified() returns trigger language plpgsql as
    $$ begin new.modified := now(); return new; end $$;
create trigger touch before update on crm_people for each row execute function set_modified();
"""
ROLES = """
create role crm_app login;
grant select, insert, update, delete on crm_people, companies, "Bill", orgs to crm_app;
"""
FORGET_ROLES = ("drop owned by crm_app", "drop role crm_app")
NO_VIEW = """select viewname from pg_views where schemaname = 'atlvs_map'"""


@dataclass
class Platform:
    """A platform's database as its superuser and as its own application see it."""

    url: str
    theirs: str
    mine: UUID
    other: UUID

    def __call__(self, *statements: str) -> list[tuple]:
        return execute(self.url, *statements)

    def as_theirs(self, *statements: str) -> list[tuple]:
        return execute(self.theirs, *statements)

    def told(self) -> list[tuple]:
        return self(
            "select type, org_id, record_id, data, changed, source from integration_outbox order by seq"
        )


@pytest.fixture
def existing(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A platform with two organizations and a contact in each, migrated but not adopted."""
    with new_database(postgres) as url:
        execute(url, TABLES, ROLES)
        mine, other = (
            row[0]
            for row in execute(
                url, "insert into orgs (title) values ('Acme'), ('Other') returning id"
            )
        )
        for org, mail in (
            (mine, "ann@acme.test"),
            (other, "bob@other.test"),
            (None, "nobody@x.test"),
        ):
            execute(
                url, f"insert into crm_people (tenant_id, mail) values ({literal(org)}, '{mail}')"
            )
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("ATLVS_TABLES", orjson.dumps(NAMES).decode())
        settings.cache_clear()
        yield Platform(url, url_as(url, "crm_app"), mine, other)
        execute(url, *FORGET_ROLES)
    settings.cache_clear()


@pytest.fixture
def migrated(existing: Platform) -> Platform:
    migrate.upgrade(existing.url)
    return existing


@pytest.fixture
def adopted(migrated: Platform) -> Platform:
    platform.adopt(migrated.url)
    return migrated


def literal(org: UUID | None) -> str:
    return f"'{org}'" if org else "null"


@asynccontextmanager
async def product(org: UUID, **told: str) -> AsyncIterator[Transaction]:
    """As the product works."""
    async with database().org(org, **told) as tx:
        yield tx


async def fetched(tx: Transaction, sql: str) -> list[dict]:
    return await (await tx.execute(sql.encode())).fetchall()


def text(findings: list[Finding], table: str) -> Finding:
    [found] = [one for one in findings if f" {table}" in one.text or f"{table}." in one.text]
    return found


async def test_before_adoption_nothing_is_touched_and_nothing_is_read(existing: Platform):
    before = look(existing.url)
    migrate.upgrade(existing.url)
    after = look(existing.url)
    # Their tables are referred to by ours, and that is all.
    for aspect in ("columns", "policies", "triggers", "grants", "indexes", "tables"):
        assert before[aspect] <= after[aspect], aspect
    async with product(existing.mine) as tx:
        for table in ("orgs", "crm_people", '"Bill"', "payments", "companies", "tasks"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                async with tx.transaction():
                    await tx.execute(f"select * from {table}".encode())
        here = await platform.writable(tx)
    assert not here & {"contacts", "organizations", "invoices", "payments", "companies", "tasks"}
    assert {"registrations", "deals"} <= here  # these the platform did not have: we made them
    found = platform.findings(existing.url)
    off = text(found, "crm_people")
    assert not off.ok
    assert off.text == "Features that need contacts are off: crm_people is not taken on."
    assert "--adopt" in off.mend
    assert text(found, "registrations").ok


def test_adoption_tells_of_each_table_what_it_found(migrated: Platform):
    found = platform.adopt(migrated.url)
    assert text(found, "orgs").text.startswith("Table orgs is taken on; without slug,")
    people = text(found, "crm_people")
    assert people.ok
    assert people.text == (
        "Table crm_people is taken on; without company_id, last_name, phone, time_zone, locale, "
        "created_at, which stay empty."
    )
    assert text(found, "Bill") == Finding(True, "Table Bill is taken on.")
    lacking = text(found, "write payments")
    assert not lacking.ok
    assert "payments lacks contact_id, currency," in lacking.text
    assert (
        text(found, "tasks").text
        == "Features that need tasks are off: tasks.id is integer, not uuid."
    )
    assert not text(found, "events").ok
    assert not any("registrations" in one.text for one in found)  # ours already


async def test_one_organizations_rows_are_seen_and_written_in_our_words(adopted: Platform):
    new = uuid4()
    async with product(adopted.mine) as tx:
        assert await fetched(tx, "select email, phone from contacts") == [
            {"email": "ann@acme.test", "phone": None}
        ]
        assert await fetched(tx, "select name, slug from organizations") == [
            {"name": "Acme", "slug": None}
        ]
        for email in ("new@acme.test", "newer@acme.test"):
            await tx.execute(
                "insert into contacts (id, org_id, email) values (%s, %s, %s)"
                " on conflict (id) do update set email = excluded.email, updated_at = now()",
                [new, adopted.mine, email],
            )
        await tx.execute("update contacts set first_name = 'Ann' where email = 'ann@acme.test'")
        gone = await tx.execute("delete from contacts where email = 'bob@other.test'")
        assert gone.rowcount == 0
    assert adopted("select mail, first_name, shoe_size from crm_people order by 1") == [
        ("ann@acme.test", "Ann", 42),
        ("bob@other.test", None, 42),
        ("newer@acme.test", None, 42),
        ("nobody@x.test", None, 42),
    ]


async def test_other_organizations_rows_are_out_of_reach(adopted: Platform):
    async with product(adopted.mine) as tx:
        changed = await tx.execute(
            "update contacts set email = 'x' where org_id <> %s", [adopted.mine]
        )
        assert changed.rowcount == 0
        for table in ("contacts", "invoices", "companies"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                async with tx.transaction():
                    await tx.execute(
                        f"insert into {table} (org_id) values (%s)".encode(), [adopted.other]
                    )
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            async with tx.transaction():
                await tx.execute("update contacts set org_id = %s", [adopted.other])
        await tx.execute("select set_config('atlvs.org_id', '', true)")
        for table in ("contacts", "invoices", "companies", "organizations"):
            assert await fetched(tx, f"select * from {table}") == []


async def test_platforms_own_policy_opens_nothing_more_to_us(adopted: Platform):
    adopted(
        "insert into companies (org_id, name)"
        f" values ('{adopted.mine}', 'Mine'), ('{adopted.other}', 'Theirs')"
    )
    async with product(adopted.mine) as tx:
        await tx.execute("select set_config('their.org', %s, true)", [str(adopted.other)])
        assert await fetched(tx, "select name from companies") == [{"name": "Mine"}]
        changed = await tx.execute("update companies set name = 'x' where name = 'Theirs'")
        assert changed.rowcount == 0


async def test_table_that_lacks_what_we_write_is_not_written(adopted: Platform):
    async with product(adopted.mine) as tx:
        here = await platform.writable(tx)
    assert {"contacts", "organizations", "invoices", "companies", "registrations"} <= here
    assert not here & {"payments", "tasks", "events"}


async def test_system_role_finds_the_organization_and_nothing_else(adopted: Platform, monkeypatch):
    monkeypatch.setenv("ATLVS_ORG", "Other")
    settings.cache_clear()
    assert await the_organization() == adopted.other
    async with database().system() as tx:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await tx.execute("select * from contacts")


def test_platforms_own_role_works_as_before(migrated: Platform):
    scope = f"set local their.org = '{migrated.mine}'"

    def works() -> None:
        found = migrated.as_theirs("select mail from crm_people order by mail")
        assert [row[0] for row in found] == ["ann@acme.test", "bob@other.test", "nobody@x.test"]
        migrated.as_theirs(
            "insert into crm_people (tenant_id, mail)"
            f" values ('{migrated.other}', 'z@x.test'), (null, 'zz@x.test')"
        )
        migrated.as_theirs(
            "update crm_people set first_name = 'Zed', shoe_size = 40 where mail like 'z%'"
        )
        migrated.as_theirs("""insert into "Bill" (org_id) values (gen_random_uuid()), (null)""")
        assert (
            len(migrated.as_theirs("delete from crm_people where mail like 'z%' returning 1")) == 2
        )
        migrated.as_theirs(
            scope, f"insert into companies (org_id, name) values ('{migrated.mine}', 'A')"
        )
        assert migrated.as_theirs("select * from companies") == []
        assert len(migrated.as_theirs(scope, "delete from companies returning 1")) == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            migrated.as_theirs(scope, f"insert into companies (org_id) values ('{migrated.other}')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            migrated.as_theirs("select * from integration_outbox")

    works()
    platform.adopt(migrated.url)
    works()
    platform.adopt(migrated.url)
    works()
    platform.release(migrated.url)
    works()


def test_platforms_changes_are_told_in_our_words(adopted: Platform):
    [(ann,)] = adopted("select id from crm_people where mail like 'ann%'")
    adopted.as_theirs("update crm_people set mail = 'ann@new.test' where mail like 'ann%'")
    adopted.as_theirs("update crm_people set mail = mail")  # the trigger sets `modified`: no news
    adopted.as_theirs("insert into crm_people (mail) values ('nobodys@x.test')")
    [(kind, org, record, data, changed, source)] = adopted.told()
    assert (kind, org, record, source) == ("contact.updated", adopted.mine, ann, "platform")
    assert (data["email"], data["org_id"]) == ("ann@new.test", str(adopted.mine))
    assert not {"mail", "tenant_id", "modified"} & set(data)
    assert changed == {"email": "ann@acme.test"}


def test_platforms_invoice_is_told_when_paid(adopted: Platform):
    adopted.as_theirs(f"""insert into "Bill" (org_id, total) values ('{adopted.mine}', 500)""")
    adopted.as_theirs("""update "Bill" set status = 'paid'""")
    assert [(row[0], row[3]["amount_cents"], row[4]) for row in adopted.told()] == [
        ("invoice.created", 500, None),
        ("invoice.paid", 500, {"status": "draft"}),
    ]


async def test_our_change_through_a_view_names_its_source(adopted: Platform):
    async with product(adopted.mine, source="quickbooks") as tx:
        await tx.execute("update contacts set email = 'q@acme.test'")
    assert [(row[0], row[5]) for row in adopted.told()] == [("contact.updated", "quickbooks")]


def test_release_restores_exactly(migrated: Platform):
    before = look(migrated.url)
    platform.adopt(migrated.url)
    assert set(difference(look(migrated.url), before)) >= {
        "policies",
        "triggers",
        "grants",
        "tables",
    }
    released = platform.release(migrated.url)
    assert set(released) == {"orgs", "crm_people", "companies", "Bill", "payments"}
    assert difference(look(migrated.url), before) == {}
    assert migrated(NO_VIEW) == []
    assert (
        migrated(
            "select * from integration_adoptions a where not exists"
            " (select from integration_created c where c.table_name = a.table_name)"
            " and table_name !~ '^(stripe|integration)_'"
        )
        == []
    )
    assert platform.release(migrated.url) == []


def test_adoption_twice_is_the_same_as_once(migrated: Platform):
    before = look(migrated.url)
    found = platform.adopt(migrated.url)
    once = look(migrated.url)
    assert platform.adopt(migrated.url) == found
    assert difference(look(migrated.url), once) == {}
    platform.release(migrated.url)
    assert difference(look(migrated.url), before) == {}


def test_table_of_another_owner_is_told_and_the_others_succeed(migrated: Platform):
    keeper = url_as(migrated.url, "keeper")
    migrated("create role keeper login createrole", "create role landlord")
    try:
        migrated(
            'grant create on database "{}" to keeper'.format(
                migrated.url.split("/")[3].split("?")[0]
            )
        )
        migrated(
            *(
                f"alter table {table} owner to keeper"
                for (table,) in migrated(
                    "select format('%I', tablename) from pg_tables where schemaname = 'public'"
                )
            )
        )
        migrated(
            "alter schema atlvs_map owner to keeper", "alter table crm_people owner to landlord"
        )
        found = platform.adopt(keeper)
        refused = text(found, "crm_people")
        assert not refused.ok
        assert refused.text.startswith("Features that need contacts are off: ")
        assert "crm_people" in refused.text
        assert "ATLVS_OWNER_DATABASE_URL" in refused.mend
        assert text(found, "orgs").ok
        assert text(found, "Bill").ok
        told = platform.findings(keeper)
        assert not text(told, "crm_people").ok
        assert text(told, "orgs").ok
        assert set(platform.release(keeper)) == {"orgs", "companies", "Bill", "payments"}
    finally:
        migrated("reassign owned by keeper, landlord to postgres", "drop owned by keeper, landlord")
        migrated("drop role keeper, landlord")


def test_downgrade_leaves_the_platforms_tables_as_they_were(existing: Platform):
    before = look(existing.url)
    people = existing("select * from crm_people order by mail")
    migrate.upgrade(existing.url)
    platform.adopt(existing.url)
    migrate.downgrade(existing.url)
    kept = ("integration_alembic_version", "integration_alembic_version_pkc")
    assert difference(look(existing.url, but=kept), before) == {}
    assert existing("select * from crm_people order by mail") == people


def test_downgrade_survives_that_the_platform_dropped_a_table(adopted: Platform):
    adopted("drop table companies cascade")
    migrate.downgrade(adopted.url)
    migrate.upgrade(adopted.url)


async def test_adopted_platform_after_down_and_up_is_not_taken_on(adopted: Platform):
    migrate.downgrade(adopted.url, "0001")
    migrate.upgrade(adopted.url)
    async with product(adopted.mine) as tx:
        assert "contacts" not in await platform.writable(tx)
    assert adopted(NO_VIEW) == []
