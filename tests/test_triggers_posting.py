"""Domain events reach those who subscribed: signed, in order per record, at least once."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from conftest import Rows
from sandbox_client import Sandbox
from sandbox_zapier_client import ZapierAccount
from standardwebhooks import Webhook

from atlvs.db import hook_queue, hooks
from atlvs.settings import settings
from blocks.base import resources
from tasks.triggers.draining import Told, drain_triggers
from tasks.triggers.subscribing import subscribe


@pytest.fixture
def hooks_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks may be posted to this machine, fast."""
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    monkeypatch.setenv("ATLVS_HOOKS_PER_SECOND", "1000")
    settings.cache_clear()


async def drained(seconds: float = 20) -> Told:
    async with resources():
        return await drain_triggers(seconds)


@pytest.fixture
def zaps(sandbox: Sandbox, hooks_here: None) -> ZapierAccount:
    return ZapierAccount(sandbox)


def contacts(rows: Rows, org: UUID, number: int, name: str = "Ada") -> list[UUID]:
    """Contacts made by plain SQL, in one statement."""
    sql = (
        "insert into contacts (org_id, first_name, email) select %s, %s, 'p' || i || '@example.net'"
        " from generate_series(1, %s) as i returning id"
    )
    return [row[0] for row in rows(sql, org, name, number)]


def states(rows: Rows) -> Counter[str]:
    found = rows("select state, count(*) from integration_hook_deliveries group by state")
    return Counter(dict(found))


async def test_a_change_reaches_its_subscribers(rows: Rows, org: UUID, zaps: ZapierAccount):
    target = zaps.target()
    hook, new = await subscribe(org, None, "contact.created", target)
    assert new
    assert hook.state == "active"
    zaps.verify(target, hook.secret, strict=True)
    [contact] = contacts(rows, org, 1)
    rows("update contacts set first_name = 'Eve' where id = %s", contact)  # nobody listens
    told = await drained()
    assert told.posts == {"delivered": 1}
    [post] = zaps.received(target)
    [(event, occurred_at)] = rows(
        "select id, occurred_at from integration_outbox where type = 'contact.created'"
    )
    body = post["body"]
    assert body["id"] == str(event) == post["headers"]["webhook-id"]
    assert body["type"] == "contact.created"
    assert body["org_id"] == str(org)
    assert body["occurred_at"] == occurred_at.isoformat()
    assert body["data"]["first_name"] == "Ada"
    assert body["data"]["id"] == str(contact)
    assert states(rows) == {"delivered": 1}
    assert (await drained()).posts == {}
