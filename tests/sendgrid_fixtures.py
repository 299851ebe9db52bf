"""An organization connected to a simulated SendGrid account: `pytest_plugins = ["sendgrid_fixtures"]`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from sendgrid_client import Post
from sendgrid_deliveries import fields_of

from atlvs.db import connections
from atlvs.settings import settings
from blocks.base import release
from blocks.sendgrid import SendGrid


@pytest.fixture
def mail_account(sandbox: Sandbox) -> Iterator[Post]:
    yield Post(sandbox.url)
    sandbox.limits("sendgrid", default=True)


@pytest.fixture
async def mailer(
    org: UUID, mail_account: Post, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SendGrid]:
    """The connection `default`, opened; what is unknown settles after half a second."""
    monkeypatch.setenv("ATLVS_SETTLE_SECONDS", "0.5")
    settings.cache_clear()
    await connections.save(org, "sendgrid", "default", fields_of(mail_account))
    async with SendGrid.opened() as opened:
        yield opened
    await release()
