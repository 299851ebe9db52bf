"""Fixtures of the web process: `pytest_plugins = ["web_fixtures"]`."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from web_client import NOWHERE, Caller, connect_door, connect_receiver, new_key, serving


@pytest.fixture
def receiving(org: UUID) -> UUID:
    """An organization with a Stripe connection in test mode, for webhooks."""
    connect_receiver(org)
    return org


@pytest.fixture
def receiver(receiving: UUID) -> Iterator[str]:
    """The address of a web process whose organization receives webhooks."""
    with serving() as address:
        yield address


@pytest.fixture
def door_org(org: UUID, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """An organization connected to the simulated Stripe, while no Prefect server answers."""
    monkeypatch.setenv("PREFECT_API_URL", NOWHERE)
    connect_door(org, sandbox)
    return org


@pytest.fixture
def door_url(door_org: UUID) -> Iterator[str]:
    """The address of a web process in front of the simulated Stripe."""
    with serving() as address:
        yield address


@pytest.fixture
def door_call(door_url: str, door_org: UUID) -> Caller:
    """A caller of the door who may do everything."""
    return Caller(door_url, new_key(door_org, "services"))
