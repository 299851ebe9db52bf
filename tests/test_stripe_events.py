"""Webhook events of Stripe: what each means for our rows, however often it comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from stripe_mirror import (
    deliver,
    events,
    mirrored,
)
from stripe_run import drain, full, incremental
from stripe_world import THREE, TWO, World

from atlvs.db.engine import database

pytest_plugins = ["mirror_fixtures", "stripe_fixtures"]

Rows = Any
Json = dict[str, Any]


class TestTheNine:
    @pytest.mark.parametrize("order", TWO)
    async def test_payment_succeeded(self, world: World, order: Sequence[int]) -> None:
        world.pay()
        await world.hear(order, "payment_intent.succeeded", "charge.succeeded")
        assert world.registered == ("confirmed", "paid")
        assert world.payments == [
            (5_000, 0, "usd", "completed", "stripe", world.registration, None)
        ]
        assert world.told() == {
            "payment.created": 1,
            "payment.received": 1,
            "registration.confirmed": 1,
        }

    @pytest.mark.parametrize("order", [(0,)])
    async def test_payment_failed(self, world: World, order: Sequence[int]) -> None:
        world.pay("pm_card_chargeDeclinedInsufficientFunds")
        await world.hear(order, "payment_intent.payment_failed")
        assert world.registered == ("pending", "unpaid")
        assert world.payments == []
        assert world.rows("stripe_payments", "status", "failure_code") == [
            ("requires_payment_method", "insufficient_funds")
        ]
        assert world.told() == {"payment.failed": 1}

    async def test_two_failures_of_one_payment_are_told_twice(self, world: World) -> None:
        intent = world.pay("pm_card_chargeDeclined")["id"]
        await world.hear((0,), "payment_intent.payment_failed")
        given = {"payment_method": "pm_card_chargeDeclined"}
        world.call("POST", f"/v1/payment_intents/{intent}/confirm", given)
        await world.hear((0,), "payment_intent.payment_failed")
        assert world.told() == {"payment.failed": 2}

    @pytest.mark.parametrize("order", TWO)
    async def test_our_invoice_paid(self, world: World, order: Sequence[int]) -> None:
        invoice = world.send_our_invoice()
        world.sandbox.act("pay_invoice", invoice)
        await world.hear(order, "invoice.paid", "payment_intent.succeeded")
        assert world.rows("select status, amount_paid_cents from invoices") == [("paid", 12_000)]
        assert world.payments == [(12_000, 0, "usd", "completed", "stripe", None, world.invoice)]
        assert world.rows("stripe_payments", "source_type", "source_id") == [
            ("invoice", world.invoice)
        ]
        assert world.told() == {"invoice.paid": 1, "payment.created": 1, "payment.received": 1}

    @pytest.mark.parametrize("order", THREE)
    async def test_subscription_paid(self, world: World, order: Sequence[int]) -> None:
        world.subscribe()
        await world.hear(
            order, "invoice.paid", "payment_intent.succeeded", "customer.subscription.created"
        )
        subscription = world.rows("select id, status from stripe_subscriptions")
        assert [status for _, status in subscription] == ["active"]
        assert world.rows("stripe_payments", "source_type", "source_id") == [
            ("subscription", subscription[0][0])
        ]
        assert [payment[0] for payment in world.payments] == [900]
        assert world.told() == {
            "subscription.created": 1,
            "invoice.paid": 1,
            "payment.created": 1,
            "payment.received": 1,
        }

    @pytest.mark.parametrize("order", TWO)
    async def test_invoice_payment_failed(self, world: World, order: Sequence[int]) -> None:
        subscription = world.subscribe()["id"]
        await deliver(world.connection, events(world.sandbox))
        await drain()
        world.rows("delete from integration_outbox")
        world.sandbox.act("fail_renewal", subscription)
        await world.hear(order, "invoice.payment_failed", "customer.subscription.updated")
        assert world.rows(
            "select status, attempt_count from stripe_invoices where status = 'open'"
        ) == [("open", 1)]
        assert world.rows("stripe_subscriptions", "status") == [("past_due",)]
        assert world.told() == {"invoice.payment_failed": 1, "subscription.updated": 1}

    async def test_subscription_from_birth_to_end(self, world: World) -> None:
        made = world.subscribe()
        await world.hear((0,), "customer.subscription.created")
        path = f"/v1/subscriptions/{made['id']}"
        world.call("POST", path, {"metadata[tier]": "gold"})
        await world.hear((0,), "customer.subscription.updated")
        world.call("DELETE", path)
        await world.hear((0,), "customer.subscription.deleted")
        told = world.told()
        assert {kind: told[kind] for kind in told if kind.startswith("subscription")} == {
            "subscription.created": 1,
            "subscription.updated": 1,
            "subscription.deleted": 1,
        }
        found = world.rows("select status, ended_at is not null from stripe_subscriptions")
        assert found == [("canceled", True)]

    @pytest.mark.parametrize("order", TWO)
    async def test_charge_refunded_in_parts(self, world: World, order: Sequence[int]) -> None:
        intent = world.pay()["id"]
        await world.hear((0,), "payment_intent.succeeded")
        world.refund(intent, 2_000)
        await world.hear(order, "charge.refunded", "refund.created")
        assert world.registered == ("confirmed", "partially_refunded")
        assert world.payments[0][:4] == (5_000, 2_000, "usd", "partially_refunded")
        world.refund(intent, 3_000)
        await world.hear(order, "charge.refunded", "refund.created")
        assert world.registered == ("confirmed", "refunded")
        assert world.payments[0][:4] == (5_000, 5_000, "usd", "refunded")
        assert world.rows("select amount_cents from stripe_refunds order by 1") == [
            (2_000,),
            (3_000,),
        ]
        assert world.told() == {
            "payment.created": 1,
            "payment.received": 1,
            "payment.refunded": 2,
            "registration.confirmed": 1,
        }

    async def test_a_refund_that_fails_gives_the_payment_back(self, world: World) -> None:
        intent = world.pay()["id"]
        refund = world.refund(intent, 5_000)["id"]
        await world.hear((0, 1), "payment_intent.succeeded", "charge.refunded")
        assert world.payments[0][3] == "refunded"
        world.sandbox.act("fail_refund", refund)
        await world.hear((0,), "refund.failed")
        assert world.payments[0][:4] == (5_000, 0, "usd", "completed")
        assert world.registered == ("confirmed", "paid")

    @pytest.mark.parametrize("order", TWO)
    async def test_checkout_completed(self, world: World, order: Sequence[int]) -> None:
        session = world.open_checkout()
        world.sandbox.act("pay_checkout", session)
        await world.hear(order, "checkout.session.completed", "payment_intent.succeeded")
        assert world.registered == ("confirmed", "paid")
        assert world.payments == [
            (5_000, 0, "usd", "completed", "stripe", world.registration, None)
        ]
        assert world.told() == {
            "checkout.completed": 1,
            "payment.created": 1,
            "payment.received": 1,
            "registration.confirmed": 1,
        }

    async def test_checkout_is_complete_only_when_the_money_is_there(self, world: World) -> None:
        session = world.open_checkout()
        world.sandbox.act("pay_checkout_async", session)
        await world.hear((0,), "checkout.session.completed")
        assert world.registered == ("pending", "unpaid")
        assert world.told() == {}
        world.sandbox.act("settle_checkout", session)
        await world.hear(
            (0, 1), "checkout.session.async_payment_succeeded", "payment_intent.succeeded"
        )
        assert world.registered == ("confirmed", "paid")
        assert world.told()["checkout.completed"] == 1

    async def test_checkout_whose_money_never_came(self, world: World) -> None:
        session = world.open_checkout()
        world.sandbox.act("pay_checkout_async", session)
        world.sandbox.act("settle_checkout", session, success=False)
        await world.hear(
            (0, 1), "checkout.session.completed", "checkout.session.async_payment_failed"
        )
        assert world.registered == ("pending", "unpaid")
        assert world.told()["checkout.completed"] == 0


class TestCustomers:
    @pytest.mark.parametrize("order", TWO)
    async def test_customer_belongs_to_the_contact_with_the_same_address(
        self, world: World, order: Sequence[int]
    ) -> None:
        customer = world.call.customer(email="grace@example.COM")["id"]
        intent = world.call("POST", "/v1/payment_intents", card(customer)).json()
        assert intent["status"] == "succeeded"
        await world.hear(order, "customer.created", "payment_intent.succeeded")
        assert world.rows("stripe_customers", "contact_id") == [(world.contact,)]
        assert world.rows("payments", "contact_id") == [(world.contact,)]

    async def test_metadata_names_the_contact_and_the_company(
        self, world: World, org: UUID
    ) -> None:
        company = world._new("companies (org_id, name) values (%s, 'Acme')", org)
        other = world._new("contacts (org_id, email) values (%s, 'other@example.com')", org)
        given = {
            "email": "grace@example.com",
            "metadata[contact_id]": other,
            "metadata[company_id]": company,
        }
        world.call("POST", "/v1/customers", given)
        await world.hear((0,), "customer.created")
        assert world.rows("stripe_customers", "contact_id", "company_id") == [(other, company)]

    async def test_a_deletion_alone_in_its_transaction(self, world: World) -> None:
        gone = world.call.customer()["id"]
        await world.hear((0,), "customer.created")
        world.sandbox.act("delete_customer", gone)
        await database().close()
        await world.hear((0,), "customer.deleted")
        assert world.rows("select deleted_at is null from stripe_customers") == [(False,)]

    async def test_characters_that_postgresql_cannot_hold(
        self, world: World, sandbox: Sandbox
    ) -> None:
        await full()
        one = world.call.customer(email="nul@example.com")["id"]
        changes = {"name": "Gr\0ace", "description": "a\\u0000"}
        sandbox.act("update_customer", one, changes=changes)
        summary = await incremental()
        assert summary["failed"] == 0
        raw, columns = mirrored(world.rows, "customer")[one]
        assert columns["name"] == raw["name"] == "Grace"
        assert raw["description"] == "a\\u0000"


def card(customer: str) -> Json:
    return {
        "amount": 700,
        "currency": "usd",
        "customer": customer,
        "confirm": "true",
        "payment_method": "pm_card_visa",
        "automatic_payment_methods[enabled]": "true",
        "automatic_payment_methods[allow_redirects]": "never",
    }
