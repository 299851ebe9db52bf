"""Fixtures of Zapier's side: `pytest_plugins = ["zapier_fixtures"]`."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from web_client import NOWHERE, serving
from zapier_client import ZapierApp, new_app
from zapier_world import ZapierWorld, make_world

from atlvs.settings import settings
from deployments.web import callers


@pytest.fixture
def zapier_world(rows: Any, org: UUID) -> ZapierWorld:
    """An organization that Zaps act in, and another one."""
    return make_world(rows, org)


@pytest.fixture
def zapier_url(zapier_world: ZapierWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a web process, while no Prefect server answers; keys may ask as fast as they like."""
    monkeypatch.setenv("PREFECT_API_URL", NOWHERE)
    monkeypatch.setattr(callers, "PER_SECOND", 100_000.0)
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    settings.cache_clear()
    with serving() as address:
        yield address


@pytest.fixture
def zapier_app(zapier_url: str, org: UUID) -> ZapierApp:
    """A key that may do all of it."""
    return new_app(zapier_url, org)


@pytest.fixture
def zapier_signed(zapier_url: str, org: UUID) -> ZapierApp:
    """A signed key that may do all of it."""
    return new_app(zapier_url, org, signed=True)
