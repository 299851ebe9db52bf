"""The sandbox against Stripe's own SDK and description: subscriptions, invoices, checkout."""

from __future__ import annotations

from typing import Any

import pytest
import stripe
from sandbox_client import Sandbox
from stripe import StripeClient
from stripe_fixtures import draft, event_types

INTENT = "payments.data.payment.payment_intent"


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
            "expand": [f"latest_invoice.{path}" for path in ("confirmation_secret", INTENT)],
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
    back: Any = {"payment_method": "pm_card_visa", "return_url": "https://example.com"}
    client.v1.payment_intents.confirm(intent.id, back)
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
    told = [each for each in event_types(client) if each.startswith("invoice")]
    assert told[-3:] == ["invoice.updated", "invoice.paid", "invoice.payment_succeeded"]
    assert told[-4] == "invoice_payment.paid"


def test_invoice_and_payment_find_each_other(
    client: StripeClient, customer: stripe.Customer
) -> None:
    invoice = draft(client, customer.id)
    client.v1.invoices.pay(str(invoice.id), {"payment_method": "pm_card_visa"})
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
    assert (len(lines.data), lines.has_more) == (1, False)


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
