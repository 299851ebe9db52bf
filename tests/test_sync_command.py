"""`atlvs sync`, and what the other commands tell while a product runs."""

import json
import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from command_line import Ended, InProcess, ended, start
from conftest import ENCRYPTION_KEY, Rows
from products import Up
from sandbox_client import Sandbox
from web_client import connect_door

from atlvs.db import embedded

pytest_plugins = ["command_fixtures"]


@pytest.fixture
def stripe(sandbox_connected: Sandbox, prefect: Up) -> Sandbox:
    """A connected sandbox with a past, and a Prefect server."""
    sandbox_connected.seed(
        customers=5, payments_per_customer=1, subscriptions=0, invoices=0, products=1
    )
    return sandbox_connected


def piped(*arguments: str) -> Ended:
    """As a process."""
    names = ("DATABASE_URL", "ATLVS_DATA_DIR")
    kept = {name: os.environ[name] for name in names}
    return ended(start(*arguments, ATLVS_ENCRYPTION_KEYS=ENCRYPTION_KEY, **kept))


def test_sync_in_all_its_ways(atlvs: InProcess, stripe: Sandbox, rows: Rows):
    dry = atlvs("sync", "stripe", "--full", "--dry-run", "--json").json
    assert dry["streams"]["customer"]["created"] == 5
    assert "A dry run: nothing was stored." in dry["notes"]
    assert rows("stripe_customers") == rows("integration_syncs") == []

    only = atlvs("sync", "stripe", "--only", "customer", "--only", "product", "--json").json
    assert set(only["streams"]) == {"customer", "product"}
    assert len(rows("stripe_customers")) == 5
    assert rows("stripe_payments") == []

    told = piped("sync", "stripe", "--full", "--json")
    assert told.err == ""
    assert told.json["streams"]["payment_intent"]["created"] == 5
    assert told.json["streams"]["customer"] == told.json["streams"]["customer"] | {
        "read": 5,
        "unchanged": 5,
    }

    customer = stripe.dump("customer")[0]["id"]
    stripe.act("update_customer", customer, changes={"name": "Renamed"})
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%F}"
    dry = atlvs("sync", "stripe", "--dry-run", "--since", yesterday, "--json").json
    assert dry["events not in the inbox"] >= 1
    assert ("Renamed",) not in rows("stripe_customers", "name")
    told = atlvs("sync", "stripe")
    assert (told.code, told.err) == (0, "")
    assert "customer" in told.out
    assert ("Renamed",) in rows("stripe_customers", "name")


def test_sync_that_cannot_be(atlvs: InProcess, stripe: Sandbox, org: UUID):
    assert atlvs("sync", "stripe", "--connection", "other").says(2, "atlvs connect stripe")
    connect_door(org, stripe, secret_key="sk_nonsense")
    told = piped("sync", "stripe", "--full")
    assert told.says(1, "stripe: ")
    assert "sk_nonsense" not in told.err


def test_check_and_status_tell_of_the_product(atlvs: InProcess, stripe: Sandbox, prefect: Up):
    def parts() -> dict[str, str]:
        found = json.loads(atlvs("check", "--json").out)["findings"]
        return {row["found"]: row["well"] for row in found if row["connection"] == "atlvs up"}

    # A part that died is started again: on a busy machine that takes a while.
    well = {"prefect runs.": "yes", "worker runs.": "yes"}
    seen: list[dict[str, str]] = []
    while well not in seen and len(seen) < 10:
        seen.append(parts())
    told = "\n".join(map(str, [*seen, prefect.told, *prefect.lines[-40:]]))
    assert well in seen, told
    facts = atlvs("status", "--json").json["facts"]
    assert facts["prefect"] == f"{prefect.url} answers"
    assert facts["atlvs_up"] == "runs"


def test_commands_use_the_database_of_the_product_and_leave_it_running(
    atlvs: InProcess, prefect: Up
):
    place = embedded.address(prefect.settings.data_dir)
    facts = atlvs("status", "--json").json["facts"]
    assert (facts["database"], facts["prefect"]) == ("embedded", f"{prefect.url} answers")
    assert "work pool atlvs: there" in atlvs("bootstrap").out
    assert embedded.running(prefect.settings.data_dir)
    assert embedded.address(prefect.settings.data_dir) == place
