"""Requests: one row per intended write to a provider, made before anything is sent.

The row's id and version make the provider's idempotency key. Two intended equal refunds are two
rows; one refund asked for twice is one. A finished row answers again without a call.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

from atlvs.crypto import key_ring
from atlvs.db.engine import database
from atlvs.errors import Rejected, Unavailable
from atlvs.records import Connection
from atlvs.settings import settings

LEASE_SECONDS = 90


@dataclass(frozen=True)
class Request:
    """A claimed request."""

    id: UUID
    version: int
    created_at: datetime
    sent_at: datetime | None
    done: bool
    result: dict[str, Any] | None
    error: dict[str, Any] | None

    def key(self, operation: str, org_id: UUID) -> str:
        """The provider's idempotency key."""
        return f"atlvs:{org_id}:{operation}:{self.id}:v{self.version}"


def request_for(org_id: UUID, operation: str, client_key: str) -> UUID:
    """The request that a caller's own key stands for: the same key, the same request."""
    return uuid5(org_id, f"{operation}\n{client_key}")


async def claim(
    connection: Connection, request: UUID, operation: str, parameters: dict[str, Any]
) -> Request:
    """The request's row, made if missing and leased to us unless it is finished.

    Rejected when the id was used with other parameters; Unavailable while another process sends it.
    """
    fingerprint = hashlib.sha256(
        orjson.dumps([operation, connection.name, parameters], option=orjson.OPT_SORT_KEYS)
    ).hexdigest()
    async with database().org(connection.org_id) as tx:
        await tx.execute(
            "insert into integration_requests (id, org_id, connection_id, operation, fingerprint)"
            " values (%s, %s, %s, %s, %s) on conflict (id) do nothing",
            [request, connection.org_id, connection.id, operation, fingerprint],
        )
        cursor = await tx.execute(
            "select *, lease_until > now() as held from integration_requests where id = %s for update",
            [request],
        )
        row = await cursor.fetchone()
        if row is None or row["fingerprint"] != fingerprint:
            raise Rejected(
                connection.provider,
                "this idempotency key was used with other parameters.",
                code="idempotency_mismatch",
            )
        if row["state"] == "pending":
            if row["held"]:
                raise Unavailable(
                    connection.provider,
                    "this request is being sent already.",
                    code="in_progress",
                    retry_after=1,
                )
            await tx.execute(
                "update integration_requests set lease_until = now() + %s * interval '1 second' where id = %s",
                [LEASE_SECONDS, request],
            )
    result = row["result"]
    return Request(
        id=request,
        version=row["version"],
        created_at=row["created_at"],
        sent_at=row["sent_at"],
        done=row["state"] != "pending",
        result=_opened(result, connection.org_id) if result else None,
        error=row["error"],
    )


async def sending(connection: Connection, request: Request) -> datetime:
    """Note the first sending of this version, before it happens; returns when that was."""
    async with database().org(connection.org_id) as tx:
        cursor = await tx.execute(
            "update integration_requests set sent_at = coalesce(sent_at, now()) where id = %s"
            " returning sent_at",
            [request.id],
        )
        row = await cursor.fetchone()
    return row["sent_at"] if row else request.created_at


async def finish(
    connection: Connection,
    request: Request,
    *,
    result: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> None:
    """Keep the outcome, sealed: results may hold a client secret."""
    sealed = (
        key_ring(settings()).seal(orjson.dumps(result), str(connection.org_id)) if result else None
    )
    async with database().org(connection.org_id) as tx:
        await tx.execute(
            "update integration_requests set state = %s, result = %s, external_id = %s, error = %s,"
            " lease_until = null, finished_at = now() where id = %s",
            [
                "done" if error is None else "refused",
                sealed,
                (result or {}).get("id"),
                orjson.dumps(error).decode() if error else None,
                request.id,
            ],
        )


async def let_go(connection: Connection, request: Request, *, new_version: bool = False) -> None:
    """Give the lease back; with a new version when the old key would only repeat a stored failure."""
    async with database().org(connection.org_id) as tx:
        await tx.execute(
            "update integration_requests set lease_until = null, version = version + %(more)s,"
            " sent_at = case when %(more)s > 0 then null else sent_at end where id = %(id)s",
            {"more": int(new_version), "id": request.id},
        )


def _opened(sealed: bytes, org_id: UUID) -> dict[str, Any]:
    return orjson.loads(key_ring(settings()).open(bytes(sealed), str(org_id)))
