"""Connections: whose credential it is, to which account it is bound, and its sealed copy."""

from typing import Any
from uuid import UUID

import orjson
from psycopg.errors import UniqueViolation

from atlvs.crypto import key_ring
from atlvs.db import overview
from atlvs.db.engine import database
from atlvs.errors import Misconfigured, Rejected
from atlvs.records import Connection
from atlvs.settings import settings

SEALED = (  # table and column
    ("integration_connections", "sealed"),
    ("integration_requests", "result"),
    ("integration_notifications", "sealed"),
    ("integration_notifications", "sealed_people"),
    ("integration_deliveries", "sealed"),
    ("integration_api_keys", "signing_secret"),
    ("integration_api_keys", "owner_email"),
    ("integration_hooks", "target"),
    ("integration_hooks", "secrets"),
    ("integration_actions", "result"),
)
COLUMNS = "id, org_id, provider, name, account_id, livemode, enabled, created_at"


async def find(provider: str, name: str) -> tuple[Connection, dict[str, Any]] | None:
    """The connection and its unsealed fields, or None."""
    async with database().system() as tx:
        cursor = await tx.execute(
            f"select {COLUMNS}, sealed from integration_connections where provider = %s and name = %s",
            [provider, name],
        )
        row = await cursor.fetchone()
    if row is None:
        return None
    sealed = row.pop("sealed")
    return Connection(**row), unsealed(sealed, row["org_id"]) if sealed else {}


async def every(provider: str | None = None) -> list[Connection]:
    """All connections, or those of one provider."""
    async with database().system() as tx:
        cursor = await tx.execute(
            f"select {COLUMNS} from integration_connections"
            " where %(provider)s::text is null or provider = %(provider)s order by provider, name",
            {"provider": provider},
        )
        return [Connection(**row) for row in await cursor.fetchall()]


async def save(
    org_id: UUID, provider: str, name: str, fields: dict[str, Any], *, revive: bool = True
) -> Connection:
    """Keep a sealed copy of a block's fields. A name belongs to one organization for good.

    `revive` False leaves a disconnected connection as it is.
    """
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "insert into integration_connections (org_id, provider, name) values (%s, %s, %s)"
            f" on conflict (provider, name) do nothing returning {COLUMNS}",
            [org_id, provider, name],
        )
        row = await cursor.fetchone()
        if row is None:
            cursor = await tx.execute(
                f"select {COLUMNS}, sealed from integration_connections where provider = %s and name = %s",
                [provider, name],
            )
            row = await cursor.fetchone()
        if row is None:
            raise Misconfigured(
                f"The {provider} connection {name!r} belongs to another organization. Take another name."
            )
        sealed = row.pop("sealed", None)
        if not revive and not row["enabled"]:
            return Connection(**row)
        if sealed is None or unsealed(sealed, org_id) != fields:
            await tx.execute(
                "update integration_connections set sealed = %s, sealed_at = now(), enabled = true,"
                " updated_at = now() where id = %s",
                [key_ring(settings()).seal(orjson.dumps(fields), str(org_id)), row["id"]],
            )
    return Connection(**row)


async def bind(connection: Connection, account_id: str, livemode: bool) -> None:
    """Tie the connection to an account and a mode at first contact; refuse another later."""
    try:
        async with database().org(connection.org_id) as tx:
            cursor = await tx.execute(
                "update integration_connections set account_id = coalesce(account_id, %(account)s),"
                " livemode = coalesce(livemode, %(live)s) where id = %(id)s returning account_id, livemode",
                {"id": connection.id, "account": account_id, "live": livemode},
            )
            bound = await cursor.fetchone()
    except UniqueViolation as error:
        raise Rejected(
            connection.provider,
            f"account {account_id} is already served by another connection. Use that one.",
            code="account_taken",
        ) from error
    if bound is None or (bound["account_id"], bound["livemode"]) == (account_id, livemode):
        return
    raise Rejected(
        connection.provider,
        f"connection {connection.name!r} is bound to {_account(**bound)}, but the key is of "
        f"{_account(account_id, livemode)}. Make another connection for it.",
        code="account_differs",
    )


def _account(account_id: str, livemode: bool) -> str:
    return f"{account_id} ({'live' if livemode else 'test'} mode)"


async def wipe(connection: Connection) -> None:
    """Forget the secrets and stop using the connection; its rows stay."""
    async with database().org(connection.org_id) as tx:
        await tx.execute(
            "update integration_connections set sealed = null, enabled = false, updated_at = now() where id = %s",
            [connection.id],
        )


async def reseal() -> int:
    """Wrap with the newest key what is under an older one; returns how many secrets that were."""
    return sum(
        [
            await _resealed(org_id, table, column)
            for org_id in await overview.organizations()
            for table, column in SEALED
        ]
    )


async def _resealed(org_id: UUID, table: str, column: str) -> int:
    ring, count = key_ring(settings()), 0
    while True:
        async with database().org(org_id) as tx, tx.cursor() as cursor:
            await cursor.execute(
                f"select id, {column} as sealed from {table} where substr({column}, 2, 8) <> %s limit 500 for update".encode(),
                [ring.newest],
            )
            rows = await cursor.fetchall()
            if not rows:
                return count
            await cursor.executemany(
                f"update {table} set {column} = %s where id = %s".encode(),
                [[ring.rotated(bytes(row["sealed"]), str(org_id)), row["id"]] for row in rows],
            )
        count += len(rows)


def unsealed(sealed: bytes, org_id: UUID) -> dict[str, Any]:
    """The fields in a sealed copy."""
    return orjson.loads(key_ring(settings()).open(bytes(sealed), str(org_id)))
