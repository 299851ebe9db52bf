"""Steps of deliveries, as senders, callbacks and people take them."""

from uuid import UUID, uuid4

from fanout_fixtures import Ledger

from atlvs.db import deliveries, notifications
from atlvs.db.engine import database
from atlvs.records import Outcome


async def advance(
    org: UUID, *outcomes: Outcome, calls: dict[UUID, UUID | None] | None = None
) -> int:
    async with database().org(org) as tx:
        return await deliveries.advance(tx, outcomes, calls)


async def begun(ledger: Ledger, channel: str = "email") -> tuple[UUID, dict[UUID, UUID]]:
    """Claim all that is due and begin it: the lease, and the calls."""
    lease = uuid4()
    claimed = await deliveries.claim(ledger.org, channel, lease, 99)
    calls = {one.id: uuid4() for one in claimed}
    async with database().org(ledger.org) as tx:
        await deliveries.begin(tx, lease, ledger.connection, calls)
    return lease, calls


async def cancelled(ledger: Ledger, id: UUID) -> None:
    async with database().org(ledger.org) as tx:
        assert await notifications.move(tx, id, "cancelled", among=["sending"])


def state_of(ledger: Ledger, notification: UUID) -> str:
    return ledger.rows("select state from integration_notifications where id = %s", notification)[
        0
    ][0]
