"""The sandbox against Stripe's own SDK and description: every request and answer is judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import stripe
from sandbox_client import Sandbox
from stripe import StripeClient
from stripe_description import check_answer, check_request
from webhook_listener import Listener

stripe.enable_telemetry = False
NO_REDIRECTS: dict[str, Any] = {
    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}
}


class Judged(stripe.RequestsClient):
    """The SDK's HTTP client, which holds every answer against the description."""

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        body, status, answered = super().request(method, url, headers, post_data)
        check_answer(method, "/v1/" + url.split("/stripe/v1/")[1], status, body)
        assert answered["Request-Id"].startswith("req_")
        return body, status, answered


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[StripeClient]:
    yield StripeClient(
        sandbox.key, base_addresses={"api": sandbox.base("stripe")}, http_client=Judged()
    )
    entries = sandbox.requests(account="acct_" + sandbox.key.removeprefix("sk_test_"))
    for entry in entries:
        if entry["status"] != 400:
            check_request(entry["method"], entry["path"], entry["params"])
    assert entries


def event_types(client: StripeClient) -> list[str]:
    """Oldest first."""
    return [e.type for e in client.v1.events.list({"limit": 100}).data][::-1]


@pytest.fixture
def customer(client: StripeClient) -> stripe.Customer:
    return client.v1.customers.create({"email": "ada@example.com", "name": "Ada Weber"})


@pytest.fixture
def payer(client: StripeClient, customer: stripe.Customer) -> stripe.Customer:
    """A customer with a card that is charged by default."""
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    settings: Any = {"invoice_settings": {"default_payment_method": method.id}}
    return client.v1.customers.update(customer.id, settings)


@pytest.fixture
def monthly(client: StripeClient) -> stripe.Price:
    product = client.v1.products.create({"name": "Crew plan"})
    return client.v1.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 2_000,
            "recurring": {"interval": "month"},
        }
    )


def new_intent(client: StripeClient, **given: Any) -> stripe.PaymentIntent:
    params: Any = {"currency": "usd", **NO_REDIRECTS, **given}
    return client.v1.payment_intents.create(params)


def paid(client: StripeClient, method: str = "pm_card_visa", **given: Any) -> stripe.PaymentIntent:
    return new_intent(
        client, **{"amount": 5_000, "confirm": True, "payment_method": method, **given}
    )


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


def test_subscription_waits_for_its_first_payment(
    client: StripeClient, customer: stripe.Customer, monthly: stripe.Price
) -> None:
    made = client.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": monthly.id, "quantity": 2}],
            "payment_behavior": "default_incomplete",
            "payment_settings": {"save_default_payment_method": "on_subscription"},
            "metadata": {"org_id": "1"},
            "expand": [
                "latest_invoice.confirmation_secret",
                "latest_invoice.payments.data.payment.payment_intent",
            ],
        }
    )
    invoice: Any = made.latest_invoice
    assert (made.status, invoice.status, invoice.amount_due) == ("incomplete", "open", 4_000)
    assert "payment_intent" not in invoice
    assert "current_period_end" not in made
    assert made["items"].data[0].current_period_end > made["items"].data[0].current_period_start
    intent = invoice.payments.data[0].payment.payment_intent
    assert invoice.confirmation_secret.client_secret == intent.client_secret
    assert invoice.parent.subscription_details.metadata.to_dict() == {"org_id": "1"}
    confirmed: Any = {"payment_method": "pm_card_visa", "return_url": "https://example.com"}
    client.v1.payment_intents.confirm(intent.id, confirmed)
    found = client.v1.subscriptions.retrieve(made.id, {"expand": ["default_payment_method"]})
    assert found.status == "active"
    assert found.default_payment_method.customer == customer.id  # type: ignore[union-attr]
    assert client.v1.invoices.retrieve(invoice.id).status == "paid"
    assert event_types(client)[-1] == "customer.subscription.updated"


