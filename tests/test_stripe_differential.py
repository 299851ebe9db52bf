"""The sandbox against Stripe's own SDK and description: payments, lists, errors, webhooks."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import stripe
from sandbox_client import Sandbox
from stripe import StripeClient
from stripe_fixtures import NO_REDIRECTS, event_types, new_intent, paid
from webhook_listener import Listener


def test_customer_is_created_changed_and_deleted(client: StripeClient) -> None:
    made = client.v1.customers.create(
        {
            "email": "leo@example.com",
            "address": {"city": "Austin", "country": "US"},
            "metadata": {"org_id": "1", "contact_id": "2"},
        }
    )
    client.v1.customers.update(
        made.id, {"name": "Leo", "description": "", "metadata": {"contact_id": "", "seat": "A1"}}
    )
    found: Any = client.v1.customers.retrieve(made.id)
    assert (found.name, found.metadata.to_dict()) == ("Leo", {"org_id": "1", "seat": "A1"})
    assert client.v1.customers.delete(made.id).deleted
    assert "deleted" in client.v1.customers.retrieve(made.id)
    assert not client.v1.customers.list().data
    assert event_types(client) == ["customer.created", "customer.updated", "customer.deleted"]
    updated = client.v1.events.list({"type": "customer.updated"}).data[0].to_dict()
    assert updated["data"]["previous_attributes"]["metadata"] == {"contact_id": "2", "seat": None}


def test_payment_from_intent_to_balance(client: StripeClient, customer: stripe.Customer) -> None:
    intent = new_intent(
        client, amount=4_200, currency="USD", customer=customer.id, metadata={"row": "7"}
    )
    assert (intent.status, intent.currency) == ("requires_payment_method", "usd")
    client.v1.payment_intents.update(intent.id, {"amount": 4_300, "metadata": {"seat": "1"}})
    done = client.v1.payment_intents.confirm(
        intent.id,
        {
            "payment_method": "pm_card_visa",
            "expand": ["latest_charge.balance_transaction", "customer"],
        },
    )
    assert (done.status, done.amount_received) == ("succeeded", 4_300)
    charge: Any = done.latest_charge
    assert charge.metadata.to_dict() == {"row": "7", "seat": "1"}
    assert charge.balance_transaction.net == 4_300 - charge.balance_transaction.fee
    assert client.v1.balance.retrieve().pending[0].amount == charge.balance_transaction.net
    assert event_types(client)[1:] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ],
)
def test_decline_sends_the_intent_back(
    client: StripeClient, method: str, code: str, decline_code: str
) -> None:
    intent = new_intent(client, amount=900, currency="eur")
    with pytest.raises(stripe.CardError) as caught:
        client.v1.payment_intents.confirm(intent.id, {"payment_method": method})
    error: Any = caught.value.error
    assert (caught.value.code, error.decline_code) == (code, decline_code)
    assert error.payment_intent.status == "requires_payment_method"
    found = client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert found.latest_charge.status == "failed"  # type: ignore[union-attr]
    assert "payment_intent.payment_failed" in event_types(client)
    again = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert again.status == "succeeded"


def test_authentication_is_asked_for(client: StripeClient, sandbox: Sandbox) -> None:
    given: Any = {
        "amount": 900,
        "currency": "usd",
        "payment_method": "pm_card_authenticationRequired",
        "confirm": True,
    }
    intent = client.v1.payment_intents.create(given | {"return_url": "https://example.com/back"})
    assert intent.status == "requires_action"
    assert intent.next_action
    assert intent.next_action.type == "redirect_to_url"
    assert sandbox.act("authenticate_payment", intent.id)["status"] == "succeeded"
    with pytest.raises(stripe.CardError) as caught:
        client.v1.payment_intents.create(given | NO_REDIRECTS | {"off_session": True})
    assert caught.value.code == "authentication_required"


def test_held_money_is_captured_in_part(client: StripeClient) -> None:
    held = paid(client, amount=2_000, capture_method="manual")
    assert (held.status, held.amount_capturable) == ("requires_capture", 2_000)
    done = client.v1.payment_intents.capture(held.id, {"amount_to_capture": 1_500})
    assert (done.status, done.amount_received) == ("succeeded", 1_500)
    with pytest.raises(stripe.InvalidRequestError, match="status of succeeded"):
        client.v1.payment_intents.cancel(done.id)


def test_intent_is_canceled(client: StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 700, "currency": "usd"})
    canceled = client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "duplicate"})
    assert canceled.status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert caught.value.code == "payment_intent_unexpected_state"


def test_refunds_in_parts_up_to_the_total(client: StripeClient, sandbox: Sandbox) -> None:
    intent = paid(client)
    first = client.v1.refunds.create({"payment_intent": intent.id, "amount": 2_000})
    assert first.status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 3_001})
    client.v1.refunds.create({"payment_intent": intent.id, "reason": "requested_by_customer"})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create({"charge": str(intent.latest_charge)})
    assert caught.value.code == "charge_already_refunded"
    charge = client.v1.charges.retrieve(str(intent.latest_charge), {"expand": ["refunds"]})
    assert (charge.refunded, charge.amount_refunded, len(charge.refunds.data)) == (True, 5_000, 2)  # type: ignore[union-attr]
    sandbox.act("fail_refund", first.id)
    assert client.v1.refunds.retrieve(first.id).status == "failed"
    assert client.v1.charges.retrieve(charge.id).amount_refunded == 3_000
    assert len(client.v1.refunds.list({"payment_intent": intent.id}).data) == 2
    told = event_types(client)
    assert told.count("charge.refunded") == 2
    assert {"refund.failed", "refund.updated", "charge.refund.updated", "charge.updated"} <= set(
        told
    )


def test_bank_debit_is_refunded_later(client: StripeClient, sandbox: Sandbox) -> None:
    intent = paid(client, "pm_usBankAccount_success")
    assert intent.status == "processing"
    sandbox.act("settle_payment", intent.id)
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "pending"
    canceled = client.v1.refunds.cancel(refund.id)
    assert canceled.status == "canceled"


def test_dispute_takes_money_and_gives_it_back(client: StripeClient, sandbox: Sandbox) -> None:
    intent = paid(client)
    opened = sandbox.act("open_dispute", intent.id)
    dispute = client.v1.disputes.retrieve(opened["id"], {"expand": ["charge", "payment_intent"]})
    assert (dispute.status, dispute.charge.disputed) == ("needs_response", True)  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError, match="charged back"):
        client.v1.refunds.create({"payment_intent": intent.id})
    sandbox.act("close_dispute", opened["id"], won=True)
    assert client.v1.disputes.list({"payment_intent": intent.id}).data[0].status == "won"
    assert event_types(client)[-5:] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]


def test_products_and_prices(client: StripeClient) -> None:
    product = client.v1.products.create(
        {"name": "Camping", "default_price_data": {"currency": "usd", "unit_amount": 4_500}}
    )
    price = client.v1.prices.retrieve(str(product.default_price), {"expand": ["product"]})
    assert (price.type, price.unit_amount, price.product.name) == ("one_time", 4_500, "Camping")  # type: ignore[union-attr]
    client.v1.prices.update(price.id, {"active": False, "nickname": "early bird"})
    client.v1.products.update(product.id, {"description": "Two nights"})
    assert [p.id for p in client.v1.prices.list({"product": product.id, "active": False}).data] == [
        price.id
    ]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.products.delete(product.id)
    bare = client.v1.products.create({"name": "Parking"})
    assert client.v1.products.delete(bare.id).deleted


def test_errors_are_told_as_the_sdk_expects(client: StripeClient, sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.customers.retrieve("cus_gone")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.create({"amount": 10, "currency": "usd"})
    assert caught.value.code == "amount_too_small"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.create(
            {"amount": 1_000, "currency": "usd", "customer": "cus_gone"}
        )
    assert (caught.value.http_status, caught.value.param) == (400, "customer")
    with pytest.raises(stripe.AuthenticationError):
        client.v1.customers.list({}, {"api_key": "nonsense"})
    with pytest.raises(stripe.PermissionError):
        client.v1.customers.list({}, {"api_key": f"rk_test_{sandbox.key.split('_')[2]}_norights"})
    with pytest.raises(stripe.InvalidRequestError, match="API version"):
        client.v1.customers.list({}, {"stripe_version": "2020-08-27"})
    sandbox.fault("429", provider="stripe", times=1)
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()
    sandbox.fault("500_before", provider="stripe", times=1)
    with pytest.raises(stripe.APIError):
        client.v1.customers.list()


def test_same_key_makes_one_payment(client: StripeClient) -> None:
    given: Any = {"amount": 1_000, "currency": "usd"}
    options: Any = {"idempotency_key": "atlvs:1"}
    first = client.v1.payment_intents.create(given, options)
    second = client.v1.payment_intents.create(given, options)
    assert second.id == first.id
    assert second.last_response.headers["Idempotent-Replayed"] == "true"  # type: ignore[union-attr]
    with pytest.raises(stripe.IdempotencyError):
        client.v1.payment_intents.create(given | {"amount": 1_001}, options)
    assert len(client.v1.payment_intents.list().data) == 1


def test_webhooks_are_signed_and_carry_their_version(
    client: StripeClient, sandbox: Sandbox, listener: Listener
) -> None:
    sandbox.settings(api_version="2025-03-31.basil")
    endpoint = client.v1.webhook_endpoints.create(
        {
            "url": listener.url,
            "enabled_events": ["customer.created", "payment_intent.succeeded"],
            "api_version": "2026-10-28.endive",
        }
    )
    secret = str(endpoint.secret)
    assert "secret" not in client.v1.webhook_endpoints.retrieve(endpoint.id)
    intent = paid(client)
    client.v1.customers.create({"email": "ada@example.com"}, {"idempotency_key": "k-1"})
    received = listener.wait(2)
    for body, headers in received:
        assert stripe.WebhookSignature.verify_header(
            body.decode(), headers["stripe-signature"], secret, 300
        )
    events = {event["type"]: event for event in (orjson.loads(body) for body, _ in received)}
    assert events["payment_intent.succeeded"]["data"]["object"]["id"] == intent.id
    made = events["customer.created"]
    assert (made["api_version"], made["request"]["idempotency_key"]) == ("2026-10-28.endive", "k-1")
    assert client.v1.events.retrieve(made["id"]).api_version == "2025-03-31.basil"
    client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    client.v1.customers.create({"email": "quiet@example.com"})
    assert client.v1.webhook_endpoints.delete(endpoint.id).deleted
    assert len(listener.received) == 2


async def test_async_client_is_served_too(sandbox: Sandbox) -> None:
    client = StripeClient(sandbox.key, base_addresses={"api": sandbox.base("stripe")})
    made = await client.v1.customers.create_async({"email": "async@example.com"})
    listed = await client.v1.customers.list_async()
    assert [each.id async for each in listed.auto_paging_iter()] == [made.id]
