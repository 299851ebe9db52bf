"""The sandbox's clock and its seeds."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sandbox_client import Sandbox
from stripe_description import check_object
from stripe_fixtures import Caller, error_of

DAY = 86_400


def test_events_are_gone_after_thirty_days(sandbox: Sandbox, call: Caller) -> None:
    call.customer()
    old = call("GET", "/v1/events").json()["data"][0]
    sandbox.clock(advance=29 * DAY)
    call.customer()
    assert len(call("GET", "/v1/events").json()["data"]) == 2
    sandbox.clock(advance=2 * DAY)
    assert len(call("GET", "/v1/events").json()["data"]) == 1
    assert call("GET", f"/v1/events/{old['id']}").status_code == 404
    both = {"type": "customer.created", "types[]": "customer.updated"}
    assert error_of(call("GET", "/v1/events", both))[1] == "parameters_exclusive"
    many = {f"types[{n}]": "customer.created" for n in range(21)}
    assert call("GET", "/v1/events", many).status_code == 400
    assert call("GET", "/v1/events", {"type": "customer.*"}).json()["data"]


def test_clock_renews_expires_and_settles(sandbox: Sandbox, call: Caller) -> None:
    frozen = sandbox.clock(now="2026-12-01T00:00:00Z", frozen=True)
    assert sandbox.clock() == frozen
    sandbox.seed(customers=4, subscriptions=1, products=1, days=1)
    started = {each["id"]: each for each in sandbox.dump("subscription")}
    invoices = sandbox.count("invoice")
    given = {
        "success_url": "https://example.com",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "900",
        "line_items[0][price_data][product_data][name]": "Pass",
        "line_items[0][quantity]": "1",
    }
    session = call("POST", "/v1/checkout/sessions", given).json()
    call.payment()
    assert call("GET", "/v1/balance").json()["pending"][0]["amount"] > 0
    sandbox.clock(advance=34 * DAY)
    assert call("GET", "/v1/balance").json()["pending"][0]["amount"] == 0
    assert sandbox.object(session["id"])["status"] == "expired"
    assert sandbox.count("invoice") == invoices + 4
    for renewed in sandbox.dump("subscription"):
        old = started[renewed["id"]]["items"]["data"][0]
        new = renewed["items"]["data"][0]
        assert new["current_period_start"] == old["current_period_end"]
        assert renewed["status"] == "active"
    renewals = [e for e in sandbox.dump("event") if e["type"] == "customer.subscription.updated"]
    assert all("items" in each["data"]["previous_attributes"] for each in renewals)
    check_object("Subscription", sandbox.dump("subscription")[0])


def test_unpaid_first_invoice_expires_the_subscription(sandbox: Sandbox, call: Caller) -> None:
    sandbox.seed(customers=1, products=1)
    price = [each for each in sandbox.dump("price") if each["recurring"]][0]
    given = {
        "customer": sandbox.dump("customer")[0]["id"],
        "items[0][price]": price["id"],
        "payment_behavior": "default_incomplete",
    }
    made = call("POST", "/v1/subscriptions", given).json()
    sandbox.clock(advance=DAY)
    assert sandbox.object(made["id"])["status"] == "incomplete_expired"
    assert sandbox.object(made["latest_invoice"])["status"] == "void"


def test_failed_renewals_end_the_subscription(sandbox: Sandbox, call: Caller) -> None:
    sandbox.seed(customers=1, subscriptions=1, products=1, days=1)
    (subscription,) = sandbox.dump("subscription")
    call(
        "POST",
        f"/v1/subscriptions/{subscription['id']}",
        {"default_payment_method": ""},
    )
    sandbox.clock(advance=60 * DAY)
    assert sandbox.object(subscription["id"])["status"] == "canceled"
    told = Counter(each["type"] for each in sandbox.dump("event"))
    assert told["invoice.payment_failed"] == 4
    assert told["customer.subscription.deleted"] == 1


def test_payouts_arrive(sandbox: Sandbox, call: Caller) -> None:
    call.payment(50_000)
    sandbox.clock(advance=3 * DAY)
    paid = sandbox.act("payout")
    listed = call("GET", "/v1/payouts", {"status": "in_transit"}).json()["data"]
    assert [each["id"] for each in listed] == [paid["id"]]
    assert call("GET", "/v1/balance").json()["available"][0]["amount"] == 0
    sandbox.clock(advance=3 * DAY)
    assert call("GET", f"/v1/payouts/{paid['id']}").json()["status"] == "paid"
    assert call.event_types()[-1] == "payout.paid"


MIXED: dict[str, Any] = {
    "customers": 60,
    "payments_per_customer": 1.5,
    "refunds": 0.2,
    "subscriptions": 0.3,
    "invoices": 0.3,
    "products": 3,
    "metadata": {"org_id": "o-1"},
}


def test_seed_repeats_itself(sandbox: Sandbox) -> None:
    kinds = ("customer", "charge", "refund", "subscription", "invoice", "balance_transaction")
    seen = []
    for _ in range(2):
        sandbox.reset()
        sandbox.clock(now="2026-11-20T12:00:00Z", frozen=True)
        assert sandbox.seed(**MIXED)["customer"] == 60
        seen.append([sandbox.dump(kind) for kind in kinds])
    assert seen[0] == seen[1]
    assert sandbox.seed(customers=5) == {"customer": 5}
    assert sandbox.count("customer") == 65


def test_seeded_objects_agree_with_each_other(sandbox: Sandbox) -> None:
    assert "event" not in sandbox.seed(**MIXED)
    charges = {each["id"]: each for each in sandbox.dump("charge")}
    refunded: Counter[str] = Counter()
    for refund in sandbox.dump("refund"):
        refunded[refund["charge"]] += refund["amount"]
    assert all(each["amount_refunded"] == refunded[each["id"]] for each in charges.values())
    for intent in sandbox.dump("payment_intent"):
        if intent["status"] == "succeeded":
            assert charges[intent["latest_charge"]]["payment_intent"] == intent["id"]
    for payment in sandbox.dump("invoice_payment"):
        assert sandbox.object(payment["invoice"])["status"] in ("open", "paid")
    newest_first = [each["created"] for each in sandbox.dump("customer")]
    assert newest_first == sorted(newest_first, reverse=True)


def test_seed_can_be_crowded_toward_today(sandbox: Sandbox) -> None:
    sandbox.seed(customers=400, days=100, skew=4)
    now = sandbox.clock()
    ages = sorted(now - each["created"] for each in sandbox.dump("customer"))
    assert ages[200] < 10 * DAY
    assert ages[-1] > 50 * DAY


def test_all_seeded_objects_are_as_described(sandbox: Sandbox, call: Caller) -> None:
    sandbox.seed(
        customers=12,
        payments_per_customer=2,
        subscriptions=0.5,
        invoices=0.5,
        refunds=0.3,
        emit_events=True,
    )
    kinds = "customers payment_intents charges refunds subscriptions invoices invoiceitems invoice_payments"
    for kind in [
        *kinds.split(),
        "payment_methods",
        "products",
        "prices",
        "balance_transactions",
        "events",
    ]:
        assert call("GET", f"/v1/{kind}", {"limit": "100"}).json()["data"], kind


@pytest.mark.soak
def test_hundred_thousand_customers_cost_little(tmp_path: Path) -> None:
    sandbox, process = Sandbox.start("stripe")
    try:
        sandbox.limits(off=True)
        started = time.monotonic()
        sandbox.seed(customers=100_000)
        assert time.monotonic() - started < 5
        caller = Caller(sandbox).session
        before, pages, after = _cpu(process.pid), 200, None
        for _ in range(pages):
            page = caller.get(
                sandbox.base("stripe") + "/v1/customers",
                params={"limit": 100, "starting_after": after},
            )
            after = page.json()["data"][-1]["id"]
        assert (_cpu(process.pid) - before) / pages < 0.0015
    finally:
        process.kill()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
