"""A slow sender holds nobody up: what does not fit into the time is given back, and goes on at once."""

import asyncio
from time import monotonic

import pytest
from fanout_fixtures import Ledger
from sandbox_client import Sandbox
from twilio_client import NUMBER, TwilioAccount

from atlvs.db import connections
from atlvs.db.engine import database
from atlvs.db.leases import leasing
from blocks.base import resources
from tasks.notify.sending import Sent, send_due

PEOPLE, PACE, SECONDS = 40, 4.0, 3.0


@pytest.fixture
async def slow_sms(ledger: Ledger, sandbox: Sandbox) -> Ledger:
    """Forty SMS that are due, at four a second."""
    account = TwilioAccount(sandbox)
    fields = {
        "account_sid": account.sid,
        "auth_tokens": account.token,
        "phone_number": NUMBER,
        "api_base": sandbox.base("twilio"),
        "messages_per_second": PACE,
    }
    await connections.save(ledger.org, "twilio", "default", fields)
    live = ledger.notification("announcement", data={"message": "Doors open"}, channels=["sms"])
    for number in range(PEOPLE):
        ledger.delivery(live, f"+1415555{number:04}", channel="sms")
    return ledger


async def sent_in(ledger: Ledger, seconds: float) -> Sent:
    async with resources(), leasing() as lease:
        return await send_due(ledger.org, "sms", lease, seconds=seconds)


async def test_what_does_not_fit_is_given_back(slow_sms: Ledger):
    woken = asyncio.create_task(told())
    await asyncio.sleep(0.5)
    began = monotonic()
    sent = await sent_in(slow_sms, SECONDS)
    assert monotonic() - began < SECONDS + 2
    assert PACE <= sent.states["sent"] <= PACE * SECONDS + 4
    assert await asyncio.wait_for(woken, 5), "the drainer was not told to go on"
    [(left, leased, later)] = slow_sms.rows(
        "select count(*), count(lease), count(*) filter (where due_at > now() + interval '2 seconds')"
        " from integration_deliveries where state = 'queued'"
    )
    assert (left, leased, later) == (PEOPLE - sent.states["sent"], 0, 0)


async def test_the_next_sending_goes_on_without_a_gap(slow_sms: Ledger):
    began, total = monotonic(), 0
    while total < 20:
        total += (await sent_in(slow_sms, 2.0)).states["sent"]
        assert monotonic() - began < 20
    assert total <= (monotonic() - began) * PACE + 6


async def told() -> bool:
    """Whether somebody tells the drainer of notifications that are due."""
    hearing = database().notifications("integration_notifications")
    await anext(hearing)
    await anext(hearing)
    return True
