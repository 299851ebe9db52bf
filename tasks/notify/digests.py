"""Several messages to one recipient that become one: digests, and bursts on a Slack channel."""

from typing import Any
from uuid import UUID

import orjson

from atlvs.db import digests
from atlvs.db.engine import database
from atlvs.notices import notice_type
from atlvs.records import Delivery

BURST = 5  # due messages of one type for one Slack channel, which takes about one a second
MOST = 100  # lines of one digest


async def gather(org_id: UUID, channel: str) -> int:
    """Turn due deliveries of one digest into its first one; returns how many digests were made."""
    async with database().org(org_id) as tx:
        groups = await digests.due(tx, channel, BURST, MOST)
        for members in groups:
            await digests.gather(tx, members, [item(one) for one in members])
    return len(groups)


def item(one: Delivery) -> dict[str, Any]:
    """A delivery as a line of a digest."""
    notice = notice_type(one.type)
    known = {"title": one.subject or notice.title, "text": summary(one), "url": one.data.get("url")}
    return orjson.loads(orjson.dumps({name: value for name, value in known.items() if value}))


def summary(one: Delivery) -> str:
    """What a notification is about, without its headline."""
    names = ("task_title", "approval_subject", "event_name", "budget_name", "incident_title")
    told = [str(one.data[name]) for name in names if one.data.get(name)]
    people = [
        str(one.data[name]) for name in ("registrant_name", "payer_name") if one.data.get(name)
    ]
    return " · ".join(
        [*told, *people, *([str(one.data["message"])] if one.data.get("message") else [])]
    )
