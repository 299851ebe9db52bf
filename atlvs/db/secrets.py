"""Secret variables of notifications: stored encrypted for their organization, wiped when it is over.

What all recipients share is sealed with the notification; a person's own beside it until everybody has a
delivery, and then with theirs.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from atlvs import audience as audiences
from atlvs.audience import People
from atlvs.crypto import key_ring
from atlvs.db.engine import Transaction
from atlvs.settings import settings

Variables = dict[str, Any]


def sealed(org_id: UUID, secret: Mapping[str, Any]) -> bytes:
    """Variables, encrypted."""
    return key_ring(settings()).seal(orjson.dumps(secret, default=str), str(org_id))


def parted(
    audience: dict[str, Any], names: frozenset[str]
) -> tuple[dict[str, Any], dict[str, Variables]]:
    """An audience without its people's secrets, and these by recipient."""
    found = audiences.parsed(audience)
    if not isinstance(found, People) or not any(names & one.data.keys() for one in found.people):
        return audience, {}
    own: dict[str, Variables] = {}
    for place, one in enumerate(found.people):
        secret = {name: value for name, value in one.data.items() if name in names}
        own.setdefault(one.recipient(place), secret)
    people = [
        {**one, "data": {k: v for k, v in one.get("data", {}).items() if k not in names}}
        for one in audience["people"]
    ]
    return {**audience, "people": people}, {name: secret for name, secret in own.items() if secret}


async def of_people(tx: Transaction, org_id: UUID, notification: UUID) -> dict[str, Variables]:
    """People's own secrets by recipient, until all of them are planned."""
    cursor = await tx.execute(
        "select sealed_people from integration_notifications where id = %s", [notification]
    )
    row = await cursor.fetchone()
    if row is None or row["sealed_people"] is None:
        return {}
    return orjson.loads(key_ring(settings()).open(bytes(row["sealed_people"]), str(org_id)))
