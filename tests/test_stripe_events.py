"""Webhook events of Stripe: what each means for our rows, in any order, however often it comes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from stripe_fixtures import Caller
from stripe_mirror import (
    SILENT,
    assert_mirrored,
    deliver,
    events,
    fields,
    mirrored,
    reads,
    versions,
)
from stripe_run import drain, full, incremental, run
from test_stripe_sync import everything_happens

from atlvs.db import connections, inbox
from atlvs.db.engine import database
from atlvs.db.inbox import Waiting
from blocks.stripe import Stripe, event_from
from flows import webhooks
from tasks.stripe import apply_changes, fetch_changes
from tasks.stripe.pages import STREAMS

pytest_plugins = ["mirror_fixtures", "stripe_fixtures"]

Rows = Any
Json = dict[str, Any]
TWO = list(permutations(range(2)))
THREE = list(permutations(range(3)))


class World:
    """A platform with a contact, a registration and an invoice, and Stripe beside it."""

    def __init__(self, connection: Stripe, sandbox: Sandbox, rows: Rows, call: Caller) -> None:
        self.connection, self.sandbox, self.rows, self.call = connection, sandbox, rows, call
        org = connection.connection.org_id
        self.contact = self._new(
            "contacts (org_id, email, first_name) values (%s, 'Grace@Example.com', 'Grace')", org
        )
        event = self._new("events (org_id, name) values (%s, 'Summer night')", org)
        self.registration = self._new(
            "registrations (org_id, event_id, amount_cents) values (%s, %s, 5000)", org, event
        )
        self.invoice = self._new(
            "invoices (org_id, amount_cents, status) values (%s, 12000, 'sent')", org
        )
        rows("delete from integration_outbox")

    def _new(self, statement: str, *values: Any) -> UUID:
        return self.rows(f"insert into {statement} returning id", *values)[0][0]

    def pay(self, method: str = "pm_card_visa", amount: int = 5_000, **metadata: Any) -> Json:
        """Somebody pays for the registration."""
        about = metadata or {"source_type": "registration", "source_id": self.registration}
        given = {
            "amount": amount,
            "currency": "usd",
            "confirm": "true",
            "payment_method": method,
            "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never",
            **{f"metadata[{name}]": value for name, value in about.items()},
        }
        answer = self.call("POST", "/v1/payment_intents", given).json()
        return answer if "error" not in answer else answer["error"]["payment_intent"]

    def refund(self, intent: str, amount: int) -> Json:
        given = {"payment_intent": intent, "amount": amount}
        return self.call("POST", "/v1/refunds", given).json()

    def send_our_invoice(self) -> str:
        customer = self.call.customer()["id"]
        given = {
            "customer": customer,
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "metadata[invoice_id]": self.invoice,
        }
        made = self.call("POST", "/v1/invoices", given).json()["id"]
        line = {"customer": customer, "invoice": made, "amount": 12_000}
        self.call("POST", "/v1/invoiceitems", line)
        self.call("POST", f"/v1/invoices/{made}/finalize")
        return made

    def subscribe(self) -> Json:
        customer = self.call.customer()["id"]
        product = self.call("POST", "/v1/products", {"name": "Crew plan"}).json()["id"]
        monthly: Json = {"product": product, "currency": "usd", "unit_amount": 900}
        monthly["recurring[interval]"] = "month"
        price = self.call("POST", "/v1/prices", monthly).json()["id"]
        card = self.call(
            "POST", "/v1/payment_methods/pm_card_visa/attach", {"customer": customer}
        ).json()["id"]
        given = {"customer": customer, "items[0][price]": price, "default_payment_method": card}
        return self.call("POST", "/v1/subscriptions", given).json()

    def open_checkout(self) -> str:
        """A page on which somebody pays for the registration."""
        given = {
            "mode": "payment",
            "success_url": "https://example.com/ok",
            "client_reference_id": self.registration,
            "metadata[source_type]": "registration",
            "line_items[0][quantity]": 1,
            "line_items[0][price_data][currency]": "usd",
            "line_items[0][price_data][unit_amount]": 5_000,
            "line_items[0][price_data][product_data][name]": "VIP pass",
        }
        return self.call("POST", "/v1/checkout/sessions", given).json()["id"]

    async def hear(self, order: Sequence[int], *types: str) -> None:
        """The newest event of each type, in this order, each of them twice."""
        chosen = [events(self.sandbox, kind)[-1] for kind in types]
        for number in order:
            for _ in range(2):
                await deliver(self.connection, [chosen[number]])
                summary = await drain()
                assert summary["failed"] == summary["postponed"] == 0

    def told(self) -> Counter[str]:
        """What was told of changes that came from Stripe."""
        found = self.rows("select type from integration_outbox where source = 'stripe'")
        return Counter(kind for (kind,) in found)

    @property
    def registered(self) -> tuple[str, str]:
        return self.rows("select status, payment_status from registrations")[0]

    @property
    def payments(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "select amount_cents, refunded_cents, currency, status, method, registration_id, invoice_id"
            " from payments order by paid_at"
        )


@pytest.fixture
def world(connection: Stripe, sandbox: Sandbox, rows: Rows, call: Caller) -> World:
    return World(connection, sandbox, rows, call)


class TestTheNine:
    @pytest.mark.parametrize("order", TWO)
    async def test_payment_succeeded(self, world: World, order: Sequence[int]) -> None:
        world.pay()
        await world.hear(order, "payment_intent.succeeded", "charge.succeeded")
        assert world.registered == ("confirmed", "paid")
        assert world.payments == [
            (5_000, 0, "usd", "completed", "stripe", world.registration, None)
        ]
        assert world.told() == {"payment.created": 1, "payment.received": 1}

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
        assert world.told() == {"payment.created": 1, "payment.received": 1, "payment.refunded": 2}

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


class TestOrder:
    @pytest.mark.parametrize("order", TWO)
    async def test_updated_before_created(self, world: World, order: Sequence[int]) -> None:
        one = world.call.customer()["id"]
        world.sandbox.act("update_customer", one, changes={"name": "New"})
        await world.hear(order, "customer.created", "customer.updated")
        assert_current(world, one)

    @pytest.mark.parametrize("order", TWO)
    async def test_refunded_before_succeeded(self, world: World, order: Sequence[int]) -> None:
        intent = world.pay()["id"]
        world.refund(intent, 5_000)
        await world.hear(order, "charge.refunded", "payment_intent.succeeded")
        assert_current(world, intent)
        assert world.payments[0][:4] == (5_000, 5_000, "usd", "refunded")
        assert world.told() == {"payment.created": 1, "payment.received": 1, "payment.refunded": 1}

    @pytest.mark.parametrize("order", TWO)
    async def test_failed_after_succeeded(self, world: World, order: Sequence[int]) -> None:
        intent = world.pay("pm_card_chargeDeclined")["id"]
        given = {"payment_method": "pm_card_visa"}
        world.call("POST", f"/v1/payment_intents/{intent}/confirm", given)
        await world.hear(order, "payment_intent.succeeded", "payment_intent.payment_failed")
        assert_current(world, intent)
        assert world.registered == ("confirmed", "paid")

    @pytest.mark.parametrize("order", THREE)
    async def test_deleted_before_updated(self, world: World, order: Sequence[int]) -> None:
        one = world.call.customer()["id"]
        await world.hear((0,), "customer.created")
        world.sandbox.act("update_customer", one, changes={"name": "New"})
        world.sandbox.act("delete_customer", one)
        await world.hear(order, "customer.updated", "customer.deleted", "customer.created")
        assert world.rows("select deleted_at is not null from stripe_customers") == [(True,)]

    @pytest.mark.parametrize("order", TWO)
    async def test_a_draft_that_is_gone(self, world: World, order: Sequence[int]) -> None:
        given = {"customer": world.call.customer()["id"]}
        draft = world.call("POST", "/v1/invoices", given).json()["id"]
        await world.hear((0,), "invoice.created")
        world.call("POST", f"/v1/invoices/{draft}", {"description": "Crew"})
        world.call("DELETE", f"/v1/invoices/{draft}")
        await world.hear(order, "invoice.updated", "invoice.deleted")
        assert world.rows("select deleted_at is not null from stripe_invoices") == [(True,)]

    async def test_two_updates_in_one_second(self, world: World, sandbox: Sandbox) -> None:
        sandbox.clock(now=sandbox.clock(), frozen=True)
        one = world.call.customer()["id"]
        for name in ("First", "Second"):
            sandbox.act("update_customer", one, changes={"name": name})
        first, second = events(sandbox, "customer.updated")
        assert first["created"] == second["created"]
        for event in (second, first):
            await deliver(world.connection, [event])
            await drain()
        assert_current(world, one)
        assert mirrored(world.rows, "customer")[one][1]["name"] == "Second"

    async def test_an_older_answer_overwrites_no_newer_one(
        self, world: World, sandbox: Sandbox
    ) -> None:
        """Two processes fetch: the one that asked first stores last."""
        one = world.call.customer()["id"]
        hint = waiting(world.connection, events(sandbox, "customer.created")[0])
        early = await fetch_changes(world.connection, [hint])
        sandbox.act("update_customer", one, changes={"name": "Newer"})
        late = await fetch_changes(world.connection, [hint])
        await store(world.connection, late)
        before = versions(world.rows)
        await store(world.connection, early)
        assert versions(world.rows) == before
        assert_current(world, one)

    async def test_a_slow_answer_in_one_process_and_a_quick_one_in_another(
        self, world: World, sandbox: Sandbox
    ) -> None:
        one = world.call.customer()["id"]
        await deliver(world.connection, events(sandbox, "customer.created"))
        sandbox.fault("slow", path=f"^/v1/customers/{one}$", times=1, seconds=1.0)
        slow = asyncio.create_task(drain())
        await asyncio.sleep(0.3)
        sandbox.act("update_customer", one, changes={"name": "Newer"})
        hint = waiting(world.connection, events(sandbox, "customer.updated")[0])
        await store(world.connection, await fetch_changes(world.connection, [hint]))
        await slow
        assert_current(world, one)

    async def test_an_older_answer_brings_nothing_deleted_back(
        self, world: World, sandbox: Sandbox
    ) -> None:
        one = world.call.customer()["id"]
        await world.hear((0,), "customer.created")
        hint = waiting(world.connection, events(sandbox, "customer.created")[0])
        early = await fetch_changes(world.connection, [hint])
        sandbox.act("delete_customer", one)
        await world.hear((0,), "customer.deleted")
        await store(world.connection, early)
        assert world.rows("select deleted_at is not null from stripe_customers") == [(True,)]

    @pytest.mark.parametrize("seed", range(3))
    async def test_everything_shuffled_and_doubled(
        self, world: World, sandbox: Sandbox, rows: Rows, seed: int
    ) -> None:
        await everything_happens(sandbox, world.call)
        world.refund(world.pay()["id"], 900)
        session = world.open_checkout()
        sandbox.act("pay_checkout", session)
        told = events(sandbox) * 2
        chance = random.Random(seed)  # noqa: S311  an order that repeats itself
        chance.shuffle(told)
        while told:
            await deliver(world.connection, [told.pop() for _ in range(min(7, len(told)))])
            if chance.random() < 0.5:
                await drain()
        await drain()
        assert rows("select distinct state from integration_inbox order by 1") == [
            ("done",),
            ("ignored",),
        ]
        inline = {"product", "price"}  # made by the checkout page, and not told
        kinds = {kind for kind in STREAMS if kind not in inline}
        assert_mirrored(rows, sandbox, kinds, silent=SILENT)
        twice = rows(
            "select type, record_id, count(*) from integration_outbox where type in"
            " ('payment.created', 'payment.received', 'invoice.paid', 'checkout.completed',"
            "  'subscription.created', 'dispute.opened') group by 1, 2 having count(*) > 1"
        )
        assert twice == []


async def test_unknown_types_are_ignored(world: World, sandbox: Sandbox) -> None:
    one = world.call.customer()["id"]
    sandbox.emit("customer.discount.created", one)
    sandbox.clear_requests()
    await deliver(world.connection, events(sandbox, "customer.discount.created"))
    summary = await drain()
    assert (summary["ignored"], summary["handled"]) == (1, 0)
    assert world.rows("integration_inbox", "state") == [("ignored",)]
    assert reads(sandbox) == 0


class TestLanes:
    """One bad object is its own trouble only."""

    async def poisoned(self, world: World, poison: Callable[[str], None]) -> str:
        """Ten customers, of which one cannot be handled; the id of its event."""
        made = [world.call.customer()["id"] for _ in range(10)]
        poison(made[4])
        told = events(world.sandbox, "customer.created")
        await deliver(world.connection, told)
        summary = await drain()
        assert (summary["handled"], summary["failed"]) == (9, 1)
        assert len(mirrored(world.rows, "customer")) == 9
        return next(event["id"] for event in told if event["data"]["object"]["id"] == made[4])

    async def dead(self, world: World, bad: str) -> str:
        """Try until the event is given up; the reason that is told."""
        for number in range(2, inbox.MOST_ATTEMPTS + 1):
            assert state(world.rows, bad) == ("waiting", number - 1)
            wait_is_over(world.rows)
            await drain()
        assert state(world.rows, bad) == ("dead", inbox.MOST_ATTEMPTS)
        wait_is_over(world.rows)
        assert (await drain())["failed"] == 0
        return world.rows("select error from integration_inbox where event_id = %s", bad)[0][0]

    async def test_an_object_that_stripe_refuses(self, world: World, sandbox: Sandbox) -> None:
        def poison(one: str) -> None:
            body = {"error": {"type": "invalid_request_error", "message": "This one is odd."}}
            sandbox.fault("status", path=f"^/v1/customers/{one}$", status=400, body=body)

        bad = await self.poisoned(world, poison)
        assert await self.dead(world, bad) == "stripe: This one is odd."

        sandbox.clear_faults()
        summary = await run(webhooks.replay, event_ids=[bad])
        assert (summary["replayed"], summary["handled"]) == (1, 1)
        assert state(world.rows, bad)[0] == "done"
        assert_mirrored(world.rows, sandbox)

    @pytest.mark.parametrize("fault", [{"kind": "truncate"}, {"kind": "status", "status": 200}])
    async def test_an_answer_that_is_always_cut_off(
        self, world: World, sandbox: Sandbox, fault: Json
    ) -> None:
        def poison(one: str) -> None:
            garbled = {"body": "<html>"} if "status" in fault else {}
            sandbox.fault(path=f"^/v1/customers/{one}$", **fault, **garbled)

        bad = await self.poisoned(world, poison)
        await self.dead(world, bad)
        sandbox.clear_faults()
        await run(webhooks.replay, type="customer.created")
        assert_mirrored(world.rows, sandbox)

    async def test_a_row_that_the_database_refuses(self, world: World, sandbox: Sandbox) -> None:
        def poison(one: str) -> None:
            world.rows(
                "create function refuse() returns trigger language plpgsql as $$ begin"
                " raise exception 'not this one' using errcode = 'check_violation'; end $$"
            )
            world.rows(
                "create trigger refuse before insert on stripe_customers for each row"
                f" when (new.stripe_customer_id = '{one}') execute function refuse()"
            )

        bad = await self.poisoned(world, poison)
        reason = await self.dead(world, bad)
        assert "not this one" in reason

        world.rows("drop trigger refuse on stripe_customers")
        early = datetime.now(UTC) - timedelta(hours=2)
        hour = timedelta(hours=1)
        nothing = await run(webhooks.replay, received_since=early, received_until=early + hour)
        assert nothing["replayed"] == 0
        summary = await run(webhooks.replay, received_since=early)
        assert (summary["replayed"], summary["handled"]) == (1, 1)
        assert_mirrored(world.rows, sandbox)

    @pytest.mark.parametrize("fault", ["503", "500", "refused", "429", "silent"])
    async def test_stripe_away_for_long_kills_no_event(
        self, world: World, sandbox: Sandbox, org: UUID, fault: str
    ) -> None:
        made = [world.call.customer()["id"] for _ in range(3)]
        assert made
        await deliver(world.connection, events(sandbox))
        if fault == "refused":
            away = fields(sandbox, api_base="http://127.0.0.1:9/stripe")
            await connections.save(org, "stripe", "default", away)
        elif fault == "silent":
            sandbox.fault("reset")
        else:
            sandbox.fault("status", status=int(fault))
        for _ in range(inbox.MOST_ATTEMPTS + 2):
            wait_is_over(world.rows)
            world.rows("delete from integration_rate_limits")
            summary = await drain()
            assert (summary["postponed"], summary["failed"]) == (3, 0)
        assert {state for (state,) in world.rows("integration_inbox", "state")} == {"waiting"}
        sandbox.clear_faults()
        await connections.save(org, "stripe", "default", fields(sandbox))
        wait_is_over(world.rows)
        assert (await drain())["handled"] == 3
        assert_mirrored(world.rows, sandbox)

    async def test_a_revoked_key_waits_for_a_person_and_tells_the_mend(
        self, world: World, sandbox: Sandbox
    ) -> None:
        world.call.customer()
        await deliver(world.connection, events(sandbox))
        sandbox.fault("status", status=401)
        for _ in range(inbox.MOST_ATTEMPTS + 2):
            wait_is_over(world.rows)
            assert (await drain())["postponed"] == 1
        ((told, due),) = world.rows(
            "select error, due_at > now() + interval '4 minutes' from integration_inbox"
        )
        assert told == "stripe: Invalid API Key provided Mend it: atlvs check stripe"
        assert due
        sandbox.clear_faults()
        wait_is_over(world.rows)
        assert (await drain())["handled"] == 1


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


def assert_current(world: World, identifier: str) -> None:
    """Our copy of one object is as Stripe has it now."""
    truth = world.sandbox.object(identifier)
    raw, _ = mirrored(world.rows, truth["object"])[identifier]
    assert raw == {name: value for name, value in truth.items() if name != "client_secret"}


def waiting(connection: Stripe, event: Json) -> Waiting:
    hint, whose = event_from(event), connection.connection
    return Waiting(
        0, whose.org_id, whose.id, hint.id, hint.type, hint.lane, hint.payload, 1, datetime.now(UTC)
    )


async def store(connection: Stripe, changes: Any) -> None:
    whose = connection.connection
    async with database().org(whose.org_id, source="stripe") as tx:
        await apply_changes(tx, whose, changes)


def state(rows: Rows, event_id: str) -> tuple[str, int]:
    return rows("select state, attempts from integration_inbox where event_id = %s", event_id)[0]


def wait_is_over(rows: Rows) -> None:
    rows("update integration_inbox set due_at = now() where state = 'waiting'")
