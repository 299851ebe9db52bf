"""An organization connected to a simulated Twilio account: `pytest_plugins = ["twilio_fixtures"]`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from twilio_client import TwilioAccount
from twilio_deliveries import fields_of

from atlvs.db import connections
from atlvs.settings import settings
from blocks.base import release
from blocks.twilio import Twilio


@pytest.fixture
def twilio_account(sandbox: Sandbox) -> TwilioAccount:
    return TwilioAccount(sandbox)


@pytest.fixture
async def twilio(
    org: UUID, twilio_account: TwilioAccount, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Twilio]:
    """The connection `default`, opened; what is unknown settles after half a second."""
    monkeypatch.setenv("ATLVS_SETTLE_SECONDS", "0.5")
    settings.cache_clear()
    await connections.save(org, "twilio", "default", fields_of(twilio_account))
    async with Twilio.opened() as opened:
        yield opened
    await release()
