"""The sandbox's Zapier, for a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbox_client import Sandbox
from sandbox_zapier_client import ZapierAccount


@pytest.fixture
def sandbox_zapier(sandbox: Sandbox) -> Iterator[ZapierAccount]:
    yield ZapierAccount(sandbox)
    sandbox.limits("zapier", default=True)
