"""Domain events as Prefect events, for analysts' automations: `atlvs.deal.won`, with ids and no contents.

A convenience, and no durable hop: while Prefect is away, or when very many happen at once, not each one
is told (`atlvs.deal.won.many` tells how many were left out).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from weakref import WeakKeyDictionary

from prefect.events import Event, Resource
from prefect.events.clients import get_events_client
from prefect.settings import PREFECT_API_URL

from atlvs.db.core import core_columns
from atlvs.db.outbox import Happened

log = logging.getLogger(__name__)
MOST = 100  # events at a time, each of which Prefect stores
SECONDS = 10.0  # a batch, connecting included
BREAK = 30.0  # after Prefect did not answer


_announcers: WeakKeyDictionary[asyncio.AbstractEventLoop, "Announcer"] = WeakKeyDictionary()


def announcer() -> "Announcer":
    """This event loop's."""
    return _announcers.setdefault(asyncio.get_running_loop(), Announcer())


class Announcer:
    """Tells Prefect, beside the work."""

    def __init__(self) -> None:
        self._waiting: list[Happened] = []
        self._many: Counter[tuple[str, str]] = Counter()
        self._telling: asyncio.Task[None] | None = None
        self._closed_until = 0.0

    def announce(self, events: Sequence[Happened]) -> None:
        """Have them told soon."""
        if not PREFECT_API_URL.value() or monotonic() < self._closed_until:
            return
        room = MOST - len(self._waiting)
        self._waiting += events[:room]
        self._many.update((str(one.org_id), one.type) for one in events[room:])
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())

    async def settle(self) -> None:
        """Until what was announced is told."""
        if self._telling:
            await asyncio.wait({self._telling}, timeout=SECONDS)

    async def _tell(self) -> None:
        while self._waiting or self._many:
            waiting, self._waiting = self._waiting, []
            many, self._many = self._many, Counter()
            told = [_event(one) for one in waiting]
            told += [_summary(org, type, number) for (org, type), number in many.items()]
            try:
                async with asyncio.timeout(SECONDS), get_events_client(0) as client:
                    for one in told:
                        await client.emit(one)
            except Exception as error:  # noqa: BLE001  # nothing rests on it
                log.info("Prefect was not told of events: %s", type(error).__name__)
                self._closed_until = monotonic() + BREAK
                return


def _event(one: Happened) -> Event:
    resource = {
        "prefect.resource.id": f"atlvs.{one.record_type}.{one.record_id}",
        "prefect.resource.role": one.record_type,
        "atlvs.organization": str(one.org_id),
    }
    known = core_columns().get(one.record_type, one.changed or {})  # not the platform's own columns
    payload = {
        "id": str(one.id),
        "record_id": str(one.record_id),
        "changed_fields": [name for name in sorted(one.changed or {}) if name in known],
        "organization": str(one.org_id),
        "source": one.source.partition(":")[0],
    }
    return Event.model_validate(
        {
            "id": one.id,
            "event": f"atlvs.{one.type}",
            "occurred": one.occurred_at,
            "resource": resource,
            "payload": payload,
        }
    )


def _summary(org: str, type: str, number: int) -> Event:
    return Event(
        event=f"atlvs.{type}.many",
        resource=Resource({"prefect.resource.id": f"atlvs.organizations.{org}"}),
        payload={"organization": org, "number": number},
    )
