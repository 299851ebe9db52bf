"""Whether a SendGrid connection works, what is missing, and the event webhook that it needs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sendgrid_client import SENDER, Post, new_key
from sendgrid_deliveries import fields_of

from atlvs.db import connections
from atlvs.records import Finding
from atlvs.settings import settings
from blocks.sendgrid import SendGrid
from tasks.connections import prepare_connection
from tasks.sendgrid import prepare

pytest_plugins = ["sendgrid_fixtures"]
Json = dict[str, Any]
HOOKS = "user/webhooks/event/settings"


async def findings(org: UUID, account: Post, **more: Any) -> list[Finding]:
    await connections.save(org, "sendgrid", "default", fields_of(account, **more))
    async with SendGrid.opened() as connector:
        return list((await connector.test_connection()).findings)


def wrong(found: list[Finding]) -> str:
    assert all(one.mend for one in found if not one.ok)
    told = " ".join(one.text for one in found if not one.ok)
    assert SENDER not in told
    return told


def hooks(account: Post) -> list[Json]:
    return account("GET", f"{HOOKS}/all").json()["webhooks"]


async def test_all_is_well_after_prepare(mailer: SendGrid, mail_account: Post, org: UUID):
    told = wrong(await findings(org, mail_account))
    assert "no event webhook" in told
    line = await prepare_connection(mailer.connection)
    assert line == "sendgrid default: the event webhook made."
    [hook] = hooks(mail_account)
    assert hook["url"] == "http://127.0.0.1:8080/api/webhooks/sendgrid/default"
    assert hook["public_key"]
    async with SendGrid.opened() as connector:
        assert connector.public_keys() == [hook["public_key"]]
        check = await connector.test_connection()
        assert check.ok, wrong(list(check.findings))
        assert (await prepare.fn(connector)).fields == {}
    assert (
        await prepare_connection(mailer.connection)
        == "sendgrid default: the event webhook is there."
    )
    assert hooks(mail_account) == [hook]


async def test_webhook_is_brought_up_to_date(mailer: SendGrid, mail_account: Post, org: UUID):
    await prepare_connection(mailer.connection)
    [hook] = hooks(mail_account)
    stored = (await connections.find("sendgrid", "default") or (None, {}))[1]
    mail_account("PATCH", f"{HOOKS}/{hook['id']}", {"url": hook["url"], "dropped": False})
    mail_account("PATCH", f"{HOOKS}/signed/{hook['id']}", {"enabled": False})
    assert "does not tell everything" in wrong(await findings(org, mail_account))
    await connections.save(org, "sendgrid", "default", stored)
    assert "brought up to date" in await prepare_connection(mailer.connection)
    assert hooks(mail_account)[0]["dropped"]
    assert hooks(mail_account)[0]["public_key"]
    mail_account.act("turn_webhook_key", hook["id"])
    assert "key unknown here" in wrong(await findings(org, mail_account, **stored))
    await prepare_connection(mailer.connection)
    async with SendGrid.opened() as connector:
        assert connector.public_keys() == [hooks(mail_account)[0]["public_key"], hook["public_key"]]
        assert (await connector.test_connection()).ok


async def test_key_in_the_environment_wins_and_is_named(
    mailer: SendGrid, mail_account: Post, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SENDGRID_WEBHOOK_PUBLIC_KEY", "another")
    line = await prepare_connection(mailer.connection)
    assert f"Set it to {hooks(mail_account)[0]['public_key']}" in line


async def test_restricted_key_is_told_what_to_do(mailer: SendGrid, mail_account: Post, org: UUID):
    restricted = new_key()
    mail_account.tell("keys", new=restricted, scopes=["mail.send"])
    found = await findings(org, mail_account, api_key=restricted)
    told = wrong(found)
    assert found[0].ok
    for right in ("templates.read", "suppression.read", "asm.groups.read"):
        assert right in told
    line = await prepare_connection(mailer.connection)
    assert "SENDGRID_WEBHOOK_PUBLIC_KEY" in line
    assert "cannot be set up" in line


async def test_public_address_is_needed_outside(mailer: SendGrid):
    mailer.api_base = "https://api.sendgrid.com"
    assert "PUBLIC_BASE_URL" in (await prepare.fn(mailer)).line


async def test_senders(mailer: SendGrid, mail_account: Post, org: UUID):
    mail_account.act("unverify_sender", SENDER)
    assert "not verified" in wrong(await findings(org, mail_account))
    mail_account.sow(domains=["example.com"])
    assert "not verified" not in wrong(await findings(org, mail_account))
    assert "not verified" in wrong(await findings(org, mail_account, from_email="a@badexample.com"))


async def test_templates_and_groups(mailer: SendGrid, mail_account: Post, org: UUID):
    versions = [{"subject": "x", "html_content": "y"}]
    made = mail_account.sow(
        templates=[{"name": "A", "versions": versions}, {"name": "B"}], groups=[{"name": "G"}]
    )
    good = {"templates": {"ticket_delivery": made["templates"]["A"]}}
    groups = {"unsubscribe_groups": {"tasks": made["groups"]["G"]}, "unsubscribe_group": 7}
    found = await findings(org, mail_account, **good)
    assert "1 templates of SendGrid, 7 of our own." in [one.text for one in found]
    for more, text in (
        ({"templates": {"ticket": "d-1"}}, "No template is called ticket."),
        ({"templates": {"ticket_delivery": made["templates"]["B"]}}, "active dynamic template"),
        (groups, "no unsubscribe group 7"),
        ({"unsubscribe_groups": {"everything": 1}}, "No category is called everything."),
    ):
        assert text in wrong(await findings(org, mail_account, **more))


async def test_revoked_key_is_the_only_finding(mailer: SendGrid, mail_account: Post, org: UUID):
    mail_account.act("revoke_key")
    [finding] = await findings(org, mail_account)
    assert "does not work" in finding.text
    assert "SENDGRID_API_KEY" in finding.mend
    settings.cache_clear()
