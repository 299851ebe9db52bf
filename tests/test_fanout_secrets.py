"""Secret variables: of all recipients and of one, sealed while they wait, and wiped in the end."""

import asyncio
import base64
import os
from typing import Any
from uuid import UUID, uuid4

import pytest
from conftest import ENCRYPTION_KEY, Rows
from fanout_world import World, drained

from atlvs.crypto import key_ring
from atlvs.db import connections, notifications
from atlvs.db.engine import database
from atlvs.errors import Misconfigured
from atlvs.settings import settings
from blocks.base import resources
from tasks.notify.planning import plan
from tasks.notify.raising import raise_notification

pytest_plugins = ["notify_fixtures"]
FILE = {"filename": "ticket.pdf", "content": "JVBERi0xLjc=", "type": "application/pdf"}


def people(*given: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "people", "people": list(given)}


async def raised(org: UUID, audience: dict[str, Any], **more: Any) -> UUID:
    asked: dict[str, Any] = {"key": uuid4().hex, "origin": "test", "type": "ticket_delivery"}
    told = await raise_notification(org, audience=audience, **asked | more)
    return UUID(told["id"])


async def planned_now(org: UUID, id: UUID) -> notifications.Notification:
    async with resources():
        return await plan(org, id)


async def test_a_persons_own_secrets_are_sealed_and_wiped(notify_world: World, rows: Rows):
    org = notify_world.org
    own = [
        {"email": f"{name}@mail.test", "name": name.title()}
        | {"data": {"url": f"https://atlvs.test/{name}", "attachments": [FILE], "ticket": "VIP"}}
        for name in ("ada", "bob")
    ]
    plain = {"email": "eve@mail.test"}
    data = {"event_name": "Gala", "url": "https://atlvs.test/all"}
    live = await raised(org, people(*own, plain), data=data)
    for step in (None, planned_now(org, live)):
        await (step or asyncio.sleep(0))
        whole = str(rows("select n::text from integration_notifications as n"))
        whole += str(rows("select d::text from integration_deliveries as d"))
        assert "atlvs.test/" not in whole
        assert FILE["content"] not in whole
    assert rows("select sealed_people is null from integration_notifications") == [(True,)]
    assert rows("select count(sealed) from integration_deliveries") == [(2,)]
    [(sealed,)] = rows("select sealed from integration_deliveries where address like 'ada%%'", *())
    with pytest.raises(Misconfigured, match="does not belong"):
        key_ring(settings()).open(bytes(sealed), str(uuid4()))
    await drained()
    got = {mail["recipient"]: mail for mail in notify_world.mail.ask("received")}
    assert {to: mail["attachments"] for to, mail in got.items()} == {
        "ada@mail.test": ["ticket.pdf"],
        "bob@mail.test": ["ticket.pdf"],
        "eve@mail.test": [],
    }
    for name, link in {"ada": "ada", "bob": "bob", "eve": "all"}.items():
        assert f"https://atlvs.test/{link}" in got[f"{name}@mail.test"]["text"]


@pytest.mark.parametrize("end", ["cancelled", "refused", "done"])
async def test_with_a_notifications_secrets_go_its_peoples(org: UUID, rows: Rows, end: str):
    async with resources():
        person = {"email": "ada@mail.test", "data": {"url": "https://atlvs.test/ada"}}
        live = await raised(org, people(person), data={"event_name": "Gala"})
        assert rows("select sealed_people is null from integration_notifications") == [(False,)]
        columns = "org_id, notification_id, recipient, channel, address, state, sealed"
        rows(
            f"insert into integration_deliveries ({columns}) select org_id, id, 'p', 'email', 'a', 'sent',"
            " sealed from integration_notifications"
        )
        async with database().org(org) as tx:
            await notifications.move(tx, live, end, among=["raised"])
    assert rows("select sealed, sealed_people from integration_notifications") == [(None, None)]
    assert rows("select sealed from integration_deliveries") == [(None,)]


async def test_a_new_key_reaches_peoples_own(
    notify_world: World, rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    own = {"email": "ada@mail.test", "data": {"url": "https://atlvs.test/ada"}}
    data = {"event_name": "Gala"}
    await raised(notify_world.org, people(own), data=data)
    planned = await raised(notify_world.org, people(own), data=data)
    await planned_now(notify_world.org, planned)
    newest = base64.b64encode(os.urandom(32)).decode()
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", f"{newest},{ENCRYPTION_KEY}")
    settings.cache_clear()
    async with resources():
        assert await connections.reseal() == 4 + len(notify_world.fields)
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", newest)
    settings.cache_clear()
    await drained()
    texts = [mail["text"] for mail in notify_world.mail.ask("received")]
    assert ["https://atlvs.test/ada" in text for text in texts] == [True, True]
