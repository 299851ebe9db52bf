"""A workspace in the sandbox and our connection to it: `pytest_plugins = ["slack_fixtures"]`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from slack_connection import slack_fields
from slack_workspace import Workspace, lent

from atlvs.db import connections
from atlvs.settings import settings
from blocks.base import release
from blocks.slack import Slack
from tasks.slack import people


@pytest.fixture
async def slack_workspace(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Workspace]:
    """A workspace of this test's own: people, channels, no limits."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    settings.cache_clear()
    for workspace in lent(sandbox):
        workspace.made["crew"] = workspace.channel("crew")
        people.forget()
        yield workspace
    await release()


@pytest.fixture
async def slack_connected(org: UUID, slack_workspace: Workspace) -> UUID:
    """An organization whose default Slack connection is bound to the workspace."""
    await connections.save(org, "slack", "default", slack_fields(slack_workspace))
    async with Slack.opened() as slack:
        await slack.learn()
    return org


@pytest.fixture
async def slack_bot(slack_connected: UUID) -> AsyncIterator[Slack]:
    """That connection, opened."""
    async with Slack.opened() as opened:
        yield opened