def test_subscription_renews_fails_and_ends(
    client: StripeClient, sandbox: Sandbox, payer: stripe.Customer, monthly: stripe.Price
) -> None:
    made = client.v1.subscriptions.create({"customer": payer.id, "items": [{"price": monthly.id}]})
    assert made.status == "active"
    sandbox.act("renew_subscription", made.id)
    renewed = client.v1.subscriptions.retrieve(made.id, {"expand": ["latest_invoice"]})
    assert renewed.latest_invoice.billing_reason == "subscription_cycle"  # type: ignore[union-attr]
    assert renewed["items"].data[0].current_period_start == made["items"].data[0].current_period_end
    sandbox.act("fail_renewal", made.id)
    assert client.v1.subscriptions.retrieve(made.id).status == "past_due"
    told = event_types(client)
    assert told.count("invoice.payment_failed") == 1
    client.v1.subscriptions.update(made.id, {"cancel_at_period_end": True})
    client.v1.subscriptions.cancel(made.id, {"prorate": False, "invoice_now": False})
    assert not client.v1.subscriptions.list({"customer": payer.id}).data
    everything = client.v1.subscriptions.list({"customer": payer.id, "status": "all"}).data
    assert [each.status for each in everything] == ["canceled"]
    assert event_types(client)[-1] == "customer.subscription.deleted"


def test_subscription_on_invoice_is_active_at_once(
    client: StripeClient, customer: stripe.Customer, monthly: stripe.Price
) -> None:
    made = client.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": monthly.id}],
            "collection_method": "send_invoice",
            "days_until_due": 14,
        }
    )
    assert made.status == "active"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": monthly.id}]})
    assert "no attached payment source" in str(caught.value)
    items = client.v1.subscription_items.list({"subscription": made.id})
    assert items.data[0].price.id == monthly.id


def draft(client: StripeClient, customer: str, amount: int = 12_000) -> stripe.Invoice:
    invoice = client.v1.invoices.create(
        {
            "customer": customer,
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "auto_advance": False,
        }
    )
    client.v1.invoice_items.create(
        {"customer": customer, "invoice": invoice.id, "amount": amount, "description": "Stage crew"}
    )
    return client.v1.invoices.retrieve(str(invoice.id))


def test_invoice_from_draft_to_paid(client: StripeClient, customer: stripe.Customer) -> None:
    client.v1.invoice_items.create({"customer": customer.id, "amount": 99, "currency": "usd"})
    invoice = draft(client, customer.id)
    assert (invoice.status, invoice.total) == ("draft", 12_000), "pending items stay out"
    client.v1.invoices.add_lines(
        str(invoice.id), {"lines": [{"amount": 3_000, "description": "Travel"}]}
    )
    sent = client.v1.invoices.send_invoice(str(invoice.id))
    assert (sent.status, sent.amount_due, sent.number is not None) == ("open", 15_000, True)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.invoice_items.create(
            {"customer": customer.id, "invoice": invoice.id, "amount": 1}
        )
    assert caught.value.code == "invoice_not_editable"
    done = client.v1.invoices.pay(str(invoice.id), {"payment_method": "pm_card_visa"})
    assert (done.status, done.amount_paid, done.amount_remaining) == ("paid", 15_000, 0)
    payments = client.v1.invoice_payments.list(
        {"invoice": invoice.id, "expand": ["data.payment.payment_intent"]}
    )
    intent: Any = payments.data[0].payment.payment_intent
    assert (payments.data[0].status, intent.metadata.to_dict()) == ("paid", {})
    back = client.v1.invoice_payments.list(
        {"payment": {"type": "payment_intent", "payment_intent": intent.id}}
    )
    assert back.data[0].invoice == invoice.id
    lines = client.v1.invoices.line_items.list(str(invoice.id), {"limit": 1})
    assert (len(lines.data), lines.has_more) == (1, True)
    told = event_types(client)
    assert [each for each in told if each.startswith("invoice")][-4:] == [
        "invoice_payment.paid",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]


def test_invoice_takes_pending_items_when_told_to(
    client: StripeClient, customer: stripe.Customer
) -> None:
    client.v1.invoice_items.create({"customer": customer.id, "amount": 700, "currency": "usd"})
    invoice = client.v1.invoices.create(
        {"customer": customer.id, "pending_invoice_items_behavior": "include"}
    )
    assert invoice.total == 700
    assert not client.v1.invoice_items.list({"pending": True}).data


def test_invoice_paid_outside_voided_or_given_up(
    client: StripeClient, customer: stripe.Customer
) -> None:
    outside = client.v1.invoices.finalize_invoice(str(draft(client, customer.id).id))
    done = client.v1.invoices.pay(str(outside.id), {"paid_out_of_band": True})
    assert (done.status, done.amount_paid_off_stripe) == ("paid", 12_000)
    voided = client.v1.invoices.finalize_invoice(str(draft(client, customer.id).id))
    assert client.v1.invoices.void_invoice(str(voided.id)).status == "void"
    lost = client.v1.invoices.finalize_invoice(str(draft(client, customer.id).id))
    assert client.v1.invoices.mark_uncollectible(str(lost.id)).status == "uncollectible"
    gone = draft(client, customer.id)
    assert client.v1.invoices.delete(str(gone.id)).deleted
    told = event_types(client)
    assert told.count("invoice.paid") == 1
    assert "invoice.payment_succeeded" not in told
    assert {"invoice.voided", "invoice.marked_uncollectible", "invoice.deleted"} <= set(told)


