"""Subscriptions to domain events: one an organization, event and address.

active → disabled (it only failed), gone (its target said 410), ended (unsubscribed, or its key revoked),
paused (by a person; events are kept for it). Addresses and secrets are sealed.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from atlvs.crypto import key_ring
from atlvs.db.engine import Transaction, database
from atlvs.db.hook_health import hurry
from atlvs.errors import Rejected
from atlvs.hooks import ROTATION, Hook, new_secret
from atlvs.settings import settings
from atlvs.targets import plainest

COLUMNS = """
    h.id, h.org_id, h.event, h.shown as target, h.state, h.secrets, h.zap_id, h.own_writes, h.reason, h.failures,
    h.failing_since, h.rests_until, h.last_success_at, h.created_at
"""
KEEPS = ("active", "paused")  # states in which events are kept for it
BEGIN = f"""
    insert into integration_hooks as h
        (org_id, event, target, target_hash, shown, api_key_id, zap_id, own_writes, secrets)
    values (%(org)s, %(event)s, %(target)s, %(hash)s, %(shown)s, %(key)s, %(zap)s, %(own)s, %(secrets)s)
    on conflict (org_id, event, target_hash) do update set
        state = 'active', reason = null, failures = 0, failing_since = null, rests_until = null,
        farewell_at = null, farewells = 0, api_key_id = excluded.api_key_id, zap_id = excluded.zap_id,
        own_writes = excluded.own_writes, updated_at = now(), created_at = now(),
        secrets = excluded.secrets, rotated_at = null
    where h.state not in ('active', 'paused')
    returning {COLUMNS}
"""
KEEP = f"""
    update integration_hooks as h set api_key_id = %(key)s, zap_id = coalesce(%(zap)s, h.zap_id),
        own_writes = %(own)s, state = 'active', reason = null, updated_at = now()
    where event = %(event)s and target_hash = %(hash)s returning {COLUMNS}
"""


async def subscribe(
    org_id: UUID,
    key_id: UUID | None,
    event: str,
    target_url: str,
    shown: str,
    *,
    zap_id: str | None = None,
    own_writes: bool = False,
) -> tuple[Hook, bool]:
    """The subscription, and whether it is new. One that had ended begins anew, with a new secret.

    Rejected with the code "key_revoked" when its key is revoked by now.
    """
    given = {
        "org": org_id,
        "event": event,
        "target": _sealed(target_url.encode(), org_id),
        "hash": hashlib.sha256(plainest(target_url).encode()).digest(),
        "shown": shown,
        "key": key_id,
        "zap": zap_id,
        "own": own_writes,
        "secrets": _sealed(orjson.dumps([new_secret()]), org_id),
    }
    async with database().org(org_id) as tx:
        if key_id:
            await _check_key(tx, key_id)
        if begun := await (await tx.execute(BEGIN.encode(), given)).fetchone():
            return _hook(begun), True
        kept = await (await tx.execute(KEEP.encode(), given)).fetchone()
    if kept is None:
        raise Rejected("hooks", "the subscription ended at the same moment. Subscribe again.")
    return _hook(kept), False


async def _check_key(tx: Transaction, key_id: UUID) -> None:
    """Whoever revokes it waits for us, and ends what we begin."""
    cursor = await tx.execute(
        "select from integration_api_keys where id = %s and revoked_at is null for share", [key_id]
    )
    if await cursor.fetchone() is None:
        raise Rejected("hooks", "this API key is revoked.", code="key_revoked")


async def unsubscribe(org_id: UUID, hook_id: UUID) -> bool:
    """End it, whoever made it; False when there was none. Repeatable."""
    async with database().org(org_id) as tx:
        return bool(await _end(tx, "id = %(id)s", {"id": hook_id}, "unsubscribed", False))


async def end_of_key(tx: Transaction, org_id: UUID, key_id: UUID) -> int:
    """End what a key that is being revoked has subscribed; its Zaps are paused soon. Returns how many."""
    del org_id  # the transaction's
    where = "api_key_id = %(id)s and state <> 'ended'"
    return await _end(tx, where, {"id": key_id}, "its API key was revoked", True)


async def end_all(tx: Transaction, reason: str) -> int:
    """End every subscription of the transaction's organization, and pause its Zaps."""
    return await _end(tx, "state <> 'ended'", {}, reason, True)


async def disable(org_id: UUID, hook_id: UUID, reason: str) -> bool:
    """Stop posting to it until a person enables it. What waits for it is not sent."""
    async with database().org(org_id) as tx:
        return await close(tx, hook_id, "disabled", reason)


async def close(
    tx: Transaction, hook_id: UUID, state: str, reason: str, *, begun: datetime | None = None
) -> bool:
    """Stop posting to it, in this state; what waits is a dead letter. False when it is stopped already, or
    has begun anew since `begun`: an answer to its former life does not end it.

    Who queues for it is waited for: what is queued by then is found.
    """
    cursor = await tx.execute(
        "with held as materialized (select id from integration_hooks where id = %(id)s and state in ('active', 'paused')"
        " and coalesce(created_at = %(begun)s, true) for update)"
        " update integration_hooks as h set state = %(state)s, reason = %(reason)s, updated_at = now()"
        " from held where h.id = held.id returning h.id",
        {"id": hook_id, "state": state, "reason": reason, "begun": begun},
    )
    closed = await cursor.fetchone() is not None
    if closed:
        await _bury(tx, [hook_id], f"the subscription is {state}: {reason}")
    return closed


