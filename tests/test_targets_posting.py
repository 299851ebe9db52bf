"""The same from the queue on: what we do not post to is logged, and hostile targets hold up no other."""

import asyncio
import logging
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any
from uuid import UUID

import pytest
from conftest import Rows
from hostile_answers import ACCEPTED, EITHER, UNKNOWN
from hostile_target import Target, listening, well
from target_names import Names, connections_tried

from atlvs.errors import Rejected
from atlvs.settings import settings
from blocks import targets
from blocks.base import resources
from tasks.triggers.draining import Told, drain_triggers
from tasks.triggers.subscribing import subscribe


class Switch:
    """ATLVS_HOOKS_LOOPBACK."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        monkeypatch.setenv("ATLVS_HOOKS_PER_SECOND", "1000")
        self.on()

    def on(self) -> None:
        self.monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "1")
        settings.cache_clear()

    def off(self) -> None:
        self.monkeypatch.delenv("ATLVS_HOOKS_LOOPBACK")
        settings.cache_clear()


@pytest.fixture
def switch(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Switch:
    del database_url
    return Switch(monkeypatch)


@pytest.fixture
async def receiving() -> AsyncIterator[Target]:
    async with listening(well) as target:
        yield target


async def drained(seconds: float = 20) -> Told:
    async with resources():
        return await drain_triggers(seconds)


def due_now(rows: Rows) -> None:
    rows("update integration_hook_deliveries set due_at = now() where state = 'waiting'")
    rows("update integration_hooks set rests_until = null")


def attempts(rows: Rows) -> list[tuple[Any, ...]]:
    return rows("select outcome, status, error from integration_hook_attempts order by id")


async def test_without_the_switch_this_machine_cannot_subscribe(
    switch: Switch, rows: Rows, org: UUID, receiving: Target
):
    switch.off()
    secure = receiving.url.replace("http:", "https:")
    for url in (receiving.url, secure, secure.replace("127.0.0.1", "localhost")):
        with pytest.raises(Rejected) as refused:
            await subscribe(org, None, "contact.created", url)
        assert refused.value.field == "target_url"
    assert rows("select count(*) from integration_hooks") == [(0,)]
    switch.on()
    for url in ("http://10.0.0.5/x", "http://169.254.169.254/latest", "https://[fd00:ec2::254]/"):
        with pytest.raises(Rejected):
            await subscribe(org, None, "contact.created", url)
    assert (await subscribe(org, None, "contact.created", receiving.url))[1]


async def test_without_the_switch_each_attempt_is_refused_and_logged(
    switch: Switch,
    rows: Rows,
    org: UUID,
    receiving: Target,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.DEBUG, "tasks")
    await subscribe(org, None, "contact.created", receiving.url)
    switch.off()
    rows("insert into contacts (org_id, email) values (%s, 'ada@example.net')", org)
    for number in (1, 2):
        with connections_tried() as tried:
            assert (await drained()).posts == {"refused": 1}
        assert tried == []
        assert receiving.callers == []
        assert len(attempts(rows)) == number
        due_now(rows)
    assert {row[:2] for row in attempts(rows)} == {("refused", None)}
    for text in [str(attempts(rows)), caplog.text]:
        assert "secret-path" not in text
        assert "ada@" not in text
    switch.on()
    assert (await drained()).posts == {"delivered": 1}
    [caller] = receiving.callers
    assert b"ada@example.net" in caller.body


async def test_a_name_that_moves_inside_is_refused_at_each_attempt(
    switch: Switch, rows: Rows, org: UUID, receiving: Target
):
    switch.off()
    names = Names()
    try:
        name = names.leads("moves.example.com", ["93.184.216.34", "2606:2800:220:1::1"], ["::1"])
        async with resources():
            loop = asyncio.get_running_loop()
            targets._sessions[loop] = targets.open_session(names.resolver())
            url = f"https://{name}:{receiving.port}/secret-path"
            await subscribe(org, None, "contact.created", url)
            rows("insert into contacts (org_id) values (%s)", org)
            with connections_tried() as tried:
                assert (await drain_triggers(20)).posts == {"refused": 1}
        assert tried == []
        [(outcome, status, error)] = attempts(rows)
        assert (outcome, status) == ("refused", None)
        assert "public internet" in error
        assert "example.com" not in error
    finally:
        names.close()


async def test_hostile_targets_hold_up_no_other(
    switch: Switch,
    rows: Rows,
    org: UUID,
    receiving: Target,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    del switch
    monkeypatch.setattr(targets, "TIMEOUT", 6.0)
    hostile = {name: talk for kind in (ACCEPTED, UNKNOWN, EITHER) for name, talk in kind.items()}
    async with resources():
        contexts = [listening(talk) for talk in hostile.values()]
        opened = [await one.__aenter__() for one in contexts]
        try:
            for one in [*opened, receiving]:
                await subscribe(org, None, "contact.created", one.url)
            rows(
                "insert into contacts (org_id, email) select %s, 'p' || i || '@example.net'"
                " from generate_series(1, 10) as i",
                org,
            )
            began = monotonic()
            draining = asyncio.create_task(drain_triggers(10))
            while sum(caller.requests for caller in receiving.callers) < 10:
                await asyncio.sleep(0.01)
                assert monotonic() - began < 5
            told = await draining
        finally:
            for one in contexts:
                await one.__aexit__(None, None, None)
    assert set(told.posts) <= {"delivered", "no_answer", "refused", "failed"}
    assert told.posts["delivered"] >= 10 + len(ACCEPTED) * 10
    assert "Not posted" not in caplog.text
    assert rows("select count(*) from integration_hooks where lease is not null") == [(0,)]
    assert rows("select count(*) from integration_hook_deliveries where state = 'sending'") == [
        (0,)
    ]
    [(log,)] = rows(
        "select string_agg(error || coalesce(response, ''), ' ') from integration_hook_attempts"
    )
    assert "secret-path" not in log
    assert "example.net" not in log