def test_declined_invoice_stays_open(client: StripeClient, customer: stripe.Customer) -> None:
    invoice = client.v1.invoices.finalize_invoice(str(draft(client, customer.id).id))
    with pytest.raises(stripe.CardError):
        client.v1.invoices.pay(str(invoice.id), {"payment_method": "pm_card_chargeDeclined"})
    found = client.v1.invoices.retrieve(str(invoice.id))
    assert (found.status, found.attempt_count) == ("open", 1)
    assert "invoice.payment_failed" in event_types(client)


def test_credit_note_lowers_what_is_due(client: StripeClient, customer: stripe.Customer) -> None:
    invoice = client.v1.invoices.finalize_invoice(str(draft(client, customer.id).id))
    note = client.v1.credit_notes.create({"invoice": str(invoice.id), "amount": 2_000})
    assert note.type == "pre_payment"
    assert client.v1.invoices.retrieve(str(invoice.id)).amount_due == 10_000
    assert client.v1.credit_notes.list({"invoice": invoice.id}).data[0].id == note.id


@pytest.fixture
def session(client: StripeClient) -> stripe.checkout.Session:
    return client.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [
                {
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": 2_500,
                        "product_data": {"name": "VIP pass"},
                    },
                    "quantity": 2,
                }
            ],
            "success_url": "https://example.com/ok?cs={CHECKOUT_SESSION_ID}",
            "client_reference_id": "registration-1",
            "metadata": {"a": "b"},
            "payment_intent_data": {"metadata": {"registration": "1"}},
        }
    )


def test_checkout_is_paid(
    client: StripeClient, sandbox: Sandbox, session: stripe.checkout.Session
) -> None:
    assert (session.status, session.payment_status, session.payment_intent) == (
        "open",
        "unpaid",
        None,
    )
    assert session.amount_total == 5_000
    lines = client.v1.checkout.sessions.line_items.list(session.id)
    assert lines.data[0].description == "VIP pass"
    sandbox.act("pay_checkout", session.id, email="ada@example.com")
    done = client.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["payment_intent", "line_items"]}
    )
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    intent: Any = done.payment_intent
    assert intent.metadata.to_dict() == {"registration": "1"}
    assert done.metadata.to_dict() == {"a": "b"}  # type: ignore[union-attr]
    assert event_types(client)[-1] == "checkout.session.completed"
    assert client.v1.checkout.sessions.list({"payment_intent": intent.id}).data[0].id == session.id


def test_checkout_is_declined_then_settles_late(
    client: StripeClient, sandbox: Sandbox, session: stripe.checkout.Session
) -> None:
    sandbox.act("pay_checkout", session.id, payment_method="pm_card_chargeDeclined")
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
    sandbox.act("pay_checkout_async", session.id)
    late = client.v1.checkout.sessions.retrieve(session.id)
    assert (late.status, late.payment_status) == ("complete", "unpaid")
    sandbox.act("settle_checkout", session.id)
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
    assert event_types(client)[-1] == "checkout.session.async_payment_succeeded"


def test_checkout_expires(client: StripeClient, session: stripe.checkout.Session) -> None:
    assert client.v1.checkout.sessions.expire(session.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.checkout.sessions.expire(session.id)
    assert event_types(client)[-1] == "checkout.session.expired"


def test_checkout_of_a_subscription_makes_it_after_the_payment(
    client: StripeClient, sandbox: Sandbox, monthly: stripe.Price
) -> None:
    made = client.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "line_items": [{"price": monthly.id, "quantity": 1}],
            "success_url": "https://example.com/ok",
            "subscription_data": {"metadata": {"plan": "crew"}},
        }
    )
    assert not client.v1.subscriptions.list().data
    sandbox.act("pay_checkout", made.id, email="new@example.com")
    done = client.v1.checkout.sessions.retrieve(
        made.id, {"expand": ["subscription", "customer", "invoice"]}
    )
    assert (done.payment_status, done.subscription.status) == ("paid", "active")  # type: ignore[union-attr]
    assert done.subscription.metadata.to_dict() == {"plan": "crew"}  # type: ignore[union-attr]
    assert (done.customer.email, done.invoice.status) == ("new@example.com", "paid")  # type: ignore[union-attr]


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
