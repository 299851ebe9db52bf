"""Fixtures over the registry: `pytest_plugins = ["connector_fixtures"]`."""

from collections.abc import Iterator

import pytest
from connector_samples import CALLED, SAMPLES, Sample

from atlvs.settings import settings
from blocks import CONNECTORS
from blocks.base import Connector


@pytest.fixture(params=sorted(CONNECTORS))
def slug(request: pytest.FixtureRequest, no_credentials: None) -> str:
    """Each provider of the registry."""
    return request.param


@pytest.fixture
def called(slug: str) -> str:
    """Each provider whose API we call, with a secret of its own."""
    if slug not in CALLED:
        pytest.skip(f"{slug} calls us, and not we it")
    return slug


@pytest.fixture
def kind(slug: str) -> type[Connector]:
    """Its connector."""
    return CONNECTORS[slug]


@pytest.fixture
def sample(slug: str) -> Sample:
    """What tests know of it."""
    return SAMPLES[slug]


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the machine's own environment."""
    for connector in CONNECTORS.values():
        for variable in connector.environment.values():
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()
