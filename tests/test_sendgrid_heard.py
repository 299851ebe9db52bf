"""Events through a real receiver: what becomes of deliveries, and of those of unknown outcome."""

from __future__ import annotations

from asyncio import sleep
from datetime import UTC, datetime
from itertools import permutations
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from connector_samples import signed_by_sendgrid
from sendgrid_client import Post
from sendgrid_deliveries import (
    fields_of,
    mail_delivery,
    mail_states,
    mail_words,
    stored_mail,
)
from web_client import serving

from atlvs.db import connections
from atlvs.db.engine import database
from atlvs.db.inbox import Waiting
from atlvs.settings import settings
from blocks.base import release
from blocks.sendgrid import SendGrid
from tasks.inbox import drain
from tasks.sendgrid import SENDERS, apply_changes, prepare
from tasks.sendgrid.changes import Changes, fetch_changes

pytest_plugins = ["sendgrid_fixtures"]
SENDER = SENDERS["email"]  # pyright: ignore[reportArgumentType]
DELIVERY = "00000000-0000-4000-8000-000000000001"


def waiting(event_id: str, **payload: Any) -> Waiting:
    return Waiting(1, uuid4(), uuid4(), event_id, "", "", payload, 1, datetime.now(UTC))


async def told(rows: Any, count: int) -> None:
    """Wait for events, and handle them."""
    end = monotonic() + 60
    while rows("select count(*) from integration_inbox")[0][0] < count:
        assert monotonic() < end, rows("select type, lane from integration_inbox")
        await sleep(0.02)
    drained = await drain()
    assert drained.failed == drained.postponed == 0


