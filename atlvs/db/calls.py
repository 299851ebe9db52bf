"""Every call to a provider: paced by a limit that all processes share, and written to the audit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from atlvs.db.arrays import plain, texts, times
from atlvs.db.engine import Transaction, database
from atlvs.records import Connection


@dataclass(slots=True)
class Call:
    """One exchange with a provider. Paths carry ids at most, never a query, a body or a header."""

    operation: str
    method: str
    path: str
    request_id: UUID | None
    provider_request_id: str | None
    status: int | None
    outcome: str
    records: int | None
    started_at: datetime
    duration_ms: float
    waited_ms: float


async def write_calls(tx: Transaction, connection: Connection, calls: Sequence[Call]) -> None:
    """Append to the audit, in the caller's transaction (one organization's)."""
    if not calls:
        return
    await tx.execute(
        "insert into integration_calls (org_id, connection_id, provider, operation, method, path, request_id,"
        " provider_request_id, status, outcome, records, started_at, duration_ms, waited_ms)"
        " select %s, %s, %s, * from unnest(%s::text[], %s::text[], %s::text[], %s::uuid[], %s::text[],"
        " %s::int[], %s::text[], %s::int[], %s::timestamptz[], %s::real[], %s::real[])",
        [connection.org_id, connection.id, connection.provider, *_columns(calls)],
    )


def _columns(calls: Sequence[Call]) -> list[str]:
    return [
        texts(call.operation for call in calls),
        texts(call.method for call in calls),
        texts(call.path for call in calls),
        plain(call.request_id for call in calls),
        texts(call.provider_request_id for call in calls),
        plain(call.status for call in calls),
        texts(call.outcome for call in calls),
        plain(call.records for call in calls),
        times(call.started_at for call in calls),
        plain(call.duration_ms for call in calls),
        plain(call.waited_ms for call in calls),
    ]


async def read_calls(org_id: UUID, *, limit: int = 100) -> list[dict[str, Any]]:
    """The newest calls of an organization."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "select started_at, provider, operation, method, path, status, outcome, provider_request_id,"
            " round(duration_ms) as duration_ms, round(waited_ms) as waited_ms"
            " from integration_calls order by id desc limit %s",
            [limit],
        )
        return await cursor.fetchall()


async def lease_slots(connection: Connection, bucket: str, number: int, per_second: float) -> float:
    """Reserve `number` call slots of a shared limit; returns seconds from now to the first one.

    A generic cell rate algorithm in one row: the row holds the first moment not yet promised, so a
    lease is one update however many processes ask. (Limiter libraries for PostgreSQL keep a row per
    call and cannot be told to wait by a Retry-After.)
    """
    async with database().org(connection.org_id) as tx:
        cursor = await tx.execute(
            "insert into integration_rate_limits as l (org_id, connection_id, bucket, next_free_at)"
            " values (%(org)s, %(id)s, %(bucket)s, clock_timestamp() + %(span)s * interval '1 second')"
            " on conflict (connection_id, bucket) do update"
            " set next_free_at = greatest(l.next_free_at, clock_timestamp()) + %(span)s * interval '1 second'"
            " returning extract(epoch from next_free_at - clock_timestamp())::float - %(span)s as wait",
            {
                "org": connection.org_id,
                "id": connection.id,
                "bucket": bucket,
                "span": number / per_second,
            },
        )
        row = await cursor.fetchone()
    return max(0.0, row["wait"]) if row else 0.0


async def pause_slots(connection: Connection, bucket: str, seconds: float) -> None:
    """Nobody calls for `seconds`: the provider said so."""
    async with database().org(connection.org_id) as tx:
        await tx.execute(
            "insert into integration_rate_limits as l (org_id, connection_id, bucket, next_free_at)"
            " values (%(org)s, %(id)s, %(bucket)s, clock_timestamp() + %(span)s * interval '1 second')"
            " on conflict (connection_id, bucket) do update set next_free_at ="
            " greatest(l.next_free_at, clock_timestamp() + %(span)s * interval '1 second')",
            {"org": connection.org_id, "id": connection.id, "bucket": bucket, "span": seconds},
        )
