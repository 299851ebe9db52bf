"""Webhook events of Stripe in any order, and answers that overtake each other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sandbox_client import Sandbox
from stripe_mirror import (
    SILENT,
    assert_mirrored,
    deliver,
    events,
    mirrored,
    versions,
)
from stripe_run import drain
from stripe_world import THREE, TWO, World, assert_current, everything_happens

from atlvs.db.engine import database
from atlvs.db.inbox import Waiting
from blocks.stripe import Stripe, event_from
from tasks.stripe import apply_changes, fetch_changes
from tasks.stripe.pages import STREAMS

pytest_plugins = ["mirror_fixtures", "stripe_fixtures"]

Rows = Any
Json = dict[str, Any]


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
        assert world.told() == {
            "payment.created": 1,
            "payment.received": 1,
            "payment.refunded": 1,
            "registration.confirmed": 1,
        }

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


def waiting(connection: Stripe, event: Json) -> Waiting:
    hint, whose = event_from(event), connection.connection
    return Waiting(
        0, whose.org_id, whose.id, hint.id, hint.type, hint.lane, hint.payload, 1, datetime.now(UTC)
    )


async def store(connection: Stripe, changes: Any) -> None:
    whose = connection.connection
    async with database().org(whose.org_id, source="stripe") as tx:
        await apply_changes(tx, whose, changes)
