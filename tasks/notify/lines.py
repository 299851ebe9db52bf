"""The connections that carry an organization's channels."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from atlvs.db import connections
from atlvs.errors import IntegrationError, Misconfigured
from atlvs.events import Channel
from atlvs.notices import PROVIDERS
from blocks import CONNECTORS
from blocks.base import DEFAULT


@dataclass
class Lines:
    """Opened connectors by channel, and why the other channels are closed."""

    connectors: dict[str, Any] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def open_lines(org_id: UUID, channels: Iterable[str]) -> AsyncGenerator[Lines]:
    """Open what carries these channels; a channel that nobody carries is closed, and says why."""
    async with AsyncExitStack() as stack:
        lines, opened = Lines(), dict[str, Any]()
        for channel in channels:
            provider = PROVIDERS[Channel(channel)]
            try:
                if provider not in opened:
                    name = await carrier(org_id, provider)
                    opened[provider] = await stack.enter_async_context(
                        CONNECTORS[provider].opened(name)
                    )
                lines.connectors[channel] = opened[provider]
            except (IntegrationError, Misconfigured) as error:
                if getattr(error, "provider", "") == "database":
                    raise
                lines.closed[channel] = str(error)
        yield lines


async def carrier(org_id: UUID, provider: str) -> str:
    """The name of the connection that carries an organization's messages: "default", else the oldest."""
    names = [
        one.name
        for one in sorted(await connections.every(provider), key=lambda one: one.created_at)
        if one.org_id == org_id and one.enabled
    ]
    if not names:
        raise Misconfigured(f"no {provider} connection: atlvs connect {provider}")
    return DEFAULT if DEFAULT in names else names[0]
