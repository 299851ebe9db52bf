"""Fixtures of tests that hold our copy of Stripe against the sandbox's truth."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from stripe_fixtures import Caller
from stripe_mirror import fields
from stripe_ten import Ten
from stripe_world import World

from atlvs.db import connections
from blocks.base import release
from blocks.stripe import Stripe
from tasks.stripe.pages import bind_account


@pytest.fixture
async def connected(org: UUID, sandbox: Sandbox, rows: Any) -> AsyncIterator[UUID]:
    """An organization whose default Stripe connection is bound to the sandbox's account."""
    await connections.save(org, "stripe", "default", fields(sandbox))
    async with Stripe.opened() as connection:
        await bind_account(connection)
    # An hour old: Stripe's times are whole seconds, and what is older than the connection is history.
    rows("update integration_connections set created_at = now() - interval '1 hour'")
    sandbox.clear_requests()
    yield org
    await release()


@pytest.fixture
async def connection(connected: UUID) -> AsyncIterator[Stripe]:
    """That connection, opened."""
    async with Stripe.opened() as opened:
        yield opened


@pytest.fixture
def world(connection: Stripe, sandbox: Sandbox, rows: Any, call: Caller) -> World:
    return World(connection, sandbox, rows, call)


@pytest.fixture
def ten(sandbox: Sandbox, call: Caller) -> Ten:
    return Ten(sandbox, call)
