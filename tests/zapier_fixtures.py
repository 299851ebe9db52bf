"""Fixtures of Zapier's side: `pytest_plugins = ["zapier_fixtures"]`."""

from typing import Any
from uuid import UUID

import pytest
from zapier_world import ZapierWorld, make_world


@pytest.fixture
def zapier_world(rows: Any, org: UUID) -> ZapierWorld:
    """An organization that Zaps act in, and another one."""
    return make_world(rows, org)
