"""How a subscription stands: what a target asks for is kept to, and what a person does is not undone."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import UUID

import pytest
from answering_target import answering, contacts, drained, due_now, status
from conftest import Rows
from hooked_world import failing_for_days
from hostile_target import OK

from atlvs.db import hooks
from atlvs.hooks import LONGEST_REST, Hook
from tasks.triggers.subscribing import subscribe

pytest_plugins = ["answering_fixtures"]


@pytest.mark.parametrize("code", [400, 500])
async def test_days_without_a_try_end_nothing(at_once: None, rows: Rows, org: UUID, code: int):
    async def answer(number: int) -> bytes:
        del number
        return status(code)

    async with answering(answer) as (target, _):
        hook, _ = await subscribe(org, None, "contact.created", target.url)
        contacts(rows, org, 50)
        await drained()
        rows("update integration_hooks set failing_since = failing_since - interval '4 days'")
        rows("update integration_hook_attempts set started_at = started_at - interval '4 days'")
        due_now(rows)
        await drained()
        assert await state_of(org, hook) == "active"
        failing_for_days(rows)
        due_now(rows)
        await drained()
        assert await state_of(org, hook) == "disabled"


async def state_of(org: UUID, hook: Hook) -> str:
    found = await hooks.find(org, hook.id)
    assert found
    return found.state


async def test_a_rest_until_a_date_is_kept(at_once: None, rows: Rows, org: UUID):
    async def answer(number: int) -> bytes:
        until = datetime.now(UTC) + timedelta(hours=1 if number == 1 else 24 * 300)
        return status(429, retry_after=format_datetime(until, usegmt=True))

    async with answering(answer) as (target, _):
        await subscribe(org, None, "contact.created", target.url)
        contacts(rows, org)
        for seconds in (3_600, LONGEST_REST):
            assert (await drained()).posts == {"limited": 1}
            [(rest,)] = rows(
                "select extract(epoch from rests_until - now())::float8 from integration_hooks"
            )
            assert seconds - 60 < rest <= seconds
            due_now(rows)


async def test_an_address_has_one_limit_however_it_is_spelt(
    at_the_pace: None, rows: Rows, org: UUID
):
    async def answer(number: int) -> bytes:
        del number
        return OK

    async with answering(answer) as (target, _):
        kept: set[UUID] = set()
        upper = target.url.replace("http:", "HTTP:")
        spellings = (target.url, f"{target.url}#1", upper, target.url.replace("hooks", "%68ooks"))
        for number, url in enumerate(spellings):
            hook, new = await subscribe(org, None, "contact.created", url)
            assert new == (number == 0)
            kept.add(hook.id)
        await subscribe(org, None, "contact.updated", f"{target.url}#2")
        contacts(rows, org)
        rows("update contacts set first_name = 'a'")
        assert (await drained()).posts == {"delivered": 2}
    assert len(kept) == 1
    assert rows("select count(*) from integration_hook_targets") == [(1,)]


async def test_posts_are_signed_with_the_secrets_of_now(at_once: None, rows: Rows, org: UUID):
    rotated = asyncio.Event()

    async def answer(number: int) -> bytes:
        del number
        await rotated.wait()
        return OK

    async with answering(answer) as (target, heads):
        hook, _ = await subscribe(org, None, "contact.created", target.url)
        contacts(rows, org, 40)
        draining = asyncio.create_task(drained())
        while len(heads) < 32:
            await asyncio.sleep(0.01)
        await hooks.rotate(org, hook.id)
        rotated.set()
        assert (await draining).posts == {"delivered": 40}
    assert [head.count("v1,") for head in heads] == [1] * 32 + [2] * 8


async def test_enabling_is_not_undone_by_an_answer_to_a_post_before_it(
    at_once: None, rows: Rows, org: UUID
):
    enabled = asyncio.Event()

    async def answer(number: int) -> bytes:
        del number
        await enabled.wait()
        return status(429, retry_after="3600")

    async with answering(answer) as (target, heads):
        hook, _ = await subscribe(org, None, "contact.created", target.url)
        contacts(rows, org)
        draining = asyncio.create_task(drained(1))
        while not heads:
            await asyncio.sleep(0.01)
        assert await hooks.enable(org, hook.id)
        enabled.set()
        await draining
    assert rows("select failures, failing_since, rests_until from integration_hooks") == [
        (0, None, None)
    ]
