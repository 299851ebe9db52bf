"""Hooks into this machine, for targets that answer as a test says."""

import pytest

from atlvs.settings import settings


@pytest.fixture
def at_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks may be posted to this machine, fast."""
    del database_url
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    monkeypatch.setenv("ATLVS_HOOKS_PER_SECOND", "1000")
    settings.cache_clear()


@pytest.fixture
def at_the_pace(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the pace of Zapier."""
    del at_once
    monkeypatch.setenv("ATLVS_HOOKS_PER_SECOND", "30")
    settings.cache_clear()
