"""Domain events reach those who subscribed: signed, in order per record, at least once."""

import asyncio
from collections import Counter
from uuid import UUID, uuid4

import orjson
import pytest
from conftest import Rows
from hooked_world import failing_for_days
from sandbox_client import Sandbox
from sandbox_zapier_client import ZapierAccount
from standardwebhooks import Webhook

from atlvs.db import api_keys, hooks
from atlvs.db.engine import database
from atlvs.hooks import payload
from atlvs.settings import settings
from blocks.base import resources
from tasks.notify.routing import route_events
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


async def test_what_changed_is_told(rows: Rows, org: UUID, zaps: ZapierAccount):
    target = zaps.target()
    for event in ("contact.updated", "lead.status_changed", "deal.won"):
        await subscribe(org, None, event, target)
    [contact] = contacts(rows, org, 1)
    rows("update contacts set first_name = 'Eve', phone = null where id = %s", contact)
    rows(
        "update contacts set updated_at = now() where id = %s", contact
    )  # nothing that anybody sees
    [(lead,)] = rows("insert into leads (org_id, name) values (%s, 'Fair') returning id", org)
    rows("update leads set status = 'qualified' where id = %s", lead)
    rows(
        "insert into deals (org_id, contact_id, name, amount_cents, currency, status)"
        " values (%s, %s, 'Gala', 125050, 'eur', 'won')",
        *(org, contact),
    )
    assert (await drained()).posts == {"delivered": 3}
    told = {post["type"]: post["body"]["data"] for post in zaps.received(target)}
    assert told["contact.updated"]["changed_fields"] == ["first_name"]
    assert told["contact.updated"]["previous"] == {"first_name": "Ada"}
    change = told["lead.status_changed"]
    assert (change["from_status"], change["to_status"]) == ("new", "qualified")
    won = told["deal.won"]
    assert (won["amount_cents"], won["amount"], won["currency"]) == (125050, "1250.50", "eur")
    assert won["contact"]["email"] == "p1@example.net"


async def test_a_record_keeps_its_order_while_others_go_on(
    rows: Rows, org: UUID, zaps: ZapierAccount
):
    target = zaps.target()
    await subscribe(org, None, "contact.updated", target)
    people = contacts(rows, org, 20)
    for number in range(10):
        rows("update contacts set last_name = %s", str(number))
    zaps.mix(target, {"kind": "slow", "seconds": 0.02, "weight": 1}, {"kind": "ok", "weight": 2})
    assert (await drained()).posts == {"delivered": 200}
    assert zaps.counts(target)["repeated"] == {}
    order = zaps.order(target)
    assert (order["records"], order["backwards"]) == (len(people), [])


async def test_one_refused_event_holds_up_its_record_only(
    rows: Rows, org: UUID, zaps: ZapierAccount
):
    target = zaps.target()
    hook, _ = await subscribe(org, None, "contact.updated", target)
    first, second = contacts(rows, org, 2)
    zaps.behave(target, "status", status=422, times=1)
    rows("update contacts set last_name = 'a' where id = %s", first)
    assert (await drained()).posts == {"refused": 1}
    rows("update contacts set last_name = 'b'")
    assert (await drained()).posts == {"delivered": 1}
    assert [post["record"] for post in zaps.accepted(target)] == [str(second)]
    rows("update integration_hook_deliveries set due_at = now() where state = 'waiting'")
    assert (await drained()).posts == {"delivered": 2}
    assert zaps.order(target)["backwards"] == []
    found = await hooks.find(org, hook.id)
    assert found
    assert (found.failures, found.failing_since) == (0, None)
    outcomes = rows("select outcome, status, response from integration_hook_attempts order by id")
    assert [row[:2] for row in outcomes] == [("refused", 422)] + [("delivered", 200)] * 3


@pytest.mark.parametrize("kind", ["close", "garbage", "fail_times"])
async def test_a_target_in_trouble_rests_and_is_tried_with_one(
    rows: Rows, org: UUID, zaps: ZapierAccount, kind: str
):
    target = zaps.target()
    hook, _ = await subscribe(org, None, "contact.created", target)
    zaps.behave(target, kind, times=1_000)
    contacts(rows, org, 100)
    first = sum((await drained()).posts.values())
    assert 1 <= first <= 32
    assert (await drained()).posts == {}  # it rests
    for failures in (2, 3):
        rows("update integration_hooks set rests_until = now()")
        assert sum((await drained()).posts.values()) == 1
        found = await hooks.find(org, hook.id)
        assert found
        assert found.failures == failures
    zaps.behave(target, "ok")
    rows("update integration_hooks set rests_until = now()")
    await drained()  # the outage is over: what it held up is due within a minute
    assert rows(
        "select count(*) from integration_hook_deliveries where due_at > now() + '1 min'"
    ) == [(0,)]
    rows("update integration_hook_deliveries set due_at = now() where state = 'waiting'")
    await drained()
    assert states(rows) == {"delivered": 100}
    assert zaps.counts(target)["distinct"] == 100


