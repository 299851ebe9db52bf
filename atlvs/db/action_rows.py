"""Records that actions look up and write, in our names.

On an existing platform a table may not be taken on, or lack columns: the refusal names the mend.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from psycopg.sql import SQL, Composed, Identifier

from atlvs.db import platform
from atlvs.db.actions import Row, locked
from atlvs.db.core import core_columns
from atlvs.db.engine import Transaction
from atlvs.errors import Misconfigured, Rejected

CANCELLED = ["cancelled", "canceled"]

_columns: WeakKeyDictionary[object, dict[str, set[str]]] = WeakKeyDictionary()


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
