"""Subscriptions of the simulated Zapier, for flows and commands: `pytest_plugins = ["hooked_fixtures"]`."""

from uuid import UUID

import pytest
from conftest import Rows
from hooked_world import Hooked
from sandbox_client import Sandbox
from sandbox_zapier_client import ZapierAccount

from atlvs.settings import settings


@pytest.fixture
def hooked(sandbox: Sandbox, rows: Rows, org: UUID, monkeypatch: pytest.MonkeyPatch) -> Hooked:
    """Zaps may be on this machine, and are posted to fast."""
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    monkeypatch.setenv("ATLVS_HOOKS_PER_SECOND", "1000")
    settings.cache_clear()
    return Hooked(ZapierAccount(sandbox), rows, org)
