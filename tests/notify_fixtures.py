"""Nine people on three channels of the sandbox, for the flows and commands that tell them."""

import asyncio
from uuid import UUID

import pytest
from conftest import Rows
from fanout_world import World
from sandbox_client import Sandbox

NOWHERE = "http://127.0.0.1:9"  # where no webhook arrives


@pytest.fixture
def notify_world(sandbox: Sandbox, rows: Rows, org: UUID) -> World:
    """Three with a phone, six with e-mail of whom three are in Slack; all connected."""
    world = World(sandbox, rows, org, 9, NOWHERE)
    asyncio.run(world.connect())
    world.people()
    return world
