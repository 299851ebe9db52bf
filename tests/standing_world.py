"""Organizations whose events are told on, as tests use them."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from conftest import Rows

from blocks.base import resources
from tasks.triggers.draining import Told, drain_triggers


async def drained(seconds: float = 20) -> Told:
    async with resources():
        return await drain_triggers(seconds)


def people(rows: Rows, org: UUID, number: int) -> None:
    sql = (
        "insert into contacts (org_id, email) select %s, 'p' || i || '@example.net'"
        " from generate_series(1, %s) as i"
    )
    rows(sql, org, number)


def outcome(rows: Rows) -> Counter[str]:
    return Counter(dict(rows("select state, count(*) from integration_outbox group by 1")))
