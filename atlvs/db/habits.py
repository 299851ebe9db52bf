"""How an organization wants its notifications: quiet hours, when a person has to approve, its region."""

from dataclasses import dataclass
from datetime import time
from typing import Any
from uuid import UUID

import phonenumbers

from atlvs.db.engine import Transaction, database
from atlvs.db.slack import CARRIER
from atlvs.errors import Rejected

MOST = 1_000_000_000


@dataclass(frozen=True)
class Habits:
    """How an organization wants its notifications."""

    time_zone: str
    approve_above_recipients: int = 500
    approve_above_cost_cents: int = 5000
    quiet_begins: time = time(21)
    quiet_ends: time = time(8)
    region: str = "US"
    slack_known: bool = False  # whether Slack's users are mirrored: who is not there has none


async def habits(tx: Transaction) -> Habits:
    """The organization's settings, or the shipped ones."""
    cursor = await tx.execute(
        "select o.time_zone, s.approve_above_recipients, s.approve_above_cost_cents, s.quiet_begins, s.quiet_ends,"
        f" s.region, exists (select from slack_users where connection_id = {CARRIER}) as slack_known from organizations as o"
        " left join integration_notification_settings as s on s.org_id = o.id where o.id = atlvs_org()".encode()
    )
    row = await cursor.fetchone() or {}
    given: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
    given.setdefault("time_zone", "UTC")
    return Habits(**given)


async def change(org_id: UUID, **given: Any) -> Habits:
    """Keep some of them anew. Rejected, with the field, when one cannot be."""
    for name, value in given.items():
        _check(name, value)
    async with database().org(org_id) as tx:
        await tx.execute(
            "insert into integration_notification_settings (org_id) values (%s) on conflict (org_id) do nothing",
            [org_id],
        )
        for name, value in given.items():
            await tx.execute(
                f"update integration_notification_settings set {name} = %s, updated_at = now()"
                " where org_id = atlvs_org()".encode(),
                [value],
            )
        return await habits(tx)


def _check(name: str, value: Any) -> None:
    match name:
        case "approve_above_recipients" | "approve_above_cost_cents":
            fine = isinstance(value, int) and 0 <= value <= MOST
        case "quiet_begins" | "quiet_ends":
            fine = isinstance(value, time)
        case "region":
            fine = value in phonenumbers.SUPPORTED_REGIONS
        case _:
            fine = False
    if not fine:
        raise Rejected("notifications", f"{name} cannot be {value!r}.", code="invalid", field=name)
