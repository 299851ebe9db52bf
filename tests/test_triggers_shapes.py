"""What is posted has one shape, the sample's, and nothing of the platform's own."""

from base64 import b64encode
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from conftest import Rows
from existing_platform import Platform
from outbox_cases import INVOICE
from sandbox_client import Sandbox
from sandbox_zapier_client import ZapierAccount

from atlvs.db.outbox import Happened
from atlvs.hooks import TRIGGERS
from atlvs.settings import settings
from blocks.base import resources
from tasks.triggers import announcing
from tasks.triggers.draining import drain_triggers
from tasks.triggers.samples import samples
from tasks.triggers.subscribing import subscribe

pytest_plugins = ["platform_fixtures"]


@pytest.fixture
def shaped_zaps(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> ZapierAccount:
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", b64encode(bytes(32)).decode())
    settings.cache_clear()
    return ZapierAccount(sandbox)


async def drained() -> None:
    async with resources():
        await drain_triggers(20)


async def test_platforms_own_columns_stay_with_it(adopted: Platform, shaped_zaps: ZapierAccount):
    target = shaped_zaps.target()
    for event in ("contact.created", "contact.updated"):
        await subscribe(adopted.mine, None, event, target)
    [sample] = await samples(adopted.mine, "contact.created", 1)
    adopted(
        "alter table crm_people add column password_hash text, add column event_id text",
        "insert into crm_people (tenant_id, mail, password_hash, event_id)"
        f" values ('{adopted.mine}', 'x@y.test', 'argon2id', 'EVT-1')",
        "update crm_people set password_hash = 'bcrypt', first_name = 'Eve' where mail = 'x@y.test'",
    )
    await drained()
    bodies = {post["type"]: post["body"] for post in shaped_zaps.received(target)}
    created, updated = bodies["contact.created"], bodies["contact.updated"]
    assert created["data"].keys() == sample["data"].keys()
    assert updated["data"].keys() == created["data"].keys() | {"changed_fields", "previous"}
    assert updated["data"]["changed_fields"] == ["first_name"]
    for body in (created, updated):
        assert not {"password_hash", "shoe_size", "event_id", "event"} & set(body["data"])
    [newest] = await samples(adopted.mine, "contact.created", 1)
    assert newest["data"] == created["data"]


async def test_columns_added_to_our_tables_are_not_posted(
    rows: Rows, org: UUID, shaped_zaps: ZapierAccount
):
    target = shaped_zaps.target()
    await subscribe(org, None, "contact.updated", target)
    rows("alter table contacts add column score int, add column password_hash text")
    rows("insert into contacts (org_id, email) values (%s, 'a@x.test')", org)
    rows("update contacts set score = 7, password_hash = 'x', phone = '+14155550100'")
    await drained()
    [post] = shaped_zaps.received(target)
    assert post["body"]["data"]["changed_fields"] == ["phone"]
    assert not {"score", "password_hash"} & set(post["body"]["data"])


@pytest.mark.parametrize("event", TRIGGERS)
async def test_sample_has_the_live_shape(
    rows: Rows, org: UUID, shaped_zaps: ZapierAccount, event: str
):
    rows("alter table contacts add column event_id text")
    made_up = (await samples(org, event))[0]
    live = await _happened(rows, org, event, shaped_zaps)
    again = (await samples(org, event))[0]
    assert made_up["data"].keys() == live["data"].keys()
    assert list(again["data"]) == list(live["data"])


async def _happened(rows: Rows, org: UUID, event: str, zaps: ZapierAccount) -> dict:
    target = zaps.target()
    await subscribe(org, None, event, target)
    [(fair,)] = rows("insert into events (org_id, name) values (%s, 'Fair') returning id", org)
    rows("update events set status = 'published'")
    rows("insert into contacts (org_id, email) values (%s, 'a@x.test')", org)
    rows("update contacts set phone = '+14155550100'")
    for name, status in (("leads", "won"), ("deals", "won"), ("deals", "lost")):
        rows(f"insert into {name} (org_id, name) values (%s, 'One')", org)
        rows(f"update {name} set status = %s", status)
    rows("insert into registrations (org_id, event_id) values (%s, %s)", org, fair)
    for status in ("confirmed", "cancelled"):
        rows("update registrations set status = %s", status)
    rows("insert into tasks (org_id, title) values (%s, 'Build')", org)
    rows("update tasks set status = 'done'")
    rows("insert into invoices (org_id) values (%s)", org)
    rows("update invoices set status = 'paid'")
    await drained()
    posts = [post["body"] for post in zaps.received(target)]
    assert {post["type"] for post in posts} == {event}
    return posts[-1]


async def test_paid_invoice_is_posted_once_in_one_shape(
    rows: Rows, org: UUID, shaped_zaps: ZapierAccount
):
    target = shaped_zaps.target()
    await subscribe(org, None, "invoice.paid", target)
    [sample] = await samples(org, "invoice.paid", 1)
    [(ours,)] = rows("insert into invoices (org_id, status) values (%s, 'open') returning id", org)
    mirrored = {"org_id": org} | INVOICE | {"status": "paid"}
    rows(
        f"insert into stripe_invoices ({', '.join(mirrored)})"
        f" values ({', '.join(['%s'] * len(mirrored))})",
        *mirrored.values(),
    )
    await drained()
    rows("update stripe_invoices set invoice_id = %s", ours)
    rows("update invoices set status = 'paid'")
    await drained()
    [post] = shaped_zaps.received(target)
    assert post["body"]["data"]["id"] == str(ours)
    assert post["body"]["data"].keys() == sample["data"].keys()
    told = rows("select record_type from integration_outbox where type = 'invoice.paid'")
    assert sorted(told) == [("invoices",), ("stripe_invoices",)]  # notifications hear of both
    newest = await samples(org, "invoice.paid")
    assert [one["data"]["id"] for one in newest] == [str(ours)]


def test_prefect_hears_of_our_columns_only(org: UUID):
    one = Happened(
        id=uuid4(),
        seq=1,
        org_id=org,
        type="contact.updated",
        record_type="contacts",
        record_id=uuid4(),
        data={},
        changed={"password_hash": "x", "email": "a@x.test"},
        source="platform",
        occurred_at=datetime.now(UTC),
    )
    assert announcing._event(one).payload["changed_fields"] == ["email"]
