"""Taking a platform's tables on, twice, without the right to, and giving them back."""

from databases import difference, look, url_as
from existing_platform import NO_VIEW, Platform, product, text

from atlvs.db import migrate, platform

pytest_plugins = ["platform_fixtures"]


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
            " and table_name !~ '^(stripe|integration|slack|sendgrid|twilio)_'"
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
