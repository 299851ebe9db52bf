"""What the actions of Zaps refuse: wrong input, records of others, what a platform does not take."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from zapier_world import ADA, API_KEY, HOSTILE, ZapierWorld, made, refused_by

from atlvs.db.engine import database
from atlvs.errors import Misconfigured
from tasks.zapier.actions import perform

pytest_plugins = ["zapier_fixtures", "platform_fixtures"]


@pytest.fixture(autouse=True)
async def _zapier_refusal_pools() -> AsyncIterator[None]:
    yield
    await database().close()


ID = "0b9ad2d6-6f1e-4b6c-9a51-3d6f2f1c7e55"
REGISTERS = {"event_id": ID, "email": "a@b.example"}
RECORD = {"record_type": "contacts", "record_id": ID}
NOTE = {**RECORD, "body": "B"}
WRONG = [
    ("contact.create", {}, "parameter_missing", "email"),
    ("contact.create", {"email": "  ", "phone": None, "locale": "en"}, "parameter_missing", "email"),
    ("contact.create", {"email": "ada"}, "parameter_invalid", "email"),
    ("contact.create", {"email": "a b@c.example"}, "parameter_invalid", "email"),
    ("contact.create", {"email": "a@b.example\nBcc: c@d.example"}, "parameter_invalid", "email"),
    ("contact.create", {"email": "a@b..example"}, "parameter_invalid", "email"),
    ("contact.create", {"email": f"a@{'b' * 250}.example"}, "parameter_invalid", "email"),
    ("contact.create", {"email": ["a@b.example"]}, "parameter_invalid", "email"),
    ("contact.create", {"email": True}, "parameter_invalid", "email"),
    ("contact.create", {"phone": "call me"}, "parameter_invalid", "phone"),
    ("contact.create", {"first_name": "a\0b"}, "parameter_invalid", "first_name"),
    ("contact.create", {"first_name": "\ud800"}, "parameter_invalid", "first_name"),
    ("contact.create", {"first_name": "a" * 201}, "parameter_invalid", "first_name"),
    ("contact.create", {"first_name": "A", "time_zone": "Mars"}, "parameter_invalid", "time_zone"),
    ("contact.create", {"first_name": "A", "locale": "../"}, "parameter_invalid", "locale"),
    ("contact.create", {"first_name": "A", "on_existing": "eat"}, "parameter_invalid", "on_existing"),
    ("contact.create", {"first_name": "A", "company_id": "7"}, "parameter_invalid", "company_id"),
    ("contact.create", {"first_name": "A", "org_id": ID}, "parameter_unknown", "org_id"),
    ("contact.create", {"firstName": "A"}, "parameter_unknown", "firstName"),
    ("contact.update", {"first_name": "A"}, "parameter_missing", "id"),
    ("contact.update", {"id": ID, "email": "a@b.example"}, "parameter_invalid", "email"),
    ("lead.create", {"email": "a@b.example"}, "parameter_missing", "name"),
    ("lead.update", {"status": "won"}, "parameter_missing", "id"),
    ("lead.update", {"id": ID, "status": "s" * 51}, "parameter_invalid", "status"),
    ("task.create", {"title": " "}, "parameter_missing", "title"),
    ("task.create", {"title": "T", "due_at": "soon"}, "parameter_invalid", "due_at"),
    ("task.create", {"title": "T", "due_at": 1764525600}, "parameter_invalid", "due_at"),
    ("task.create", {"title": "T", "due_at": "0001-01-01"}, "parameter_invalid", "due_at"),
    (
        "task.create",
        {"title": "T", "assignee_id": ID, "assignee_email": "a@b.example"},
        "parameter_invalid",
        "assignee_email",
    ),
    ("registration.create", {"event_id": ID}, "parameter_missing", "email"),
    ("registration.create", {**REGISTERS, "contact_id": ID}, "parameter_invalid", "email"),
    ("registration.create", {**REGISTERS, "amount": "12,50"}, "parameter_invalid", "amount"),
    ("registration.create", {**REGISTERS, "amount": "-1"}, "parameter_invalid", "amount"),
    ("registration.create", {**REGISTERS, "amount": "1e3"}, "parameter_invalid", "amount"),
    ("registration.create", {**REGISTERS, "amount_cents": -1}, "parameter_invalid", "amount_cents"),
    ("registration.create", {**REGISTERS, "amount_cents": 1.5}, "parameter_invalid", "amount_cents"),
    ("registration.create", {**REGISTERS, "amount_cents": True}, "parameter_invalid", "amount_cents"),
    ("registration.create", {**REGISTERS, "amount_cents": 10**13}, "parameter_invalid", "amount_cents"),
    ("registration.create", {**REGISTERS, "amount_cents": 1, "amount": "1"}, "parameter_invalid", "amount"),
    ("registration.create", {**REGISTERS, "currency": "euro"}, "parameter_invalid", "currency"),
    ("note.create", RECORD, "parameter_missing", "body"),
    ("note.create", {**NOTE, "record_type": "pg_class"}, "parameter_invalid", "record_type"),
    ("note.create", {**NOTE, "record_type": "notes"}, "parameter_invalid", "record_type"),
    ("note.create", {**NOTE, "body": "b" * 100_001}, "parameter_invalid", "body"),
    ("tag.add", RECORD, "parameter_missing", "tag"),
    ("tag.add", {**RECORD, "tag": "t" * 101}, "parameter_invalid", "tag"),
    ("tag.add", {**RECORD, "tags": " , "}, "parameter_invalid", "tags"),
    ("contact.delete", {}, "action_unknown", "action"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "data", "code", "field"), WRONG)
async def test_wrong_input_is_refused_by_its_field(
    zapier_world: ZapierWorld, action: str, data: Any, code: str, field: str
):
    error = await refused_by(zapier_world.act(action, data, key="k"), code, field)
    given = [value for value in data.values() if isinstance(value, str) and len(value) > 3]
    assert not [value for value in given if value in error.message and value != "contacts"]
    assert zapier_world.told() == []
    assert zapier_world.count("integration_actions") == 0


@pytest.mark.parametrize(
    ("action", "given", "meant"),
    [
        ("contact.create", "firstName", "first_name"),
        ("contact.update", "e_mail", "email"),
        ("task.create", "dueAt", "due_at"),
        ("registration.create", "amount_cent", "amount_cents"),
    ],
)
async def test_field_that_may_be_meant_is_named(
    zapier_world: ZapierWorld, action: str, given: str, meant: str
):
    error = await refused_by(zapier_world.act(action, {given: "x"}), "parameter_unknown", given)
    assert f"Did you mean {meant}?" in error.message


async def test_digits_of_the_currency_are_known(zapier_world: ZapierWorld):
    event = str(zapier_world.make("events", name="Gala"))
    for currency, amount in (("jpy", "12.50"), ("eur", "1.005")):
        given = {**REGISTERS, "event_id": event, "amount": amount, "currency": currency}
        error = await refused_by(
            zapier_world.act("registration.create", given), "parameter_invalid", "amount"
        )
        assert currency in error.message
    assert zapier_world.count("contacts") == 0


REFERENCES = [
    ("contact.create", "company_id", "companies", {"name": "C"}, {"email": "a@b.example"}),
    ("contact.update", "id", "contacts", {}, {"first_name": "A"}),
    ("contact.update", "email", "contacts", {"email": "x@y.example"}, {"first_name": "A"}),
    ("lead.create", "contact_id", "contacts", {}, {"name": "L"}),
    ("lead.update", "id", "leads", {"name": "L"}, {"status": "won"}),
    ("task.create", "event_id", "events", {"name": "E"}, {"title": "T"}),
    ("task.create", "assignee_id", "contacts", {}, {"title": "T"}),
    ("task.create", "assignee_email", "contacts", {"email": "x@y.example"}, {"title": "T"}),
    ("registration.create", "event_id", "events", {"name": "E"}, {"email": "a@b.example"}),
    ("note.create", "record_id", "events", {"name": "E"}, {"record_type": "events", "body": "B"}),
    ("tag.add", "record_id", "deals", {"name": "D"}, {"record_type": "deals", "tag": "vip"}),
]  # fmt: skip


@pytest.mark.parametrize(("action", "field", "table", "fields", "data"), REFERENCES)
async def test_another_organizations_record_is_as_if_it_were_not(
    zapier_world: ZapierWorld, action: str, field: str, table: str, fields: Any, data: Any
):
    record = zapier_world.foreign(table, **fields)
    before = zapier_world.rows(f"select row_to_json(t)::text from {table} as t")
    foreign = {**data, field: fields.get("email", str(record))}
    nobody = {**data, field: "n@o.example" if "email" in field else str(uuid4())}
    first = await refused_by(zapier_world.act(action, foreign), "not_found", field)
    second = await refused_by(zapier_world.act(action, nobody), "not_found", field)
    assert first.message == second.message
    assert zapier_world.rows(f"select row_to_json(t)::text from {table} as t") == before
    assert [source for _, source in zapier_world.told() if source != "platform"] == []


async def test_address_of_another_organization_is_free_here(zapier_world: ZapierWorld):
    theirs = zapier_world.foreign("contacts", email="ada@example.com")
    row = await made(zapier_world, "contact.create", ADA)
    assert row["id"] != str(theirs)
    assert row["org_id"] == str(zapier_world.org)


async def test_hostile_text_is_only_text(zapier_world: ZapierWorld):
    row = await made(
        zapier_world, "contact.create", {"first_name": HOSTILE, "last_name": "\\'\"; --"}
    )
    assert zapier_world.rows("contacts", "first_name", "last_name") == [(HOSTILE, "\\'\"; --")]
    assert row["first_name"] == HOSTILE


# A platform that was there before


async def test_what_a_platform_wants_beyond_us_is_named(zapier_world: ZapierWorld):
    zapier_world.rows(
        "alter table leads add column tier text not null default 'x', add check (status <> 'odd')"
    )
    zapier_world.rows("alter table leads alter column tier drop default")
    error = await refused_by(
        zapier_world.act("lead.create", {"name": "Ada"}), "platform_refused", "tier"
    )
    assert "leads.tier must not be empty" in error.message
    zapier_world.rows("alter table leads alter column tier drop not null")
    error = await refused_by(
        zapier_world.act("lead.create", {"name": "Ada", "status": "odd"}), "platform_refused"
    )
    assert "leads_status_check" in error.message


async def test_mapped_platform_takes_what_it_has(adopted: Any):
    async def act(action: str, data: dict[str, Any]) -> dict[str, Any]:
        return (await perform(adopted.mine, API_KEY, action, data)).result

    row = await act("contact.create", {"email": "New@acme.test", "first_name": "Ada"})
    assert (row["email"], row["first_name"], row["phone"]) == ("New@acme.test", "Ada", None)
    [(id,)] = adopted("select id from crm_people where mail = 'New@acme.test'")
    assert row["id"] == str(id)
    again = await act(
        "contact.create", {"email": "new@ACME.test", "first_name": "B", "on_existing": "update"}
    )
    assert (again["id"], again["first_name"]) == (row["id"], "B")
    work = act("contact.create", {"phone": "+4930901820"})
    error = await refused_by(work, "field_unavailable", "phone")
    assert "ATLVS_TABLES" in error.message
    with pytest.raises(Misconfigured, match="tasks is not taken on.*bootstrap --adopt"):
        await act("task.create", {"title": "T"})
    assert (await act("lead.create", {"name": "L"}))["status"] == "new"
