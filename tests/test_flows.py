"""The flows on a real Prefect server: what they do, and the report that each run leaves."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from sandbox_client import Sandbox

from atlvs.db import connections, inbox
from atlvs.errors import Rejected, Unavailable
from flows.stripe import (
    create_checkout_link,
    full_sync,
    incremental_sync,
    invoice_customer,
    refund,
    sync_one_customer,
)
from flows.stripe.on_demand import Item, Line
from flows.webhooks import drain_webhooks, replay

pytest_plugins = ["prefect_fixtures"]
ALL = [
    full_sync,
    incremental_sync,
    refund,
    invoice_customer,
    create_checkout_link,
    sync_one_customer,
    drain_webhooks,
    replay,
]
PAST = {"customers": 30, "payments_per_customer": 2, "subscriptions": 0.3, "invoices": 0.4}


@pytest.fixture
def stripe(org: UUID, sandbox: Sandbox, prefect_server: str) -> Sandbox:
    """The sandbox, connected as `default`, with a past."""
    sandbox.seed(**PAST, refunds=0.2, products=2)
    fields = {
        "secret_key": sandbox.key,
        "api_base": sandbox.base("stripe"),
        "reads_per_second": 2000.0,
        "writes_per_second": 2000.0,
    }
    asyncio.run(connections.save(org, "stripe", "default", fields))
    return sandbox


def run(flow: Flow[..., Any], **parameters: Any) -> dict[str, Any]:
    """A flow run in this process, as `atlvs sync` does it."""
    return asyncio.run(flow(**parameters))


def report(key: str) -> str:
    """The newest artifact of that key."""

    async def read() -> str:
        async with get_client() as client:
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
            found = await client.read_artifacts(artifact_filter=wanted)
        return str(max(found, key=lambda one: str(one.created)).data)

    return asyncio.run(read())


def test_a_full_sync_reports_what_it_did_and_tells_nobodys_address(
    stripe: Sandbox, rows: Any
) -> None:
    summary = run(full_sync)
    assert summary["streams"]["customer"]["created"] == 30
    text = report("stripe-full-sync-default")
    assert "| customer | 30 | 30 | 0 | 0 | 0 | 0 |" in text
    assert f"{summary['calls']} API calls" in text
    assert "@" not in text
    assert stripe.key not in text
    again = run(full_sync)["streams"]
    assert all(one["created"] == one["updated"] == 0 for one in again.values())
    assert again["customer"]["unchanged"] == 30


def test_a_dry_run_counts_and_stores_nothing(stripe: Sandbox, rows: Any) -> None:
    summary = run(full_sync, dry_run=True, only=["customer", "charge"])
    assert summary["streams"]["customer"]["created"] == 30
    assert rows("select count(*) from stripe_customers") == [(0,)]
    assert rows("select count(*) from integration_syncs") == [(0,)]


def test_an_incremental_sync_without_a_cursor_reads_everything_and_says_so(
    stripe: Sandbox, rows: Any
) -> None:
    first = run(incremental_sync)
    assert "reads everything" in first["notes"][0]
    assert first["streams"]["customer"]["created"] == 30
    changed = stripe.dump("customer")[0]["id"]
    stripe.act("update_customer", changed, changes={"name": "Grace"})
    second = run(incremental_sync)
    assert second["notes"] == []
    assert second["streams"]["customer"]["updated"] == 1
    wanted = "select name from stripe_customers where stripe_customer_id = %s"
    assert rows(wanted, changed) == [("Grace",)]


def test_a_gap_of_more_than_28_days_turns_into_a_full_sync(stripe: Sandbox, rows: Any) -> None:
    run(full_sync)
    rows("update integration_cursors set position = jsonb_build_object('created', 1700000000)")
    assert "28 days" in run(incremental_sync)["notes"][0]
    assert rows("select count(*) from integration_syncs where kind = 'full'") == [(2,)]


def test_a_second_full_sync_at_the_same_time_is_refused(stripe: Sandbox) -> None:
    async def twice() -> list[Any]:
        return list(await asyncio.gather(full_sync(), full_sync(), return_exceptions=True))

    stripe.latency(0.05)
    ended = asyncio.run(twice())
    refused = [one for one in ended if isinstance(one, Unavailable)]
    assert len(refused) == 1
    assert "running already" in str(refused[0])


def test_a_failed_run_leaves_a_report_that_names_the_reason(stripe: Sandbox) -> None:
    stripe.fault("status", provider="stripe", path="^/v1/account", status=401, times=None)
    with pytest.raises(Exception, match="stripe"):
        run(full_sync)
    assert "Ended by Unauthorized" in report("stripe-full-sync-default")


def test_analysts_refund_invoice_and_sell(stripe: Sandbox, rows: Any) -> None:
    run(full_sync)
    paid = next(
        one
        for one in stripe.dump("charge")
        if one["status"] == "succeeded" and not one["amount_refunded"] and one["payment_intent"]
    )
    back = run(refund, payment_intent_id=paid["payment_intent"], amount=100)
    assert (back["status"], back["amount"]) == ("succeeded", 100)
    refunds = "select amount_refunded_cents from stripe_charges where stripe_charge_id = %s"
    assert rows(refunds, paid["id"]) == [(100,)]

    customer = stripe.dump("customer")[0]
    sent = run(
        invoice_customer,
        customer_id=customer["id"],
        items=[Item(description="Stage", amount=5_000, quantity=2)],
    )
    assert (sent["status"], sent["amount_due"]) == ("open", 10_000)
    assert customer["email"] not in report("stripe-invoice")

    link = run(
        create_checkout_link,
        lines=[Line(name="Ticket", amount=2_500, quantity=1, currency="usd")],
        success_url="https://example.com/thanks",
        cancel_url="https://example.com/again",
    )
    assert link["link"].startswith("https://checkout.stripe.com/")
    one = run(sync_one_customer, customer_id=customer["id"])
    assert one["streams"]["customer"]["read"] == 1


def test_a_wrong_id_is_refused_with_words(stripe: Sandbox) -> None:
    with pytest.raises(Rejected, match="pi_nobody"):
        run(refund, payment_intent_id="pi_nobody")


def test_dead_letters_are_replayed(stripe: Sandbox, rows: Any) -> None:
    run(full_sync)
    changed = stripe.dump("customer")[0]["id"]
    stripe.act("update_customer", changed, changes={"name": "Grace"})
    stripe.fault("status", provider="stripe", path=f"^/v1/customers/{changed}", status=400)
    rows("update integration_cursors set position = position")
    failed = run(incremental_sync)
    assert failed["failed"] == 1
    rows("update integration_inbox set state = 'dead' where state = 'waiting'")
    stripe.clear_faults()
    replayed = run(replay)
    assert (replayed["replayed"], replayed["handled"]) == (1, 1)
    assert asyncio.run(inbox.backlog())["dead"] == 0


@pytest.mark.parametrize("flow", ALL, ids=lambda flow: flow.name)
def test_forms_explain_themselves(flow: Flow[..., Any]) -> None:
    assert flow.description
    schema = flow.parameters.model_dump()
    for name, field in schema["properties"].items():
        assert field.get("description") or field.get("title"), f"{flow.name}: {name}"
        assert "description" in field or "$ref" in str(field), f"{flow.name}: {name}"
