"""Actions of the outside: one transaction each, with its key and what it answered.

What an existing platform's own tables refuse is told in names, and never with a value.
"""

import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg

from atlvs.crypto import key_ring
from atlvs.db import platform
from atlvs.db.engine import Transaction, database
from atlvs.errors import Misconfigured, Rejected
from atlvs.settings import settings

Row = dict[str, Any]
TAKEN = "platform_taken"
PATIENCE_MS = 8_000  # for a lock that somebody else holds
REFUSALS = (
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.errors.RaiseException,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.InsufficientPrivilege,
)


@dataclass(frozen=True)
class Ground:
    """What an organization's values are read by."""

    name: str = ""
    time_zone: str = "UTC"
    currency: str = "usd"
    region: str = "US"


@asynccontextmanager
async def begun(org_id: UUID, source: str) -> AsyncGenerator[Transaction]:
    """A transaction of one action. Rejected with the code TAKEN: the same again finds who was quicker."""
    try:
        async with database().org(org_id, source=source) as tx:
            await tx.execute("select set_config('lock_timeout', %s, true)", [str(PATIENCE_MS)])
            yield tx
    except psycopg.errors.UndefinedTable as error:
        raise Misconfigured("The database lacks tables. Run: atlvs bootstrap") from error
    except REFUSALS as error:
        raise refused(error) from None  # its own text may hold values


def refused(error: psycopg.Error) -> Rejected:
    """Why the platform's own table does not take a row, in names only."""
    told = error.diag
    table = told.table_name or "the table"
    match error:
        case psycopg.errors.NotNullViolation():
            why = f"{table}.{told.column_name} must not be empty, and this action does not fill it"
        case _ if told.constraint_name:
            why = f"{table} has the constraint {told.constraint_name}"
        case psycopg.errors.InsufficientPrivilege():
            why = "its own row security or rights do not allow it"
        case _:
            why = f"PostgreSQL says {type(error).__name__}"
    text = f"The platform does not take this row: {why}."
    code = TAKEN if isinstance(error, psycopg.errors.UniqueViolation) else "platform_refused"
    return Rejected("zapier", text, code=code, field=told.column_name)


async def ground(tx: Transaction) -> Ground:
    """The organization's settings, as far as they are known."""
    there = "organizations" in await platform.writable(tx)
    cursor = await tx.execute(
        (
            "select o.name, o.time_zone, lower(o.currency) as currency, s.region from "
            + (
                "organizations as o"
                if there
                else "(select atlvs_org() as id, '' as name, 'UTC' as time_zone, 'usd' as currency) as o"
            )
            + " left join integration_notification_settings as s on s.org_id = o.id where o.id = atlvs_org()"
        ).encode()
    )
    row = await cursor.fetchone() or {}
    return Ground(**{name: value for name, value in row.items() if value})


async def now(tx: Transaction) -> datetime:
    """When the transaction began, as its rows have it."""
    row = await (await tx.execute("select now() as now")).fetchone()
    return row["now"] if row else datetime.now(UTC)


# The key of an action


def fingerprint(action: str, given: Mapping[str, Any]) -> str:
    """What was asked for."""
    asked = orjson.dumps([action, given], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(asked).hexdigest()


async def earlier(tx: Transaction, org_id: UUID, key: str, asked: str) -> Row | None:
    """What the key's first action answered; who asks at the same time waits here for it."""
    await locked(tx, org_id, "key", key)
    cursor = await tx.execute(
        "select fingerprint, result from integration_actions where org_id = %s and key = %s",
        [org_id, key],
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    if row["fingerprint"] != asked:
        text = "This Idempotency-Key was used for another action or other data."
        raise Rejected("zapier", text, code="idempotency_mismatch", field="Idempotency-Key")
    return orjson.loads(key_ring(settings()).open(bytes(row["result"]), str(org_id)))


async def remember(
    tx: Transaction,
    org_id: UUID,
    *,
    key: str,
    api_key_id: UUID,
    action: str,
    asked: str,
    status: int,
    result: Row,
) -> None:
    """Keep what an action answers, sealed, in its own transaction."""
    sealed = key_ring(settings()).seal(orjson.dumps(result), str(org_id))
    await tx.execute(
        "insert into integration_actions (org_id, key, api_key_id, action, fingerprint, status, result)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        [org_id, key, api_key_id, action, asked, status, sealed],
    )


async def locked(tx: Transaction, org_id: UUID, *words: object) -> None:
    """One at a time, until the transaction ends, for what no unique key of the platform's guards."""
    name = "\n".join(map(str, (org_id, *words)))
    await tx.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
