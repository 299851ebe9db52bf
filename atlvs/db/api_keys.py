"""Keys of our HTTP API: shown once, stored hashed, per organization and scope."""

import hashlib
import math
import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from atlvs.crypto import key_ring
from atlvs.db import hooks
from atlvs.db.engine import Transaction, database
from atlvs.records import ApiKey
from atlvs.settings import settings

COLUMNS = "id, org_id, name, prefix, scopes, created_at, used_at, revoked_at, signing_secret"


async def create(
    org_id: UUID,
    name: str,
    scopes: tuple[str, ...],
    *,
    signing_secret: str | None = None,
    owner_email: str | None = None,
) -> tuple[str, ApiKey]:
    """A new key and its record. The key itself is not kept; with a signing secret its requests to
    Zapier's paths have to be signed. The owner hears of trouble with what it subscribes."""
    key = f"atlvs_{secrets.token_urlsafe(32)}"
    given = [org_id, name, key[:12], digest(key), list(scopes)]
    sealed = [_sealed(secret, org_id) for secret in (signing_secret, owner_email)]
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "insert into integration_api_keys (org_id, name, prefix, hash, scopes, signing_secret, owner_email)"
            f" values (%s, %s, %s, %s, %s, %s, %s) returning {COLUMNS}".encode(),
            [*given, *sealed],
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
    """End keys by id or visible start, and what they subscribed; returns how many."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "update integration_api_keys set revoked_at = now()"
            " where (id::text = %(key)s or prefix = %(key)s) and revoked_at is null returning id",
            {"key": prefix_or_id},
        )
        ended = [row["id"] for row in await cursor.fetchall()]
        for id in ended:
            await hooks.end_of_key(tx, org_id, id)
    return len(ended)


async def revoke_scoped(tx: Transaction, scope: str) -> int:
    """End the keys of the transaction's organization that have this scope or a part of it, whatever else
    they may do; returns how many. What they subscribed is the caller's to end."""
    cursor = await tx.execute(
        "update integration_api_keys set revoked_at = now() where revoked_at is null and exists"
        " (select from unnest(scopes) as scope where scope = %(scope)s or starts_with(scope, %(scope)s || ':'))",
        {"scope": scope},
    )
    return cursor.rowcount


async def take(id: UUID, per_second: float, burst: int) -> float | None:
    """Let one request through: None, or the seconds after which the next may come. Infinite when the
    key is revoked.

    `next_free_at` is the moment at which all requests so far would be paid off at the steady pace
    (GCRA): up to `burst` may be ahead of it. All processes share it.
    """
    given = {"id": id, "each": 1 / per_second, "ahead": (burst - 1) / per_second}
    async with database().system() as tx:
        cursor = await tx.execute(
            "update integration_api_keys set next_free_at = greatest(next_free_at, clock_timestamp())"
            " + %(each)s * interval '1 second' where id = %(id)s and revoked_at is null and"
            " coalesce(next_free_at <= clock_timestamp() + %(ahead)s * interval '1 second', true) returning id",
            given,
        )
        if await cursor.fetchone():
            return None
        cursor = await tx.execute(
            "select greatest(extract(epoch from next_free_at - clock_timestamp())::float8 - %(ahead)s, 0) as wait"
            " from integration_api_keys where id = %(id)s and revoked_at is null",
            given,
        )
        row = await cursor.fetchone()
    return (row["wait"] or 0.0) if row else math.inf


def new_signing_secret() -> str:
    """A secret for signed requests: shown once, kept sealed."""
    return f"atlvssig_{secrets.token_urlsafe(32)}"


def signing_secret(key: ApiKey) -> str:
    """The secret of a signed key."""
    if key.signing_secret is None:
        raise ValueError("the key is not signed")
    return key_ring(settings()).open(key.signing_secret, str(key.org_id)).decode()


def _sealed(secret: str | None, org_id: UUID) -> bytes | None:
    return key_ring(settings()).seal(secret.encode(), str(org_id)) if secret else None


def _api_key(row: dict[str, Any]) -> ApiKey:
    scopes: list[str] = row.pop("scopes")
    return ApiKey(**row, scopes=tuple(scopes))


def digest(key: str) -> bytes:
    """What is stored of a key: SHA-256, as it holds 256 random bits."""
    return hashlib.sha256(key.encode()).digest()