async def enable(org_id: UUID, hook_id: UUID) -> bool:
    """Post to it again, and what waits within a minute; False when it has ended or was never there."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "update integration_hooks set state = 'active', reason = null, failures = 0, failing_since = null,"
            " rests_until = null, updated_at = now() where id = %s and state not in ('ended', 'gone') returning id",
            [hook_id],
        )
        found = await cursor.fetchone() is not None
        if found:
            await hurry(tx, hook_id, refused=True)
        await wake(tx)
    return found


async def pause(org_id: UUID, hook_id: UUID) -> bool:
    """Keep its events until it is enabled."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "update integration_hooks set state = 'paused', reason = 'paused by a person', updated_at = now()"
            " where id = %s and state = 'active'",
            [hook_id],
        )
    return bool(cursor.rowcount)


async def rotate(org_id: UUID, hook_id: UUID) -> str:
    """A new secret. For a day posts are signed with the former one too."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            "select secrets from integration_hooks where id = %s and state <> 'ended' for update",
            [hook_id],
        )
        row = await cursor.fetchone()
        if row is None:
            raise Rejected("hooks", "there is no such subscription.", code="not_found")
        keys = [new_secret(), _opened(row["secrets"], org_id)[0]]
        await tx.execute(
            "update integration_hooks set secrets = %s, rotated_at = now() where id = %s",
            [_sealed(orjson.dumps(keys), org_id), hook_id],
        )
    return keys[0]


async def find(org_id: UUID, hook_id: UUID) -> Hook | None:
    """One subscription."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            f"select {COLUMNS} from integration_hooks as h where id = %s".encode(), [hook_id]
        )
        row = await cursor.fetchone()
    return _hook(row) if row else None


async def every(org_id: UUID, *, key_id: UUID | None = None, ended: bool = False) -> list[Hook]:
    """An organization's subscriptions, newest first; of one key if it is given."""
    async with database().org(org_id) as tx:
        cursor = await tx.execute(
            f"select {COLUMNS} from integration_hooks as h where (%(key)s::uuid is null or api_key_id = %(key)s)"
            " and (%(ended)s or state <> 'ended') order by created_at desc, id".encode(),
            {"key": key_id, "ended": ended},
        )
        return [_hook(row) for row in await cursor.fetchall()]


async def owner_of(tx: Transaction, hook_id: UUID) -> str | None:
    """The e-mail address of whom its key belongs to, if one was told."""
    cursor = await tx.execute(
        "select k.org_id, k.owner_email from integration_hooks as h"
        " join integration_api_keys as k on k.id = h.api_key_id where h.id = %s and k.owner_email is not null",
        [hook_id],
    )
    row = await cursor.fetchone()
    ring = key_ring(settings())
    return ring.open(bytes(row["owner_email"]), str(row["org_id"])).decode() if row else None


async def named(tx: Transaction, hook_id: UUID) -> dict[str, Any]:
    """What a person knows it by: event, shown, updated_at."""
    cursor = await tx.execute(
        "select event, shown, updated_at from integration_hooks where id = %s", [hook_id]
    )
    row = await cursor.fetchone()
    if row is None:
        raise Rejected("hooks", "there is no such subscription.", code="not_found")
    return row


async def wake(tx: Transaction) -> None:
    """Have the drainer look, when this transaction ends."""
    await tx.execute("select pg_notify('integration_hooks', '')")


def target_in(row: dict[str, Any]) -> str:
    """The address of a row with `target` and `org_id`."""
    return key_ring(settings()).open(bytes(row["target"]), str(row["org_id"])).decode()


def keys_in(row: dict[str, Any]) -> list[str]:
    """The secrets that sign now, newest first, of a row with `secrets`, `rotated_at` and `org_id`."""
    keys = _opened(row["secrets"], row["org_id"])
    since: datetime | None = row["rotated_at"]
    return keys if since and datetime.now(UTC) - since < ROTATION else keys[:1]


async def _end(
    tx: Transaction, where: str, given: dict[str, Any], reason: str, farewell: bool
) -> int:
    cursor = await tx.execute(
        f"with held as materialized (select id from integration_hooks where {where} order by id for update)"
        " update integration_hooks as h set state = 'ended', reason = %(reason)s, updated_at = now(),"
        " farewell_at = case when %(farewell)s and h.state in ('active', 'paused', 'disabled') then now() end"
        " from held where h.id = held.id returning h.id".encode(),
        {"reason": reason, "farewell": farewell} | given,
    )
    ids = [row["id"] for row in await cursor.fetchall()]
    if ids:
        await _bury(tx, ids, reason)
        await wake(tx)
    return len(ids)


async def _bury(tx: Transaction, ids: Sequence[UUID], reason: str) -> None:
    await tx.execute(
        "update integration_hook_deliveries set state = 'dead', reason = %s, done_at = clock_timestamp()"
        " where hook_id = any(%s) and state = 'waiting'",
        [reason, list(ids)],
    )


def _hook(row: dict[str, Any]) -> Hook:
    secret = _opened(row.pop("secrets"), row["org_id"])[0]
    return Hook(**row, secret=secret)


def _sealed(plain: bytes, org_id: UUID) -> bytes:
    return key_ring(settings()).seal(plain, str(org_id))


def _opened(sealed: bytes, org_id: UUID) -> list[str]:
    return orjson.loads(key_ring(settings()).open(bytes(sealed), str(org_id)))