async def test_too_many_requests_are_not_a_failure(rows: Rows, org: UUID, zaps: ZapierAccount):
    target = zaps.target()
    hook, _ = await subscribe(org, None, "contact.created", target)
    zaps.behave(target, "status", status=429, headers={"Retry-After": "3"}, times=1)
    contacts(rows, org, 1)
    assert (await drained()).posts == {"limited": 1}
    [(wait, rest, tries)] = rows(
        "select extract(epoch from due_at - now()), extract(epoch from h.rests_until - now()), tries"
        " from integration_hook_deliveries, integration_hooks as h"
    )
    assert 1 < wait <= 3
    assert 1 < rest <= 3
    assert tries == 0
    await asyncio.sleep(float(rest))
    assert (await drained()).posts == {"delivered": 1}


async def test_the_pace_of_a_target_is_shared(
    rows: Rows, org: UUID, zaps: ZapierAccount, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ATLVS_HOOKS_PER_SECOND", "30")
    settings.cache_clear()
    target = zaps.target()
    zaps.limited(target)
    for event in ("contact.created", "contact.updated"):
        await subscribe(org, None, event, target)
    contacts(rows, org, 45)
    rows("update contacts set last_name = 'b'")
    told = await drained(30)
    assert told.posts == {"delivered": 90}  # no 429 in three seconds of thirty each


async def test_gone_ends_a_subscription_at_once(rows: Rows, org: UUID, zaps: ZapierAccount):
    target = zaps.target()
    hook, _ = await subscribe(org, None, "contact.created", target)
    zaps.switch_off(target)
    contacts(rows, org, 60)
    posts = (await drained()).posts
    assert set(posts) == {"gone"}
    found = await hooks.find(org, hook.id)
    assert found
    assert found.state == "gone"
    contacts(rows, org, 5)
    assert (await drained()).posts == {}
    assert states(rows) == {"dead": 60}
    again, new = await subscribe(org, None, "contact.created", target)
    assert (again.id, new) == (hook.id, True)
    assert again.secret != hook.secret


async def test_redirects_are_not_followed(rows: Rows, org: UUID, zaps: ZapierAccount):
    target, other = zaps.target(), zaps.target()
    await subscribe(org, None, "contact.created", target)
    zaps.behave(target, "redirect", status=307, to=other, times=1)
    contacts(rows, org, 1)
    assert (await drained()).posts == {"refused": 1}
    assert zaps.received(other) == []
    [(reason,)] = rows("select reason from integration_hook_deliveries")
    assert "redirects" in reason


async def test_only_failures_for_days_disable_it_and_tell_the_owner(
    rows: Rows, org: UUID, zaps: ZapierAccount
):
    target = zaps.target()
    hook, _ = await subscribe(org, None, "contact.created", target)
    zaps.behave(target, "status", status=500, times=10_000)
    contacts(rows, org, 3)
    await drained()
    failing_for_days(rows)
    rows("update integration_hooks set rests_until = null")
    rows("update integration_hook_deliveries set due_at = now()")
    await drained()
    found = await hooks.find(org, hook.id)
    assert found
    assert found.state == "disabled"
    assert "500" in str(found.reason)
    assert states(rows) == {"dead": 3}
    [(type, data, audience)] = rows("select type, data, audience from integration_notifications")
    assert type == "connection_trouble"
    assert str(hook.id) in data["mend"]
    assert audience["kind"] == "slack_channel"
    assert target not in str(data)
    assert await hooks.enable(org, hook.id)


async def test_secrets_rotate_and_both_sign(rows: Rows, org: UUID, zaps: ZapierAccount):
    target = zaps.target()
    hook, _ = await subscribe(org, None, "contact.created", target)
    new = await hooks.rotate(org, hook.id)
    contacts(rows, org, 1)
    await drained()
    [post] = zaps.received(target)
    [body] = posted_bodies(rows)
    for secret in (hook.secret, new):
        assert Webhook(secret).verify(body, post["headers"])
    rows("update integration_hooks set rotated_at = now() - interval '25 hours'")
    contacts(rows, org, 1)
    await drained()
    assert len(zaps.received(target)[1]["headers"]["webhook-signature"].split()) == 1


def posted_bodies(rows: Rows) -> list[bytes]:
    """The bytes that were posted, made again."""
    found = rows(
        "select id, type, occurred_at, org_id, data, changed from integration_outbox order by seq"
    )
    names = ("id", "type", "occurred_at", "org_id", "record", "changed")
    return [orjson.dumps(payload(**dict(zip(names, row, strict=True)), beside={})) for row in found]


@pytest.mark.parametrize(
    ("source", "zap", "own", "told"),
    [
        ("platform", "z1", False, 1),
        ("zapier:{key}:z1", "z1", False, 0),
        ("zapier:{key}:z2", "z1", False, 1),
        ("zapier:{key}:", "z1", False, 0),
        ("zapier:{key}:z1", None, False, 0),
        ("zapier:{key}:z1", "z1", True, 1),
        ("zapier:00000000-0000-0000-0000-000000000000:z1", "z1", False, 1),
    ],
)
async def test_a_zaps_own_write_does_not_start_it(
    rows: Rows, org: UUID, zaps: ZapierAccount, source: str, zap: str | None, own: bool, told: int
):
    _, key = await api_keys.create(org, "zap", ("zapier",))
    await subscribe(org, key.id, "contact.created", zaps.target(), zap_id=zap, own_writes=own)
    async with database().org(org, source=source.format(key=key.id)) as tx:
        await tx.execute("insert into contacts (org_id, first_name) values (%s, 'Ada')", [org])
    assert sum((await drained()).posts.values()) == told
    assert states(rows) == {"delivered" if told else "skipped": 1}


async def test_an_unsubscribed_one_hears_no_more(rows: Rows, org: UUID, zaps: ZapierAccount):
    target = zaps.target()
    hook, _ = await subscribe(org, None, "contact.created", target)
    contacts(rows, org, 2)
    await routed()
    assert await hooks.unsubscribe(org, hook.id)
    assert not await hooks.unsubscribe(uuid4(), hook.id)  # another organization's
    contacts(rows, org, 2)
    assert (await drained()).posts == {}
    assert states(rows) == {"dead": 2}
    assert zaps.received(target) == []


async def test_a_revoked_keys_zaps_are_paused(rows: Rows, org: UUID, zaps: ZapierAccount):
    target = zaps.target()
    _, key = await api_keys.create(org, "zap", ("zapier",))
    await subscribe(org, key.id, "contact.created", target)
    away, _ = await subscribe(org, key.id, "contact.updated", "http://127.0.0.1:9/hook")
    assert await api_keys.revoke(org, str(key.id)) == 1
    assert (await drained()).farewells == 1
    assert zaps.stats(target)["deleted"] == 1
    told = rows("select id, state, farewell_at > now() from integration_hooks order by event")
    assert [row[1:] for row in told] == [("ended", None), ("ended", True)]
    assert told[1][0] == away.id  # tried again later
    assert (await drained()).farewells == 0


async def test_organizations_hear_of_their_own_only(rows: Rows, org: UUID, zaps: ZapierAccount):
    [(other,)] = rows("insert into organizations (name) values ('Other') returning id")
    mine, theirs = zaps.target(), zaps.target()
    await subscribe(org, None, "contact.created", mine)
    await subscribe(other, None, "contact.created", theirs)
    contacts(rows, org, 2)
    contacts(rows, other, 3)
    await drained()
    assert {post["body"]["org_id"] for post in zaps.received(mine)} == {str(org)}
    assert {post["body"]["org_id"] for post in zaps.received(theirs)} == {str(other)}


async def routed() -> None:
    async with resources():
        await route_events()


async def test_what_json_cannot_hold_holds_nothing_up(rows: Rows, org: UUID, zaps: ZapierAccount):
    target = zaps.target()
    await subscribe(org, None, "contact.updated", target)
    rows("alter table contacts alter column locale type numeric using null")
    people = contacts(rows, org, 2)
    rows("update contacts set locale = 1e400 where id = %s", people[0])
    rows(
        "update contacts set locale = 12345678901234567890123, last_name = '\u202e<b>😀' where id = %s",
        people[1],
    )
    rows("update contacts set last_name = %s, locale = 1", "\u202e<b>😀")
    assert (await drained()).posts == {"delivered": 4}
    told = {post["body"]["data"]["locale"] for post in zaps.received(target)}
    assert told == {None, 12345678901234567890123.0, 1}
    assert {post["body"]["data"]["last_name"] for post in zaps.received(target)} == {
        None,
        "\u202e<b>😀",
    }