@pytest.fixture
async def heard(org: UUID, mail_account: Post, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A connection whose events come to a real receiver."""
    monkeypatch.setenv("ATLVS_SETTLE_SECONDS", "0.5")
    await connections.save(org, "sendgrid", "default", fields_of(mail_account))
    with serving() as address:
        monkeypatch.setenv("PUBLIC_BASE_URL", address)
        settings.cache_clear()
        async with SendGrid.opened() as connector:
            done = await prepare.fn(connector)
            stored = connector.stored_fields() | done.fields
        await connections.save(org, "sendgrid", "default", stored)
        async with SendGrid.opened() as connector:
            yield connector
    await release()


async def test_what_becomes_of_each_mail_is_heard(
    heard: SendGrid, mail_account: Post, rows: Any, org: UUID
):
    kinds = {
        "deliver": "delivered",
        "bounce": "bounced",
        "block": "failed",
        "invalid": "suppressed",
        "defer": "delivered",
        "stuck": "failed",
        "swallow": "sent",
        "open": "opened",
        "click": "opened",
        "spam": "delivered",
        "unsubscribe": "delivered",
    }
    mail_account.tell(
        "settings",
        mailboxes={f"@{kind}.example": kind for kind in kinds},
        defer_seconds=0.02,
        duplicate_events=0.5,
        shuffle_events=True,
    )
    call, notification = uuid4(), uuid4()
    batch = [
        await stored_mail(
            rows, org, address=f"a@{kind}.example", notification_id=notification, call_id=call
        )
        for kind in kinds
    ]
    await SENDER.turn(heard, batch)
    await SENDER.send(heard, batch)
    await told(rows, 25)
    await told(rows, sum(mail_account.ask("told").values()))
    found = {
        address.partition("@")[2].partition(".")[0]: state
        for address, (state, *_) in mail_states(rows).items()
    }
    assert found == kinds
    assert {word[:1] + word[2:] for word in mail_words(rows)} == {
        ("a@bounce.example", "unreachable", "bounce"),
        ("a@invalid.example", "unreachable", "invalid address"),
        ("a@spam.example", "refused", "spam report"),
        ("a@unsubscribe.example", "refused", "unsubscribe"),
    }
    assert rows("select count(*) from integration_inbox where state in ('waiting', 'dead')") == [
        (0,)
    ]
    stored = str(rows("select payload from integration_inbox"))
    assert "Mozilla" not in stored
    assert "203.0.113" not in stored


async def test_one_that_was_heard_of_settles_its_call(
    heard: SendGrid, mail_account: Post, rows: Any, org: UUID
):
    mail_account.tell("settings", mailboxes={"@lose.example": "lose"})
    mail_account.fault("500_after", provider="sendgrid", times=1, path="mail/send")
    call, notification = uuid4(), uuid4()
    batch = [
        await stored_mail(
            rows, org, "unknown", address=address, notification_id=notification, call_id=call
        )
        for address in ("a@example.org", "b@lose.example")
    ]
    with pytest.raises(Exception, match="internal server error"):
        await SENDER.send(heard, batch)
    await told(rows, 2)
    assert {address: state for address, (state, *_) in mail_states(rows).items()} == {
        "a@example.org": "delivered",
        "b@lose.example": "sent",  # it went out with the others
    }


async def test_lost_for_good_is_sent_again_once_that_is_proven(
    heard: SendGrid, mail_account: Post, rows: Any, org: UUID
):
    """Events of what was sent later prove that the webhook lives."""
    lost = await stored_mail(rows, org, "unknown", address="lost@example.org")
    news = await stored_mail(rows, org, "unknown", kind="announcement", address="n@example.org")
    assert [one.state for one in await SENDER.look(heard, [lost, news])] == ["unknown"] * 2
    rows("update integration_deliveries set sending_at = now() - interval '10 minutes'")
    lost, news = (
        mail_delivery(
            org, one.type, id=one.id, sending_at=rows("select now() - interval '10 minutes'")[0][0]
        )
        for one in (lost, news)
    )
    assert [one.state for one in await SENDER.look(heard, [lost])] == [
        "unknown"
    ]  # nothing was told at all
    later = await stored_mail(rows, org, address="later@example.org")
    await SENDER.send(heard, [later])
    await told(rows, 2)
    outcomes = await SENDER.look(heard, [lost, news])
    assert [one.state for one in outcomes] == ["queued", "unknown"]  # nobody wants news twice
    rows(
        "update integration_inbox set state = 'waiting', received_at = now() - interval '10 minutes'"
    )
    assert [one.state for one in await SENDER.look(heard, [lost])] == ["unknown"]


async def test_groups_and_wrong_signatures(
    heard: SendGrid, mail_account: Post, rows: Any, org: UUID
):
    group = mail_account.sow(groups=[{"name": "Tasks"}])["groups"]["Tasks"]
    stored = heard.stored_fields() | {"unsubscribe_groups": {"tasks": group}}
    await connections.save(org, "sendgrid", "default", stored)
    async with SendGrid.opened() as connector:
        one = await stored_mail(rows, org)
        await SENDER.send(connector, [one])
    mail_account.act("group_unsubscribe", "ada@example.org")
    await told(rows, 3)
    assert mail_words(rows) == [("ada@example.org", "tasks", "refused", "unsubscribe")]
    mail_account.act("group_resubscribe", "ada@example.org")
    await told(rows, 4)
    assert mail_words(rows)[-1] == ("ada@example.org", "tasks", "allowed", "resubscribe")
    body = orjson.dumps([{"event": "bounce", "sg_event_id": "x", "email": "victim@example.org"}])
    answer = httpx.post(heard.webhook_url(), content=body, headers=signed_by_sendgrid(body, ""))
    assert answer.status_code == 401
    assert rows("select count(*) from integration_inbox where event_id = 'x'") == [(0,)]


@pytest.mark.parametrize("order", list(permutations(("processed", "delivered", "open"))), ids=str)
async def test_order_does_not_matter(
    mailer: SendGrid, rows: Any, org: UUID, order: tuple[str, ...]
):
    one = await stored_mail(rows, org)
    for kind in [*order, *order]:
        changes, told_of = Changes(), {"event": kind, "atlvs_delivery": str(one.id)}
        found = await fetch_changes(mailer, [waiting(kind, **told_of)])
        assert found
        changes.update(found)
        async with database().org(org) as tx:
            await apply_changes(tx, mailer.connection, changes)
    assert mail_states(rows)[one.address][0] == "opened"


async def test_deliveries_of_another_organization_stay(mailer: SendGrid):
    told_of = {"event": "delivered", "atlvs_delivery": DELIVERY, "atlvs_org": str(uuid4())}
    assert await fetch_changes(mailer, [waiting("e", **told_of)]) is None
