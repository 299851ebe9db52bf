"""The sandbox against Stripe's own SDK and description: lists, expanding, search."""

from __future__ import annotations

from typing import Any

import pytest
import stripe
from sandbox_client import Sandbox
from stripe import StripeClient
from stripe_fixtures import paid


def test_lists_page_in_both_directions(client: StripeClient, sandbox: Sandbox) -> None:
    sandbox.seed(customers=257)
    truth = [each["id"] for each in sandbox.dump("customer")]
    forward = client.v1.customers.list({"limit": 100})
    assert [each.id for each in forward.auto_paging_iter()] == truth
    backward = client.v1.customers.list({"limit": 100, "ending_before": truth[-1]})
    assert [each.id for each in backward.auto_paging_iter()] == truth[-2::-1]
    middle = sandbox.dump("customer")[100]["created"]
    newer = client.v1.customers.list({"created": {"gt": middle}, "limit": 100})
    older = client.v1.customers.list({"created": {"lte": middle}, "limit": 100})
    halves = [each.id for part in (newer, older) for each in part.auto_paging_iter()]
    assert halves == truth
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.customers.list({"starting_after": "cus_gone"})
    assert (caught.value.code, caught.value.param) == ("resource_missing", "starting_after")


def test_expand_reaches_four_levels_deep(client: StripeClient, payer: stripe.Customer) -> None:
    intent = paid(client, customer=payer.id)
    listed = client.v1.payment_intents.list(
        {"customer": payer.id, "expand": ["data.customer.invoice_settings.default_payment_method"]}
    )
    assert listed.data[0].customer.invoice_settings.default_payment_method.card.last4 == "4242"  # type: ignore[union-attr]
    client.v1.customers.delete(payer.id)
    gone = client.v1.payment_intents.retrieve(intent.id, {"expand": ["customer"]})
    assert gone.customer.deleted  # type: ignore[union-attr]
    for path in ("nonsense", "description", "amount", "latest_charge.nonsense"):
        with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
            client.v1.payment_intents.retrieve(intent.id, {"expand": [path]})
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        client.v1.payment_intents.retrieve(intent.id, {"expand": ["a.b.c.d.e"]})


def test_search_pages_and_lags(client: StripeClient, sandbox: Sandbox) -> None:
    sandbox.seed(customers=30, metadata={"org_id": "o-1"})
    found = client.v1.customers.search({"query": "metadata['org_id']:'o-1'", "limit": 20})
    assert len(list(found.auto_paging_iter())) == 30
    first = sandbox.dump("customer")[0]
    asked = (
        f"email:'{first['email']}' AND metadata['org_id']:'o-1' AND created>{first['created'] - 1}"
    )
    assert [each.id for each in client.v1.customers.search({"query": asked}).data] == [first["id"]]
    sandbox.settings(search_lag=60)
    client.v1.customers.create({"email": "fresh@example.com"})
    fresh: Any = {"query": "email:'fresh@example.com'"}
    assert not client.v1.customers.search(fresh).data
    sandbox.clock(advance=61)
    assert len(client.v1.customers.search(fresh).data) == 1
    with pytest.raises(stripe.InvalidRequestError, match="unsupported search field"):
        client.v1.customers.search({"query": "balance:'1'"})
