"""A platform that was there before us: `pytest_plugins = ["platform_fixtures"]`."""

from collections.abc import Iterator

import orjson
import pytest
from databases import execute, new_database, url_as
from existing_platform import FORGET_ROLES, NAMES, ROLES, TABLES, Platform, literal

from atlvs.db import migrate, platform
from atlvs.settings import settings


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
