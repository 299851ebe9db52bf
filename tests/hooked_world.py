"""An organization with subscriptions of the simulated Zapier."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from conftest import Rows
from sandbox_zapier_client import ZapierAccount

from atlvs.hooks import Hook
from blocks.base import resources
from tasks.triggers.draining import Told, drain_triggers
from tasks.triggers.subscribing import subscribe


@dataclass
class Hooked:
    """An organization with Zaps."""

    zaps: ZapierAccount
    rows: Rows
    org: UUID

    def hook(self, event: str = "contact.created", target: str | None = None) -> tuple[Hook, str]:
        """A new subscription, and where it goes to."""
        url = target or self.zaps.target()
        return done(subscribe(self.org, None, event, url))[0], url

    def contacts(self, number: int, name: str = "Ada") -> list[UUID]:
        """Contacts by plain SQL; nobody has told on yet that they are there."""
        sql = (
            "insert into contacts (org_id, first_name, email) select %s, %s, 'p' || i || '@example.net'"
            " from generate_series(1, %s) as i returning id"
        )
        return [row[0] for row in self.rows(sql, self.org, name, number)]

    def drain(self) -> Told:
        """Tell on, and post what is due."""
        return done(drain_triggers())

    def states(self) -> dict[str, int]:
        """Posts by state."""
        sql = "select state, count(*) from integration_hook_deliveries group by state"
        return dict(self.rows(sql))

    def ids(self, target: str) -> list[str]:
        """Ids of the events that arrived, in their order."""
        return [post["body"]["id"] for post in self.zaps.received(target)]


def done(work: Awaitable[Any]) -> Any:
    """Something asynchronous, to its end."""

    async def inside() -> Any:
        async with resources():
            return await work

    return asyncio.run(inside())


def secrets_of(target: str) -> Sequence[str]:
    """What nobody may read of a target's address."""
    path = target.partition("://")[2].partition("/")[2]
    return (path, *(part for part in path.split("/") if len(part) > 10))


def failing_for_days(rows: Rows) -> None:
    """As if targets had only failed for more than three days, in which each was tried every few hours."""
    rows("update integration_hooks set failing_since = now() - interval '73 hours'")
    rows(
        "insert into integration_hook_attempts (org_id, delivery_id, attempt, outcome, started_at)"
        " select d.org_id, d.id, 1, 'failed', now() - times * interval '12 hours'"
        " from generate_series(1, 6) as times,"
        " (select distinct on (hook_id) * from integration_hook_deliveries) as d"
    )
