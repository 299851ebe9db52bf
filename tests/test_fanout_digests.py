"""What becomes of a digest's members when its carrier is not sent, or fails."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from fanout_fixtures import Ledger
from fanout_steps import advance, begun, cancelled, state_of

from atlvs.db import consents, deliveries, ending
from atlvs.db.engine import database
from atlvs.records import Outcome, Word
from blocks.base import resources
from tasks.notify.digests import gather

SMS = [{"channel": "sms", "address": "+14155552671"}]
FALLBACK = orjson.dumps(SMS).decode()


@pytest.fixture(autouse=True)
async def _open() -> AsyncIterator[None]:
    async with resources():
        yield


async def digest(ledger: Ledger, number: int = 2, **columns: Any) -> list[tuple[UUID, UUID]]:
    """Notifications to one person's digest, gathered: (notification, delivery), the carrier first."""
    made: list[tuple[UUID, UUID]] = []
    for _ in range(number):
        live = ledger.notification("task_due_soon")
        made.append((live, ledger.delivery(live, digest="ada", **columns)))
    assert await gather(ledger.org, "email") == 1
    assert [ledger.states()[one] for _, one in made] == ["queued", *["digested"] * (number - 1)]
    return made


async def test_what_has_expired_carries_no_digest(ledger: Ledger):
    late = ledger.notification("task_due_soon", expires_at="2026-01-01")
    first = ledger.delivery(late, digest="ada")
    second = ledger.delivery(ledger.notification("task_due_soon"), digest="ada")
    assert await gather(ledger.org, "email") == 0
    [found] = await deliveries.claim(ledger.org, "email", uuid4(), 9)
    assert found.id == second
    assert ledger.of(first, "state") == ("skipped",)


async def test_a_carrier_that_comes_too_late_lets_its_members_go(ledger: Ledger):
    (late, first), (other, second) = await digest(ledger)
    assert await ending.finish_ended(ledger.org) == 1  # the other
    ledger.rows(
        "update integration_notifications set expires_at = now() - interval '1 s' where id = %s",
        late,
    )
    found = [one.id for one in await deliveries.claim(ledger.org, "email", uuid4(), 9)]
    assert found == [second]
    assert ledger.of(first, "state") == ("skipped",)
    assert state_of(ledger, other) == "sending"


async def test_a_cancelled_carrier_lets_its_members_go(ledger: Ledger):
    (live, first), (_, second), (_, third) = await digest(ledger, 3)
    twin = ledger.delivery(live, "twin@example.com", state="digested", digest_of=first)
    await cancelled(ledger, live)
    assert ledger.states() == {
        first: "cancelled",
        second: "queued",
        third: "queued",
        twin: "cancelled",
    }
    assert ledger.of(second, "digest_of") == (None,)
    assert await gather(ledger.org, "email") == 1  # the others, without it
    [found] = await deliveries.claim(ledger.org, "email", uuid4(), 9)
    assert found.id == second
    assert sum(isinstance(value, list) and len(value) == 2 for value in found.data.values()) == 1


async def test_a_cancelled_member_is_not_told_with_the_digest(ledger: Ledger):
    (_, first), (live, second), (_, third) = await digest(ledger, 3)
    await cancelled(ledger, live)
    assert ledger.states() == {first: "queued", second: "cancelled", third: "queued"}
    assert await gather(ledger.org, "email") == 1
    [found] = await deliveries.claim(ledger.org, "email", uuid4(), 9)
    assert found.id == first
    assert sum(isinstance(value, list) and len(value) == 2 for value in found.data.values()) == 1


async def test_members_share_their_carriers_failure_and_take_their_own_fallback(ledger: Ledger):
    (_, first), (live, second), (_, third) = await digest(ledger, 3)
    ledger.rows(
        "update integration_deliveries set fallback = %s::jsonb where id <> %s", FALLBACK, third
    )
    await ending.finish_ended(ledger.org)
    assert state_of(ledger, live) == "done"
    await begun(ledger)
    await advance(ledger.org, Outcome(first, "sent", provider_id="m1"))
    await advance(ledger.org, Outcome(first, "bounced", provider_id="m1", code="5.1.1"))
    assert (
        ledger.states().items() >= {first: "bounced", second: "bounced", third: "bounced"}.items()
    )
    assert ledger.of(second, "code", "digest_of") == ("5.1.1", None)
    assert state_of(ledger, live) == "sending"
    texts = await deliveries.claim(ledger.org, "sms", uuid4(), 9)
    assert len({one.notification_id for one in texts}) == len(texts) == 2
    assert not any(isinstance(value, list) for one in texts for value in one.data.values())


async def test_a_carrier_refused_at_the_last_moment_tells_its_members(ledger: Ledger):
    (_, first), (_, second) = await digest(ledger)
    ledger.rows("update integration_deliveries set fallback = %s::jsonb", FALLBACK)
    async with database().org(ledger.org) as tx:
        word = Word("email", "ada@example.com", "refused", "unsubscribe", "page")
        await consents.record(tx, ledger.org, [word])
    await begun(ledger)
    assert ledger.states().items() >= {first: "suppressed", second: "suppressed"}.items()
    assert len(await deliveries.claim(ledger.org, "sms", uuid4(), 9)) == 2


async def test_only_one_address_shares_a_digest(ledger: Ledger):
    for address in ("old@example.com", "new@example.com"):
        for _ in range(2):
            live = ledger.notification("task_due_soon")
            ledger.delivery(live, address, recipient="contact:1", digest="ada")
    assert await gather(ledger.org, "email") == 2
    found = await deliveries.claim(ledger.org, "email", uuid4(), 9)
    assert sorted(one.address for one in found) == ["new@example.com", "old@example.com"]
