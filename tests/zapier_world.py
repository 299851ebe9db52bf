"""Two organizations with records, for the actions of Zaps."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from atlvs.errors import Rejected
from tasks.zapier.actions import Performed, perform

API_KEY = uuid4()
ADA = {"email": "Ada@Example.com", "first_name": "Ada", "phone": "030 901820"}
HOSTILE = "'; drop table contacts; -- \u202e<script>alert(1)</script> {{7*7}} %s %(x)s 💥"


@dataclass
class ZapierWorld:
    """What an organization has, and what another one has."""

    rows: Any
    org: UUID
    other: UUID

    def make(self, table: str, org: UUID | None = None, **fields: Any) -> UUID:
        """A record, past row security."""
        given = {"org_id": org or self.org} | fields
        marks = ", ".join(["%s"] * len(given))
        statement = f"insert into {table} ({', '.join(given)}) values ({marks}) returning id"
        return self.rows(statement, *given.values())[0][0]

    def foreign(self, table: str, **fields: Any) -> UUID:
        """A record of the other organization."""
        return self.make(table, self.other, **fields)

    def count(self, table: str) -> int:
        """How many rows a table has, of all organizations."""
        return self.rows(f"select count(*) from {table}")[0][0]

    def told(self) -> list[tuple[Any, ...]]:
        """Domain events, with who wrote."""
        return self.rows("select type, source from integration_outbox order by seq")

    async def act(self, action: str, data: dict[str, Any], **more: Any) -> Performed:
        """Carry an action out for the organization."""
        return await perform(self.org, API_KEY, action, data, **more)


async def made(
    world: ZapierWorld, action: str, data: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """What an action made."""
    performed = await world.act(action, data, **more)
    assert performed.created
    return performed.result


async def refused_by(work: Any, code: str, field: str | None = None) -> Rejected:
    """The refusal of an action."""
    with pytest.raises(Rejected) as caught:
        await work
    assert (caught.value.code, caught.value.field) == (code, field), caught.value.message
    return caught.value


def make_world(rows: Any, org: UUID) -> ZapierWorld:
    """The organization lives in Berlin and counts in euro."""
    rows(
        "update organizations set time_zone = 'Europe/Berlin', currency = 'eur' where id = %s", org
    )
    rows("insert into integration_notification_settings (org_id, region) values (%s, 'DE')", org)
    statement = "insert into organizations (name) values ('Other') returning id"
    return ZapierWorld(rows, org, rows(statement, *())[0][0])
