"""Organizations whose events are told on, for a test."""

from __future__ import annotations

from uuid import UUID

import pytest
from conftest import Rows
from sandbox_client import Sandbox
from sandbox_zapier_client import ZapierAccount

from atlvs.settings import settings


@pytest.fixture
def standing_zaps(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> ZapierAccount:
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    monkeypatch.setenv("ATLVS_HOOKS_PER_SECOND", "1000")
    settings.cache_clear()
    return ZapierAccount(sandbox)


@pytest.fixture
def standing_other(rows: Rows) -> UUID:
    """Another organization."""
    return rows("insert into organizations (name) values ('Other') returning id")[0][0]
