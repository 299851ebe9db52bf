"""Keys of our HTTP API: shown once, stored hashed, per organization and scope."""

import hashlib
import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from atlvs.db.engine import database
from atlvs.records import ApiKey

COLUMNS = "id, org_id, name, prefix, scopes, created_at, used_at, revoked_at"


async def create(org_id: UUID, name: str, scopes: tuple[str, ...]) -> tuple[str, ApiKey]:
    """A new key and its record. The key itself is not kept."""
    key = f"atlvs_{secrets.token_urlsafe(32)}"
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "insert into integration_api_keys (org_id, name, prefix, hash, scopes)"
            f" values (%s, %s, %s, %s, %s) returning {COLUMNS}".encode(),
            [org_id, name, key[:12], digest(key), list(scopes)],
        )
        row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("insert returned nothing")
    return key, _api_key(row)


async def find(key: str) -> ApiKey | None:
    """Whose key this is; None when it never was one or is revoked. Notes the use once a minute."""
    async with database().system() as tx:
        cursor = await tx.execute(
            f"select {COLUMNS} from integration_api_keys where hash = %s and revoked_at is null".encode(),
            [digest(key)],
        )
        row = await cursor.fetchone()
        if row is None:
            return None
        if row["used_at"] is None or (datetime.now(UTC) - row["used_at"]).total_seconds() > 60:
            await tx.execute(
                "update integration_api_keys set used_at = now() where id = %s", [row["id"]]
            )
    return _api_key(row)


async def every(org_id: UUID) -> list[ApiKey]:
    """An organization's keys, newest first."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            f"select {COLUMNS} from integration_api_keys order by created_at desc".encode()
        )
        return [_api_key(row) for row in await cursor.fetchall()]


async def revoke(org_id: UUID, prefix_or_id: str) -> int:
    """End keys by id or visible start; returns how many."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "update integration_api_keys set revoked_at = now()"
            " where (id::text = %(key)s or prefix = %(key)s) and revoked_at is null",
            {"key": prefix_or_id},
        )
        return cursor.rowcount


def _api_key(row: dict[str, Any]) -> ApiKey:
    scopes: list[str] = row.pop("scopes")
    return ApiKey(**row, scopes=tuple(scopes))


def digest(key: str) -> bytes:
    """What is stored of a key: SHA-256, as it holds 256 random bits."""
    return hashlib.sha256(key.encode()).digest()
