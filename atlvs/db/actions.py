"""What the outside does to the platform's records: one transaction an action, with its key and result.

On an existing platform a table may not be taken on, lack columns, or want more than we know: each is
told as a refusal that names the mend, and never with a value.
"""

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import orjson
import psycopg
from psycopg.sql import SQL, Composed, Identifier

from atlvs.crypto import key_ring
from atlvs.db import platform
from atlvs.db.engine import Transaction, database
from atlvs.db.schema import core_columns
from atlvs.errors import Misconfigured, Rejected
from atlvs.settings import settings

Row = dict[str, Any]
PATIENCE_MS = 8_000  # for a lock that somebody else holds
CANCELLED = ["cancelled", "canceled"]
REFUSALS = (
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.errors.RaiseException,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.InsufficientPrivilege,
)

_columns: WeakKeyDictionary[object, dict[str, set[str]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Ground:
    """What an organization's values are read by."""

    name: str = ""
    time_zone: str = "UTC"
    currency: str = "usd"
    region: str = "US"


@asynccontextmanager
async def begun(org_id: UUID, source: str) -> AsyncGenerator[Transaction]:
    """A transaction of one action. A UniqueViolation passes: the same again finds who was quicker."""
    try:
        async with database().org(org_id, source=source) as tx:
            await tx.execute("select set_config('lock_timeout', %s, true)", [str(PATIENCE_MS)])
            yield tx
    except psycopg.errors.UniqueViolation:
        raise
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
    return Rejected("zapier", text, code="platform_refused", field=told.column_name)


async def ground(tx: Transaction) -> Ground:
    """The organization's settings, as far as they are known."""
    there = "organizations" in await platform.writable(tx)
    cursor = await tx.execute(
        (
            "select o.name, o.time_zone, o.currency, s.region from "
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


# Records


async def insert(tx: Transaction, table: str, values: Row, defaults: Row | None = None) -> Row:
    """A new row. Defaults are left out where the platform has no such column."""
    there = await _there(tx, table)
    org = {"org_id": SQL("atlvs_org()")}
    given = {name: value for name, value in (defaults or {}).items() if name in there} | values
    _check(table, there, values)
    statement = SQL("insert into {} ({}) values ({}) returning {}").format(
        Identifier(table),
        SQL(", ").join(map(Identifier, [*org, *given])),
        SQL(", ").join([*org.values(), *([SQL("%s")] * len(given))]),
        _all(table),
    )
    return await _one(tx, statement, list(given.values()))


async def change(tx: Transaction, table: str, row: Row, values: Row) -> Row:
    """The row with what differs written; as it is when nothing does."""
    there = await _there(tx, table)
    _check(table, there, values)
    new = {name: value for name, value in values.items() if row[name] != value}
    if not new:
        return row
    touched = [SQL("updated_at = now()")] if "updated_at" in there else []
    statement = SQL("update {} set {} where id = %s returning {}").format(
        Identifier(table),
        SQL(", ").join([*(SQL("{} = %s").format(Identifier(name)) for name in new), *touched]),
        _all(table),
    )
    return await _one(tx, statement, [*new.values(), row["id"]])


async def read(tx: Transaction, table: str, id: UUID, field: str, *, lock: bool = False) -> Row:
    """One row of the organization's. Rejected as not found when there is none."""
    await _there(tx, table)
    statement = SQL("select {} from {} where id = %s{}").format(
        _all(table), Identifier(table), SQL(" for no key update" if lock else "")
    )
    row = await (await tx.execute(statement, [id])).fetchone()
    if row is None:
        raise not_found(table, field)
    return row


async def contact_by_email(tx: Transaction, email: str) -> Row | None:
    """The contact with an address; the eldest when there are several."""
    await _there(tx, "contacts")
    statement = SQL(
        "select {} from contacts where lower(email) = lower(%s) order by created_at, id limit 1 for no key update"
    ).format(_all("contacts"))
    return await (await tx.execute(statement, [email])).fetchone()


async def registration_of(tx: Transaction, event_id: UUID, contact_id: UUID) -> Row | None:
    """A contact's registration for an event that is not cancelled."""
    await _there(tx, "registrations")
    statement = SQL(
        "select {} from registrations where event_id = %s and contact_id = %s"
        " and coalesce(status::text, '') <> all(%s) order by created_at, id limit 1"
    ).format(_all("registrations"))
    return await (await tx.execute(statement, [event_id, contact_id, CANCELLED])).fetchone()


async def tag_id(tx: Transaction, org_id: UUID, name: str) -> UUID:
    """A tag by its name, made where there is none."""
    await locked(tx, org_id, "tag", name)
    found = await tx.execute("select id from tags where name = %s order by id limit 1", [name])
    row = await found.fetchone() or await insert(tx, "tags", {"name": name})
    return row["id"]


async def tagging(
    tx: Transaction, org_id: UUID, tag: UUID, record_type: str, record_id: UUID
) -> tuple[UUID, bool]:
    """A tag on a record, and whether it is new there."""
    await locked(tx, org_id, "tagging", tag, record_id)
    values = {"tag_id": tag, "record_type": record_type, "record_id": record_id}
    found = await tx.execute(
        "select id from taggings where (tag_id, record_type, record_id) = (%s, %s, %s)",
        list(values.values()),
    )
    if row := await found.fetchone():
        return row["id"], False
    return (await insert(tx, "taggings", values))["id"], True


async def tags_of(tx: Transaction, record_type: str, record_id: UUID) -> list[str]:
    """The names of a record's tags."""
    cursor = await tx.execute(
        "select distinct t.name from taggings join tags as t on t.id = tag_id"
        " where record_type = %s and record_id = %s order by t.name",
        [record_type, record_id],
    )
    return [row["name"] for row in await cursor.fetchall()]


def not_found(table: str, field: str) -> Rejected:
    """The organization has no such record; another's is as if it were not."""
    text = f"{field}: there is no such record in {table}."
    return Rejected("zapier", text, code="not_found", field=field)


async def writable(tx: Transaction, *tables: str) -> None:
    """Misconfigured unless these tables are taken on."""
    for table in tables:
        await _there(tx, table)


async def _there(tx: Transaction, table: str) -> set[str]:
    """The columns of a table that can be written. Asked once per database connection."""
    if table not in await platform.writable(tx):
        raise Misconfigured(
            f"The platform's table {table} is not taken on. As its owner, run: atlvs bootstrap --adopt"
        )
    known = _columns.setdefault(tx, {})
    if table not in known:
        cursor = await tx.execute(
            "select attname::text as name from pg_attribute where attrelid = to_regclass(%s) and attnum > 0"
            " and not attisdropped and pg_column_is_updatable(attrelid, attnum, false)",
            [table],
        )
        known[table] = {row["name"] for row in await cursor.fetchall()}
    return known[table]


def _check(table: str, there: set[str], values: Mapping[str, Any]) -> None:
    for name in values:
        if name not in there:
            text = f"The platform's table {table} has no {name}: leave it out, or name its column in ATLVS_TABLES."
            raise Rejected("zapier", text, code="field_unavailable", field=name)


@cache
def _all(table: str) -> Composed:
    return SQL(", ").join(map(Identifier, core_columns()[table]))


async def _one(tx: Transaction, statement: Composed, values: Sequence[Any]) -> Row:
    row = await (await tx.execute(statement, values)).fetchone()
    if row is None:
        raise RuntimeError("nothing was returned")
    return row
