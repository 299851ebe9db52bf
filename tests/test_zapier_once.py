"""An action happens once: for each key, for each natural key, however many ask at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from zapier_world import ADA, API_KEY, ZapierWorld, made, refused_by

from atlvs.crypto import key_ring
from atlvs.db import actions
from atlvs.db.engine import database
from atlvs.errors import Unavailable
from atlvs.settings import settings
from tasks.zapier.actions import ACTIONS, perform

pytest_plugins = ["zapier_fixtures"]


@pytest.fixture(autouse=True)
async def _zapier_once_pools() -> AsyncIterator[None]:
    yield
    await database().close()


async def test_same_key_answers_the_same_again(zapier_world: ZapierWorld):
    record = str(zapier_world.make("contacts", first_name="Ada"))
    given = {"record_type": "contacts", "record_id": record, "body": "Secret words"}
    first = await made(zapier_world, "note.create", given, key="k", zap_id="1")
    zapier_world.rows("update notes set body = 'changed'")
    again = await zapier_world.act(
        "note.create", {**given, "body": "Secret words"}, key="k", zap_id="2"
    )
    assert (again.created, again.result) == (False, first)
    assert zapier_world.count("notes") == 1
    [(kept, status, sealed, by)] = zapier_world.rows(
        "select key, status, result, api_key_id from integration_actions"
    )
    assert (kept, status, by) == ("k", 201, API_KEY)
    assert b"Secret" not in bytes(sealed)
    assert b"Secret" in key_ring(settings()).open(bytes(sealed), str(zapier_world.org))


async def test_key_for_something_else_is_refused(zapier_world: ZapierWorld):
    await made(zapier_world, "contact.create", ADA, key="k")
    other = zapier_world.act("contact.create", {**ADA, "last_name": "King"}, key="k")
    await refused_by(other, "idempotency_mismatch", "Idempotency-Key")
    other = zapier_world.act("lead.create", {"name": "Ada"}, key="k")
    await refused_by(other, "idempotency_mismatch", "Idempotency-Key")
    same = await zapier_world.act(
        "contact.create", {**ADA, "last_name": "", "locale": None}, key="k"
    )
    assert not same.created
    theirs = await perform(
        zapier_world.other, API_KEY, "contact.create", {"last_name": "B"}, key="k"
    )
    assert theirs.created


async def test_refusal_is_not_remembered(zapier_world: ZapierWorld):
    given = {"title": "Book", "assignee_email": "ada@example.com"}
    await refused_by(zapier_world.act("task.create", given, key="k"), "not_found", "assignee_email")
    await made(zapier_world, "contact.create", ADA)
    assert (await zapier_world.act("task.create", given, key="k")).created


def inputs(world: ZapierWorld) -> dict[str, dict[str, Any]]:
    """Input that makes or changes something, for each action."""
    contact = str(world.make("contacts", email="old@example.com"))
    event, lead = str(world.make("events", name="Gala")), str(world.make("leads", name="L"))
    record = {"record_type": "contacts", "record_id": contact}
    return {
        "contact.create": {"first_name": "Ada"},
        "contact.update": {"id": contact, "first_name": "New"},
        "lead.create": {"name": "Ada"},
        "lead.update": {"id": lead, "status": "won"},
        "task.create": {"title": "Book"},
        "registration.create": {"event_id": event, "email": "new@example.com"},
        "note.create": {**record, "body": "B"},
        "tag.add": {**record, "tags": ["a", "B", "b"]},
    }


TABLES = ("contacts", "leads", "tasks", "registrations", "notes", "taggings")


@pytest.mark.parametrize("action", ACTIONS)
async def test_five_at_once_with_one_key_are_one(zapier_world: ZapierWorld, action: str):
    given = inputs(zapier_world)[action]
    told = len(zapier_world.told())
    answers = await asyncio.gather(*(zapier_world.act(action, given, key="k") for _ in range(5)))
    assert [answer.result for answer in answers] == [answers[0].result] * 5
    assert sum(answer.created for answer in answers) == (not action.endswith("update"))
    assert zapier_world.count("integration_actions") == 1
    written = zapier_world.told()[told:]
    assert len(written) == len(set(written))
    assert {source for _, source in written} <= {f"zapier:{API_KEY}:"}


async def test_five_at_once_without_a_key_find_each_other_by_nature(zapier_world: ZapierWorld):
    given = inputs(zapier_world)
    for action in ("registration.create", "tag.add"):
        answers = await asyncio.gather(*(zapier_world.act(action, given[action]) for _ in range(5)))
        assert len({answer.result["id"] for answer in answers}) == 1
        assert sum(answer.created for answer in answers) == 1
    answers = await asyncio.gather(
        *(
            zapier_world.act("contact.create", {"email": f"{'aA'[n % 2]}@b.example"})
            for n in range(6)
        )
    )
    assert sum(answer.created for answer in answers) == 1
    assert (zapier_world.count("registrations"), zapier_world.count("taggings")) == (1, 3)


async def test_many_at_once_do_not_wait_for_each_other_for_ever(zapier_world: ZapierWorld):
    """Contacts, registrations and tags of the same people in any order: no deadlock."""
    given = inputs(zapier_world)
    record = {name: given["tag.add"][name] for name in ("record_type", "record_id")}
    event = given["registration.create"]["event_id"]
    work = [
        zapier_world.act("registration.create", {"event_id": event, "email": "old@example.com"}),
        zapier_world.act(
            "registration.create", {"event_id": event, "contact_id": record["record_id"]}
        ),
        zapier_world.act("tag.add", {**record, "tags": ["a", "b", "C"]}),
        zapier_world.act("tag.add", {**record, "tags": ["C", "b", "a"]}),
        zapier_world.act("contact.update", {"email": "old@example.com", "last_name": "X"}),
        zapier_world.act(
            "contact.create", {"email": "old@example.com", "on_existing": "update", "locale": "de"}
        ),
    ]
    results = await asyncio.gather(
        *work,
        *(
            zapier_world.act("contact.update", {"id": record["record_id"], "first_name": f"N{n}"})
            for n in range(6)
        ),
    )
    assert all(one.result["id"] for one in results)
    assert zapier_world.count("registrations") == 1


async def test_events_say_which_zap_wrote(zapier_world: ZapierWorld):
    await made(zapier_world, "contact.create", ADA, zap_id="4711:x")
    await made(zapier_world, "lead.create", {"name": "L"})
    assert zapier_world.told() == [
        ("contact.created", f"zapier:{API_KEY}:4711:x"),
        ("lead.created", f"zapier:{API_KEY}:"),
    ]


QUICKER = """
    create sequence looks;
    create function quicker() returns trigger language plpgsql security definer as $$
    begin
        if nextval('looks') <= %s then  -- no rollback takes a number back
            raise unique_violation using message = 'ada@example.com is there already';
        end if;
        return new;
    end $$;
    create trigger quicker before insert on contacts for each row execute function quicker()
"""


@pytest.mark.parametrize(("times", "fine"), [(2, True), (3, False)])
async def test_platform_that_writes_the_same_is_looked_at_again(
    zapier_world: ZapierWorld, times: int, fine: bool
):
    zapier_world.rows(QUICKER % times)
    if fine:
        assert (await zapier_world.act("contact.create", ADA)).created
        return
    error = await refused_by(zapier_world.act("contact.create", ADA), "platform_taken")
    assert "UniqueViolation" in error.message
    assert "@" not in error.message


async def test_lock_that_is_held_too_long_is_an_outage(
    zapier_world: ZapierWorld, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(actions, "PATIENCE_MS", 300)
    async with await psycopg.AsyncConnection.connect(zapier_world.rows.url) as platform:
        await platform.execute("lock table contacts in exclusive mode")
        with pytest.raises(Unavailable):
            await zapier_world.act("contact.create", ADA, key="k")
    assert zapier_world.count("contacts") == zapier_world.count("integration_actions") == 0
    assert (await zapier_world.act("contact.create", ADA, key="k")).created
