"""Beside an existing platform: other names, own rows, own rules."""

from uuid import uuid4

import psycopg
import pytest
from databases import look
from existing_platform import Platform, fetched, product, text

from atlvs.db import migrate, platform
from atlvs.db.engine import database
from atlvs.db.organizations import the_organization
from atlvs.records import Finding
from atlvs.settings import settings

pytest_plugins = ["platform_fixtures"]


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
