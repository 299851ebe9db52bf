"""What a person decides about a notification."""

from typing import Literal
from uuid import UUID

from atlvs.db import notifications
from atlvs.db.engine import database
from atlvs.db.notifications import Notification
from atlvs.errors import Rejected

Decision = Literal["approve", "pause", "resume", "cancel"]
# decision → the states in which it can be taken, and the one that it leads to
DECISIONS: dict[Decision, tuple[tuple[str, ...], str]] = {
    "approve": (("held",), "sending"),
    "pause": (("sending",), "paused"),
    "resume": (("paused",), "sending"),
    "cancel": (("raised", "held", "sending", "paused"), "cancelled"),
}


async def decide(org_id: UUID, id: UUID, decision: Decision, by: str) -> tuple[Notification, bool]:
    """The notification after the decision, and whether that changed it. Rejected where it cannot be."""
    among, to = DECISIONS[decision]
    async with database().org(org_id) as tx:
        before = await notifications.read(tx, id)
        moved = await notifications.move(tx, id, to, among=among, by=by)
        after = await notifications.read(tx, id)
    if not moved and after.state != to:
        raise Rejected(
            "notifications",
            f"it is {before.state}: {decision} is for what is {' or '.join(among)}.",
            code="wrong_state",
        )
    return after, moved
