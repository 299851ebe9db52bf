"""News that come after a notification has ended, on the whole road."""

import asyncio
from collections import Counter
from uuid import UUID

from conftest import Rows
from fanout_world import World, drained

from atlvs.db import deliveries
from atlvs.db.engine import database
from atlvs.records import Outcome
from blocks.base import resources

pytest_plugins = ["notify_fixtures"]
PHONE = "+14155550188"


async def advance(org: UUID, *outcomes: Outcome) -> None:
    async with resources(), database().org(org) as tx:
        await deliveries.advance(tx, outcomes)


def test_who_was_not_reached_by_mail_after_all_gets_a_text(
    notify_world: World, org: UUID, rows: Rows
):
    rows("update contacts set phone = %s where first_name = 'P0'", PHONE)
    asyncio.run(notify_world.tell(channels=["email", "sms"]))
    asyncio.run(drained())
    assert rows("select state from integration_notifications") == [("done",)]
    assert PHONE not in notify_world.phones.counts()
    [(one,)] = rows("select id from integration_deliveries where address = 'p0@mail.test'")
    for _ in range(2):
        asyncio.run(advance(org, Outcome(one, "bounced")))
        asyncio.run(drained())
    assert notify_world.phones.counts()[PHONE] == 1
    found = rows(
        "select channel, state from integration_deliveries where recipient = (select recipient"
        " from integration_deliveries where id = %s) order by seq",
        one,
    )
    assert found == [("email", "bounced"), ("sms", "sent")]
    assert rows("select state from integration_notifications") == [("done",)]
    assert set(Counter(notify_world.phones.counts()).values()) == {1}
