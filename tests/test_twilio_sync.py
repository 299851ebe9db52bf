"""Twilio's log in our tables: whole, current, resumable, and deliveries brought forward by it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from twilio_client import NUMBER, PHONE, POOL, TwilioAccount, until
from twilio_deliveries import states, stored_delivery, words
from twilio_run import full, incremental

from atlvs.db import deliveries
from atlvs.db.engine import database
from atlvs.errors import Unauthorized, Unavailable
from atlvs.settings import settings
from blocks.twilio import Twilio
from tasks.twilio import SENDERS, reading

pytest_plugins = ["twilio_fixtures"]

Rows = Any
SAY = "<Response><Say>Fire</Say></Response>"


def mirrored(rows: Rows) -> dict[str, tuple[str, int | None]]:
    """State and error by SID."""
    found = rows(
        "select twilio_sid, status, error_code from twilio_messages where deleted_at is null"
    )
    return {sid: (status, error) for sid, status, error in found}


def truth(account: TwilioAccount) -> dict[str, tuple[str, int | None]]:
    things = account.control("GET", "dump") + account.control("GET", "dump", type="calls")
    return {each["sid"]: (each["status"], each.get("error_code")) for each in things}


@pytest.fixture
def twilio_small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE", 7)
    monkeypatch.setattr(reading, "CHUNK", 10)


async def test_full_sync_makes_our_table_equal_and_a_second_writes_nothing(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Rows, twilio_small_pages: None
) -> None:
    twilio_account.control("POST", "seed", messages=200, days=20)
    twilio_account.act("reply", **{"from": PHONE, "to": NUMBER, "body": "secret words"})
    twilio_account.act("lose", how="stuck", times=1)
    twilio_account.sent(body="stuck")
    twilio_account.over(twilio_account.call(Twiml=SAY)["sid"])
    first = await full()
    assert mirrored(rows) == truth(twilio_account)
    assert first["streams"]["message"]["created"] == first["streams"]["message"]["read"] == 202
    assert first["streams"]["call"]["created"] == 1
    again = await full()
    assert again["streams"]["message"]["unchanged"] == 202
    assert again["streams"]["message"]["updated"] == again["streams"]["message"]["deleted"] == 0
    row = "direction, segments, price_micros, price_unit from twilio_messages"
    assert rows(f"select {row} where kind = 'call'") == [("outbound-api", None, 14_000, "usd")]
    assert rows(f"select {row} where status = 'queued'") == [("outbound-api", 1, None, "usd")]
    assert rows("select count(*) from twilio_messages where raw::text ~ 'secret|Reminder'") == [
        (0,)
    ]
    assert rows("select state from integration_syncs") == [("done",), ("done",)]


async def test_deleted_messages_become_tombstones_and_many_wait_for_a_person(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Rows, twilio_small_pages: None
) -> None:
    twilio_account.control("POST", "seed", messages=60, days=20)
    await full()
    sids = [each["sid"] for each in twilio_account.control("GET", "dump")]
    for sid in sids[10:14]:
        twilio_account("DELETE", f"/Messages/{sid}.json")
    done = await full()
    assert done["streams"]["message"]["deleted"] == 4
    assert mirrored(rows) == truth(twilio_account)
    for sid in sids[20:40]:
        twilio_account("DELETE", f"/Messages/{sid}.json")
    held = await full()
    assert held["streams"]["message"]["deleted"] == 0
    assert "allow_deletes" in held["notes"][0]
    assert len(mirrored(rows)) == 56
    assert rows("select state from integration_syncs order by started_at desc limit 1") == [
        ("held",)
    ]
    await full(allow_deletes=True)
    assert mirrored(rows) == truth(twilio_account)


async def test_what_twilio_has_forgotten_stays(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Rows
) -> None:
    twilio_account.control("POST", "seed", messages=20, days=20)
    await full()
    for each in twilio_account.control("GET", "dump")[:5]:
        twilio_account("DELETE", f"/Messages/{each['sid']}.json")
    await full()
    assert len(mirrored(rows)) == 20


async def test_many_of_one_second_are_all_seen(
    twilio: Twilio,
    twilio_account: TwilioAccount,
    rows: Rows,
    sandbox: Sandbox,
    twilio_small_pages: None,
) -> None:
    sandbox.clock(now="2026-05-01T10:00:00Z", frozen=True)
    for number in range(25):
        twilio_account.sent(body=f"n{number}")
    await full()
    done = await full()
    assert done["streams"]["message"]["deleted"] == 0
    assert len(mirrored(rows)) == 25


async def test_dry_run_stores_nothing(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Rows
) -> None:
    twilio_account.control("POST", "seed", messages=30)
    told = await full(dry_run=True)
    assert told["streams"]["message"]["created"] == 30
    told = await incremental(dry_run=True)
    assert told["streams"]["message"]["created"] == 30
    assert mirrored(rows) == {}
    assert rows("integration_cursors", "stream") == []


async def test_incremental_brings_what_is_new_and_what_changed(
    twilio: Twilio,
    twilio_account: TwilioAccount,
    rows: Rows,
    sandbox: Sandbox,
    twilio_small_pages: None,
) -> None:
    twilio_account.control("POST", "seed", messages=100, days=20)
    twilio_account.settings(transit=1_000)
    waiting = twilio_account.sent()
    first = await incremental()
    assert "No message was ever read" in first["notes"][0]
    assert mirrored(rows) == truth(twilio_account)
    twilio_account.act("report", waiting["sid"], status="undelivered", error=30005)
    twilio_account.settings(transit=0)
    twilio_account.final(twilio_account.sent()["sid"])
    sandbox.clear_requests()
    second = await incremental()
    counts = second["streams"]["message"]
    assert (counts["created"], counts["updated"]) == (1, 1)
    assert mirrored(rows) == truth(twilio_account)
    assert counts["read"] < 30
    third = await incremental()
    assert third["streams"]["message"]["created"] == third["streams"]["message"]["updated"] == 0


async def test_reading_since_later_leaves_no_gap(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "OVERLAP", timedelta(0))
    monkeypatch.setattr(reading, "PAGE", 5)
    await full()
    rows('update integration_cursors set position = \'{"created": "2020-01-01T00:00:00+00:00"}\'')
    twilio_account.control("POST", "seed", messages=40, days=20)
    await incremental(since=await database().now() - timedelta(days=2))
    assert 0 < len(mirrored(rows)) < 20
    await incremental()
    assert mirrored(rows) == truth(twilio_account)


async def test_lost_callbacks_are_made_good(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID, rows: Rows
) -> None:
    twilio.messaging_service_sid = twilio_account.service
    one, two = [await stored_delivery(rows, org, data={"task_title": str(n)}) for n in range(2)]
    twilio_account.act("phone", POOL[0])
    outcomes = [
        *await SENDERS["sms"].send(twilio, [one]),
        *await SENDERS["sms"].send(twilio, [two]),
    ]
    async with database().org(org) as tx:
        await deliveries.advance(tx, outcomes)
    twilio_account.final(str(outcomes[0].provider_id))
    twilio_account.final(str(outcomes[1].provider_id))
    twilio_account.act("report", str(outcomes[1].provider_id), status="undelivered", error=30006)
    await full()
    assert states(rows) == [
        ("delivered", None, outcomes[0].provider_id),
        ("undelivered", "30006", outcomes[1].provider_id),
    ]
    assert words(rows) == [("sms", PHONE, "unreachable", "landline or unreachable carrier")]
    assert rows("select count(*) from twilio_messages where delivery_id is not null") == [(2,)]


async def test_stale_deliveries_are_asked_for(
    twilio: Twilio, twilio_account: TwilioAccount, org: UUID, rows: Rows
) -> None:
    await full()
    for channel in ("sms", "call"):
        one = await stored_delivery(rows, org, channel=channel)
        async with database().org(org) as tx:
            await deliveries.advance(tx, await SENDERS[channel].send(twilio, [one]))
    until(lambda: len(twilio_account.received()), bool)
    twilio_account.over(twilio_account("GET", "/Calls.json").json()["calls"][0]["sid"])
    gone = await stored_delivery(rows, org, state="sent", channel="sms")
    rows(
        "update integration_deliveries set provider_id = %s where id = %s", f"SM{'0' * 32}", gone.id
    )
    rows("update integration_deliveries set sent_at = now() - interval '12 hours'")
    counts = await reading.settle_stale.fn(twilio, 11)
    assert (counts.read, counts.skipped) == (3, {"no longer at Twilio": 1})
    assert [state for state, _, _ in states(rows)] == ["delivered", "delivered", "sent"]
    assert (await reading.settle_stale.fn(twilio, 13)).read == 0


@pytest.mark.parametrize(
    "checkpoint", ["twilio.page:4", "twilio.before-save", "twilio.in-save", "twilio.after-save"]
)
async def test_killed_sync_goes_on(
    twilio: Twilio,
    twilio_account: TwilioAccount,
    rows: Rows,
    checkpoint: str,
    twilio_small_pages: None,
) -> None:
    twilio_account.control("POST", "seed", messages=100, days=20)
    program = [sys.executable, str(Path(__file__).with_name("twilio_run.py")), "7", "10"]
    for _ in range(2):
        ended = await asyncio.to_thread(
            subprocess.run,
            program,
            env=os.environ | {"ATLVS_KILL_AT": checkpoint},
            capture_output=True,
            timeout=60,
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()[-2000:]
    settings.cache_clear()
    done = await full()
    assert done["streams"]["message"]["read"] == 100
    assert mirrored(rows) == truth(twilio_account)
    assert "Goes on" in done["notes"][0]


async def test_place_that_is_gone_is_no_obstacle(
    twilio: Twilio,
    twilio_account: TwilioAccount,
    rows: Rows,
    sandbox: Sandbox,
    twilio_small_pages: None,
) -> None:
    twilio_account.control("POST", "seed", messages=40, days=20)
    sandbox.fault(
        "status", provider="twilio", method="GET", path="Messages", status=401, skip=4, times=9
    )
    with pytest.raises(Unauthorized):
        await full()
    sandbox.clear_faults()
    ((place,),) = rows(
        "select position ->> 'next' from integration_cursors where stream = 'full:message'"
    )
    twilio_account("DELETE", f"/Messages/{place.partition('PageToken=PA')[2]}.json")
    done = await full()
    assert done["streams"]["message"]["read"] == 39, "from the newest on"
    await full()
    assert mirrored(rows) == truth(twilio_account)


async def test_two_at_once_are_told_so(twilio: Twilio, twilio_account: TwilioAccount) -> None:
    results = await asyncio.gather(full(), full(), return_exceptions=True)
    assert [type(one) for one in results if isinstance(one, BaseException)] == [Unavailable]


async def test_outages_on_the_way_are_ridden_out(
    twilio: Twilio,
    twilio_account: TwilioAccount,
    rows: Rows,
    sandbox: Sandbox,
    twilio_small_pages: None,
) -> None:
    twilio_account.control("POST", "seed", messages=30, days=20)
    for kind in ("500_before", "429", "reset", "truncate"):
        sandbox.fault(kind, provider="twilio", method="GET", times=1)
    await full()
    assert mirrored(rows) == truth(twilio_account)
