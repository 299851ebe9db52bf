"""Fixtures of the pages: `pytest_plugins = ["pages_fixtures"]`."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from notifications_client import Raiser
from pages_people import PagesClient, make_contact
from web_client import NOWHERE, new_key, serving


@pytest.fixture
def pages_url(org: UUID, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a web process, while no Prefect server answers."""
    monkeypatch.setenv("PREFECT_API_URL", NOWHERE)
    with serving() as address:
        yield address


@pytest.fixture
def pages_ada(pages_url: str, org: UUID, rows: Any) -> PagesClient:
    """A contact with an e-mail address and a phone number."""
    return PagesClient(pages_url, org, contact=make_contact(rows, org))


@pytest.fixture
def pages_stranger(pages_url: str, org: UUID) -> PagesClient:
    """An address where nobody is known."""
    return PagesClient(pages_url, org, email="Bob@Example.com")


@pytest.fixture
def notifications_raiser(pages_url: str, org: UUID) -> Raiser:
    """A caller who may raise notifications."""
    return Raiser(pages_url, new_key(org, "notifications"))
