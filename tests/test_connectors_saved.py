"""Connections of every connector: whose they are, tried out, ended."""

from typing import Any
from uuid import UUID

import pytest
from conftest import Rows
from connector_samples import SAMPLES
from prefect.settings import PREFECT_API_URL, temporary_settings
from sandbox_client import Sandbox

from atlvs.db import connections
from atlvs.errors import Misconfigured, Rejected, Unauthorized, Unavailable
from atlvs.records import Check
from blocks.base import DEFAULT, Connector, resources

NOWHERE = "http://127.0.0.1:9"  # nobody answers here
pytest_plugins = ["connector_fixtures"]


async def test_two_connections_of_one_organization(slug: str, kind: type[Connector], org: UUID):
    fields = SAMPLES[slug].fields
    first = await connections.save(org, slug, DEFAULT, fields)
    second = await connections.save(org, slug, "second", fields)
    assert first.id != second.id
    assert [one.name for one in await connections.every(slug)] == [DEFAULT, "second"]
    opened = await kind.open("second")
    assert opened.connection == second
    assert opened.organization == org
    assert opened.stored_fields() == fields


async def test_name_of_another_organization_is_refused(slug: str, org: UUID, rows: Rows):
    [(other,)] = rows("insert into organizations (name) values ('Other') returning id")
    await connections.save(org, slug, DEFAULT, SAMPLES[slug].fields)
    with pytest.raises(Misconfigured, match="belongs to another organization. Take another name"):
        await connections.save(other, slug, DEFAULT, {"stolen": "yes"})
    found = await connections.find(slug, DEFAULT)
    assert found
    assert (found[0].org_id, found[1]) == (org, SAMPLES[slug].fields)


async def test_unknown_connection_is_told_with_its_mend(
    slug: str, kind: type[Connector], database_url: str
):
    with pytest.raises(Misconfigured, match=f"atlvs connect {slug}"):
        await kind.open("nowhere")


async def test_connection_stays_with_its_account_and_mode(slug: str, org: UUID):
    connection = await connections.save(org, slug, DEFAULT, {})
    await connections.bind(connection, "acct_1", False)
    await connections.bind(connection, "acct_1", False)
    for account, livemode in (("acct_2", False), ("acct_1", True)):
        with pytest.raises(Rejected) as refused:
            await connections.bind(connection, account, livemode)
        assert refused.value.code == "account_differs"
        assert "bound to acct_1 (test mode)" in str(refused.value)
    second = await connections.save(org, slug, "second", {})
    with pytest.raises(Rejected, match="already served by another connection"):
        await connections.bind(second, "acct_1", False)
    await connections.bind(second, "acct_1", True)  # test and live mode are two connections
    found = await connections.find(slug, DEFAULT)
    assert found
    assert (found[0].account_id, found[0].livemode) == ("acct_1", False)


def there(slug: str, sandbox: Sandbox) -> dict[str, Any]:
    """Fields of an account in the sandbox: some connectors tell their provider good-bye."""
    sample = SAMPLES[slug]
    base = {sample.base: sandbox.base(slug)} if sample.base else {}
    return sample.fields | base | sample.account(sandbox)


async def test_disconnect_wipes(
    slug: str, kind: type[Connector], org: UUID, rows: Rows, sandbox: Sandbox
):
    await connections.save(org, slug, DEFAULT, there(slug, sandbox))
    async with resources(), kind.opened() as connector:
        await connector.disconnect()
        await connector.disconnect()
    assert rows("select sealed, enabled from integration_connections") == [(None, False)]
    with pytest.raises(Unauthorized, match="disconnected. Connect it again"):
        await kind.open()
    await connections.save(org, slug, DEFAULT, SAMPLES[slug].fields)
    assert (await kind.open()).is_configured()


async def test_disconnect_deletes_the_block(
    slug: str, kind: type[Connector], org: UUID, prefect_server: str, sandbox: Sandbox
):
    fields = there(slug, sandbox)
    await connections.save(org, slug, "leaving", fields)
    await kind(**fields).asave("leaving", overwrite=True)  # pyright: ignore
    loaded = await kind.aload("leaving")
    assert loaded.stored_fields() == fields
    async with resources(), kind.opened("leaving") as connector:
        await connector.disconnect()
        with pytest.raises(ValueError, match="leaving"):
            await kind.aload("leaving")
        await connector.disconnect()


async def test_disconnect_wipes_here_while_prefect_is_away(
    slug: str, kind: type[Connector], org: UUID, rows: Rows, sandbox: Sandbox
):
    await connections.save(org, slug, DEFAULT, there(slug, sandbox))
    async with resources(), kind.opened() as connector:
        with (
            temporary_settings({PREFECT_API_URL: f"{NOWHERE}/api"}),
            pytest.raises(Unavailable, match="delete its block there"),
        ):
            await connector.disconnect()
    assert rows("select sealed, enabled from integration_connections") == [(None, False)]


async def test_connection_is_tested_against_the_service(
    called: str, slug: str, kind: type[Connector], org: UUID, sandbox: Sandbox
):
    await connections.save(org, slug, DEFAULT, there(slug, sandbox))
    async with resources(), kind.opened() as connector:
        found = await connector.test_connection()
    assert isinstance(found, Check)
    assert (found.provider, found.connection) == (slug, DEFAULT)
    assert found.findings[0].ok
    assert all(one.text.endswith(".") and (one.ok or one.mend) for one in found.findings)
    found_again = await connections.find(slug, DEFAULT)
    assert found_again
    assert found_again[0].account_id


@pytest.mark.parametrize("away", [True, False])
async def test_failing_test_is_a_finding_and_shows_no_secret(
    called: str, slug: str, kind: type[Connector], org: UUID, sandbox: Sandbox, away: bool
):
    sample = SAMPLES[slug]
    base = NOWHERE if away else sandbox.base(slug)
    wrong = {name: f"wrong-{value}" for name, value in sample.fields.items()}
    await connections.save(org, slug, DEFAULT, wrong | {sample.base: base})
    async with resources(), kind.opened() as connector:
        found = await connector.test_connection()
    assert not found.ok
    told = " ".join(one.text + one.mend for one in found.findings)
    assert all(value not in told for value in wrong.values())
    assert all(one.mend for one in found.findings if not one.ok)
