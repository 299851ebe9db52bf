"""An organization's rules, as stored."""

from typing import Any
from uuid import UUID

import orjson

from atlvs.db.engine import Transaction, database
from atlvs.errors import Rejected
from atlvs.rules import DEFAULTS, Rule

COLUMNS = "name, event, type, audience, channels, mode, condition, enabled"


async def stored(tx: Transaction) -> dict[str, Rule]:
    """The organization's own rules by name."""
    cursor = await tx.execute(f"select {COLUMNS} from integration_rules where org_id = atlvs_org()")
    rows: list[dict[str, Any]] = await cursor.fetchall()
    for row in rows:
        row["channels"] = tuple(row["channels"])
    return {row["name"]: Rule(**row) for row in rows}


async def save(org_id: UUID, rule: Rule) -> None:
    """Keep a rule, instead of the one of its name. Rejected with the reason when it could not work."""
    rule.check()
    async with database().org(org_id) as tx:
        await tx.execute(
            f"insert into integration_rules (org_id, {COLUMNS}) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " on conflict (org_id, name) do update set event = excluded.event, type = excluded.type,"
            " audience = excluded.audience, channels = excluded.channels, mode = excluded.mode,"
            " condition = excluded.condition, enabled = excluded.enabled, updated_at = now()",
            [
                org_id,
                rule.name,
                rule.event,
                rule.type,
                orjson.dumps(rule.audience, default=str).decode(),
                list(rule.channels),
                rule.mode,
                orjson.dumps(rule.condition).decode(),
                rule.enabled,
            ],
        )


async def forget(org_id: UUID, name: str) -> bool:
    """Remove the organization's rule; a shipped one of that name is in force again."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "delete from integration_rules where org_id = atlvs_org() and name = %s", [name]
        )
    if not cursor.rowcount and name not in DEFAULTS:
        raise Rejected("rules", f"there is no rule {name!r}.", code="not_found", field="name")
    return bool(cursor.rowcount)
