"""Trouble with one object is no trouble for others, and none is lost by an outage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from stripe_mirror import (
    assert_mirrored,
    deliver,
    events,
    fields,
    mirrored,
    reads,
)
from stripe_run import drain, run
from stripe_world import World

from atlvs.db import connections, inbox
from flows import webhooks

pytest_plugins = ["mirror_fixtures", "stripe_fixtures"]

Rows = Any
Json = dict[str, Any]


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


def state(rows: Rows, event_id: str) -> tuple[str, int]:
    return rows("select state, attempts from integration_inbox where event_id = %s", event_id)[0]


def wait_is_over(rows: Rows) -> None:
    rows("update integration_inbox set due_at = now() where state = 'waiting'")
