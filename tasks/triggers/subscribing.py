"""Subscribing to a domain event: the address is checked before it is kept."""

from urllib.parse import urlsplit
from uuid import UUID

from atlvs.db import hooks
from atlvs.errors import Rejected
from atlvs.events import DomainEvent
from atlvs.hooks import Hook
from atlvs.settings import settings
from atlvs.targets import checked_target
from blocks.targets import resolved

EVENTS = frozenset(DomainEvent)


async def subscribe(
    org_id: UUID,
    key_id: UUID | None,
    event: str,
    target_url: str,
    *,
    zap_id: str | None = None,
    own_writes: bool = False,
) -> tuple[Hook, bool]:
    """The subscription, and whether it is new. Rejected, with the field, for an event that never happens
    or an address that we do not post to."""
    if event not in EVENTS:
        text = f"There is no event {event[:60]!r}. There are: {', '.join(DomainEvent)}."
        raise Rejected("hooks", text, code="event_unknown", field="event")
    shown = checked_target(target_url, loopback=settings().hooks_loopback)
    await resolved(urlsplit(target_url).hostname or "")
    return await hooks.subscribe(
        org_id, key_id, event, target_url, shown, zap_id=zap_id, own_writes=own_writes
    )
