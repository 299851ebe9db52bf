"""Who opened a signed link: a contact with all addresses, or an address where nobody is known."""

from dataclasses import dataclass, field
from datetime import time
from typing import Any
from uuid import UUID

from atlvs.db.engine import Transaction
from atlvs.db.habits import Habits, habits
from atlvs.db.slack import USER_OF_CONTACT
from atlvs.events import Channel
from atlvs.phones import e164
from atlvs.signing import Link


@dataclass(frozen=True)
class Person:
    """Somebody who chooses. `addresses` are as deliveries have them, those in use first."""

    org_id: UUID
    organization: str
    contact_id: UUID | None = None
    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    time_zone: str = "UTC"
    quiet_begins: time = time(21)  # as the organization has them
    quiet_ends: time = time(8)


async def find(tx: Transaction, link: Link) -> Person | None:
    """Whom a link is about; None when there is nobody in this organization (any more)."""
    cursor = await tx.execute("select name from organizations where id = atlvs_org()")
    organization = await cursor.fetchone()
    contact = await _contact(tx, link.contact_id) if link.contact_id else None
    if organization is None or not (contact or link.email):
        return None
    usual = await habits(tx)
    return Person(
        org_id=link.org_id,
        organization=organization["name"],
        contact_id=link.contact_id if contact else None,
        addresses=_addresses(contact or {}, link.email, usual),
        time_zone=(contact or {}).get("time_zone") or usual.time_zone,
        quiet_begins=usual.quiet_begins,
        quiet_ends=usual.quiet_ends,
    )


async def _contact(tx: Transaction, id: UUID) -> dict[str, Any] | None:
    cursor = await tx.execute(
        "select c.email, c.phone, nullif(c.time_zone, '') as time_zone, s.slack_user_id from contacts as c"
        f" left join lateral ({USER_OF_CONTACT}) as s on true where c.id = %s".encode(),
        [id],
    )
    return await cursor.fetchone()


def _addresses(
    contact: dict[str, Any], email: str | None, usual: Habits
) -> dict[str, tuple[str, ...]]:
    """Channel → addresses. The link's own may be one that the contact no longer has."""
    emails = [(contact.get("email") or "").strip().lower(), (email or "").strip().lower()]
    number = e164((contact.get("phone") or "").strip(), usual.region)
    slack = contact.get("slack_user_id")
    # Until the Slack user is found, deliveries there have the e-mail address.
    found = {
        Channel.EMAIL: emails,
        Channel.SMS: [number],
        Channel.CALL: [number],
        Channel.SLACK: [slack, emails[0]] if slack else [],
    }
    return {
        str(channel): tuple(dict.fromkeys(filter(None, addresses)))
        for channel, addresses in found.items()
        if any(addresses)
    }
