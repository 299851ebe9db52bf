"""A platform that was there before us."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from databases import execute

from atlvs.db.engine import Transaction, database
from atlvs.records import Finding

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


def literal(org: UUID | None) -> str:
    return f"'{org}'" if org else "null"


@asynccontextmanager
async def product(org: UUID, source: str = "") -> AsyncIterator[Transaction]:
    """As the product works."""
    async with database().org(org, source=source) as tx:
        yield tx


async def fetched(tx: Transaction, sql: str) -> list[dict]:
    return await (await tx.execute(sql.encode())).fetchall()


def text(findings: list[Finding], table: str) -> Finding:
    [found] = [one for one in findings if f" {table}" in one.text or f"{table}." in one.text]
    return found
