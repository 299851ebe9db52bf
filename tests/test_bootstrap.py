"""`atlvs bootstrap`: connections, their blocks and Stripe's webhook endpoint, made once."""

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from command_line import InProcess
from conftest import Rows
from connected_stripe import endpoints, sealed
from products import Up
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier
from sandbox_client import Sandbox

from atlvs.db import embedded
from blocks.stripe import Stripe
from deployments.prefect_client import prefect_settings
from tasks.connections import block_names

pytest_plugins = ["command_fixtures"]


def test_secret_stands_in_the_sealed_row_and_nowhere_else(
    atlvs: InProcess,
    environment: Sandbox,
    bootstrapped: str,
    postgres: str,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.DEBUG)
    told = atlvs("bootstrap")
    secret = sealed()["webhook_secrets"]
    assert secret.startswith("whsec_")
    assert not tables_with(bootstrapped, secret)
    assert not tables_with(bootstrapped, environment.key)
    assert tables_with(bootstrapped, "stripe")
    assert secret not in told.out + told.err + caplog.text
    log = Path(str(conninfo_to_dict(postgres)["host"])) / "log"
    assert secret not in log.read_text()
    assert secret not in str(endpoints(environment))


def test_no_organization_yet_does_not_keep_the_rest_from_being_set_up(
    atlvs: InProcess, environment: Sandbox, rows: Rows
):
    rows("delete from organizations")
    told = atlvs("bootstrap")
    assert told.code == 0
    assert "stripe: not connected: There is no organization yet" in told.out


def test_incomplete_environment_is_told(
    atlvs: InProcess, environment: Sandbox, monkeypatch: pytest.MonkeyPatch, prefect: Up
):
    monkeypatch.delenv("STRIPE_SECRET_KEY")
    told = atlvs("bootstrap")
    assert told.code == 0
    assert "lacks: secret_key" in told.out


def test_environment_becomes_a_block_that_a_person_may_change(
    atlvs: InProcess, environment: Sandbox, prefect: Up, monkeypatch: pytest.MonkeyPatch
):
    done = atlvs("bootstrap", "--json").json["done"]
    assert any("block 'default' made" in line for line in done)
    block, made = load(prefect), endpoints(environment)
    secret = block["webhook_secrets"]
    assert sealed()["webhook_secrets"] == secret
    assert block["secret_key"] == environment.key
    place = embedded.address(prefect.settings.data_dir).replace("/postgres?", "/prefect?")
    assert not tables_with(place, secret)
    assert tables_with(place, "atlvs-stripe")
    assert not [line for line in prefect.lines if secret in line]

    # by hand: an option, a key that the environment has, and a secret removed
    change(prefect, reads_per_second=7.0, secret_key="sk_test_by_hand", webhook_secrets=None)
    by_hand = {**block, "reads_per_second": 7.0, "secret_key": "sk_test_by_hand"}
    for _ in range(2):
        assert "webhooks arrive through" in atlvs("bootstrap").out
        assert load(prefect) == by_hand  # the provider's secret came back
        assert endpoints(environment) == made
    assert sealed() == by_hand | {"secret_key": environment.key}
    monkeypatch.delenv("STRIPE_SECRET_KEY")
    assert sealed() == by_hand


def test_connection_becomes_a_block_and_disconnecting_deletes_it(
    atlvs: InProcess, sandbox_connected: Sandbox, prefect: Up, monkeypatch: pytest.MonkeyPatch
):
    """Made while no Prefect server answered."""
    atlvs("bootstrap")
    assert load(prefect)["secret_key"] == sandbox_connected.key
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert atlvs("connect", "stripe").says(2, "old keys would come back")
    told = atlvs("disconnect", "stripe")
    assert (told.code, told.err.count("\n"), "Prefect" in told.err) == (1, 1, True)
    monkeypatch.delenv("PREFECT_API_URL")
    assert names(prefect) == ["default"]
    assert atlvs("disconnect", "stripe").code == 0
    assert names(prefect) == []


def names(up: Up) -> list[str]:
    with prefect_settings(up.settings):
        return asyncio.run(block_names(Stripe))


def load(up: Up) -> dict[str, Any]:
    """The fields of the block `default`."""

    async def loaded() -> dict[str, Any]:
        return (await Stripe.aload("default")).stored_fields()

    with prefect_settings(up.settings):
        return asyncio.run(loaded())


def change(up: Up, **fields: Any) -> None:
    """What a person does in Prefect's pages."""

    async def changed() -> None:
        block = await Stripe.aload("default")
        whole = {**block.stored_fields(), "organization": block.organization, **fields}
        await Stripe(**whole).asave("default", overwrite=True)

    with prefect_settings(up.settings):
        asyncio.run(changed())


def tables_with(url: str, words: str) -> list[str]:
    """The tables in which some row has these words, as text or as bytes."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        ).fetchall()
        searched = SQL("select exists (select from {} as t where t::text ~ %s)")
        wanted = f"{re.escape(words)}|{words.encode().hex()}"
        return [
            table
            for (table,) in tables
            if connection.execute(searched.format(Identifier(table)), [wanted]).fetchone()
            == (True,)
        ]
