"""The eight actions of Zaps: made, found again, refused; once for each key; nothing of others."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from zapier_world import API_KEY, ZapierWorld, made

from atlvs.crypto import key_ring
from atlvs.db.engine import database
from atlvs.errors import Misconfigured, Rejected
from atlvs.settings import settings
from tasks.zapier.actions import ACTIONS, perform

pytest_plugins = ["zapier_fixtures", "platform_fixtures"]
ADA = {"email": "Ada@Example.com", "first_name": "Ada", "phone": "030 901820"}
HOSTILE = "'; drop table contacts; -- \u202e<script>alert(1)</script> {{7*7}} %s %(x)s 💥"


@pytest.fixture(autouse=True)
async def _zapier_pools() -> AsyncIterator[None]:
    yield
    await database().close()


async def refused(work: Any, code: str, field: str | None = None) -> Rejected:
    with pytest.raises(Rejected) as caught:
        await work
    assert (caught.value.code, caught.value.field) == (code, field), caught.value.message
    return caught.value


# Contacts


async def test_contact_is_made_with_its_values_in_order(zapier_world: ZapierWorld):
    company = zapier_world.make("companies", name="Engines")
    given = {**ADA, "last_name": " Lovelace ", "company_id": str(company), "locale": "en-GB"}
    row = await made(zapier_world, "contact.create", {**given, "time_zone": "Europe/London"})
    assert list(row)[:2] == ["object", "id"]
    assert row == {
        "object": "contact",
        "id": row["id"],
        "org_id": str(zapier_world.org),
        "company_id": str(company),
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": "Ada@Example.com",
        "phone": "+4930901820",
        "time_zone": "Europe/London",
        "locale": "en-GB",
        "created_at": row["created_at"],
        "updated_at": row["created_at"],
    }
    assert datetime.fromisoformat(row["created_at"]).utcoffset() is not None
    assert zapier_world.rows("contacts", "id", "org_id") == [(UUID(row["id"]), zapier_world.org)]


async def test_contact_is_known_by_its_address_in_any_case(zapier_world: ZapierWorld):
    first = await made(zapier_world, "contact.create", ADA)
    again = await zapier_world.act(
        "contact.create", {"email": " ada@example.COM", "first_name": "B"}
    )
    assert (again.created, again.result) == (False, first)
    changed = await zapier_world.act(
        "contact.create", {"email": "ADA@example.com", "last_name": "King", "on_existing": "update"}
    )
    assert not changed.created
    assert changed.result["last_name"] == "King"
    assert {**changed.result, "last_name": None, "updated_at": first["updated_at"]} == first
    assert [kind for kind, _ in zapier_world.told()] == ["contact.created", "contact.updated"]


async def test_update_that_changes_nothing_tells_nothing(zapier_world: ZapierWorld):
    first = await made(zapier_world, "contact.create", ADA)
    same = await zapier_world.act("contact.create", {**ADA, "on_existing": "update"})
    assert same.result == first
    same = await zapier_world.act("contact.update", {"id": first["id"], "first_name": "Ada"})
    assert same.result == first
    assert len(zapier_world.told()) == 1


async def test_contacts_without_an_address_are_each_their_own(zapier_world: ZapierWorld):
    for given in ({"first_name": "A"}, {"first_name": "A"}, {"last_name": 7}):
        await made(zapier_world, "contact.create", given)
    assert zapier_world.count("contacts") == 3


async def test_contact_is_changed_by_id_or_address(zapier_world: ZapierWorld):
    id = (await made(zapier_world, "contact.create", ADA))["id"]
    by_id = await zapier_world.act("contact.update", {"id": id, "last_name": "King", "phone": ""})
    assert (by_id.created, by_id.result["last_name"]) == (False, "King")
    assert by_id.result["phone"] == "+4930901820"
    given = {"email": "ada@example.com", "new_email": "ada@new.example"}
    by_address = await zapier_world.act("contact.update", given)
    assert (by_address.result["id"], by_address.result["email"]) == (id, "ada@new.example")
    await refused(zapier_world.act("contact.update", given), "not_found", "email")


async def test_no_two_contacts_get_one_address(zapier_world: ZapierWorld):
    ada = await made(zapier_world, "contact.create", ADA)
    await made(zapier_world, "contact.create", {"email": "bob@example.com"})
    given = {"email": "bob@example.com", "new_email": "ADA@example.com"}
    await refused(zapier_world.act("contact.update", given), "email_taken", "new_email")
    own = await zapier_world.act(
        "contact.update", {"id": ada["id"], "new_email": "ada@example.com"}
    )
    assert own.result["email"] == "ada@example.com"


# Leads, tasks


async def test_lead_is_made_and_changed(zapier_world: ZapierWorld):
    contact = zapier_world.make("contacts", first_name="Ada")
    given = {"first_name": "Ada", "last_name": "King", "contact_id": str(contact)}
    lead = await made(zapier_world, "lead.create", given)
    assert (lead["name"], lead["source"], lead["status"]) == ("Ada King", "zapier", "new")
    other = await made(
        zapier_world, "lead.create", {"name": "Ada King", "source": "form", "status": "warm"}
    )
    assert (other["source"], other["status"], other["contact_id"]) == ("form", "warm", None)
    changed = await zapier_world.act(
        "lead.update", {"id": lead["id"], "status": "won", "email": "a@b.example"}
    )
    assert not changed.created
    assert {
        **changed.result,
        "status": "new",
        "email": None,
        "updated_at": lead["updated_at"],
    } == lead
    kinds = [kind for kind, _ in zapier_world.told()]
    assert kinds == ["contact.created", "lead.created", "lead.created", "lead.status_changed"]


@pytest.mark.parametrize(
    ("due", "meant"),
    [
        ("2026-11-30T18:00:00+01:00", "2026-11-30T17:00:00+00:00"),
        ("2026-11-30T18:00:00Z", "2026-11-30T18:00:00+00:00"),
        ("2026-11-30T18:00:00-0500", "2026-11-30T23:00:00+00:00"),
        ("2026-07-30T18:00", "2026-07-30T16:00:00+00:00"),
        ("2026-11-30 18:00:00", "2026-11-30T17:00:00+00:00"),
        ("2026-11-30", "2026-11-29T23:00:00+00:00"),
        ("2026-11-30T18:00:00+23:59", "2026-11-29T18:01:00+00:00"),
    ],
)
async def test_time_without_an_offset_is_the_organizations(
    zapier_world: ZapierWorld, due: str, meant: str
):
    task = await made(zapier_world, "task.create", {"title": "Book", "due_at": due})
    assert task["due_at"] == meant


async def test_task_is_for_somebody_and_for_an_event(zapier_world: ZapierWorld):
    ada = zapier_world.make("contacts", email="ada@example.com")
    event = zapier_world.make("events", name="Gala")
    for whom in ({"assignee_id": str(ada)}, {"assignee_email": "ADA@example.com"}):
        task = await made(
            zapier_world, "task.create", {"title": "Book", "event_id": str(event), **whom}
        )
        assert (task["assignee_id"], task["event_id"]) == (str(ada), str(event))
        assert (task["status"], task["completed_at"]) == ("open", None)
    done = await made(zapier_world, "task.create", {"title": "Book", "status": "completed"})
    assert done["completed_at"] == done["created_at"]
    given = {"title": "Book", "assignee_email": "nobody@example.com"}
    await refused(zapier_world.act("task.create", given), "not_found", "assignee_email")


# Registrations


async def test_registration_makes_the_contact_that_is_missing(zapier_world: ZapierWorld):
    event = str(zapier_world.make("events", name="Gala"))
    given = {"event_id": event, "email": "ada@example.com", "first_name": "Ada", "amount": "12.50"}
    row = await made(zapier_world, "registration.create", given)
    assert (row["amount_cents"], row["currency"]) == (1250, "eur")
    assert (row["status"], row["payment_status"]) == ("pending", "unpaid")
    contact = zapier_world.rows("contacts", "id", "first_name")
    assert contact == [(UUID(row["contact_id"]), "Ada")]
    again = await zapier_world.act("registration.create", {**given, "email": "ADA@example.com"})
    assert (again.created, again.result) == (False, row)
    by_id = {"event_id": event, "contact_id": row["contact_id"], "status": "confirmed"}
    assert (await zapier_world.act("registration.create", by_id)).result == row


async def test_cancelled_registration_does_not_stand_in_the_way(zapier_world: ZapierWorld):
    given = {"event_id": str(zapier_world.make("events", name="Gala")), "email": "ada@example.com"}
    first = await made(zapier_world, "registration.create", given)
    zapier_world.rows("update registrations set status = 'cancelled'")
    second = await made(zapier_world, "registration.create", given)
    assert first["contact_id"] == second["contact_id"]
    assert zapier_world.count("registrations") == 2


@pytest.mark.parametrize(
    ("given", "cents", "currency"),
    [
        ({}, 0, "eur"),
        ({"amount_cents": "1250"}, 1250, "eur"),
        ({"amount_cents": 0, "currency": "USD"}, 0, "usd"),
        ({"amount": 12.5, "currency": "usd"}, 1250, "usd"),
        ({"amount": "1250", "currency": "JPY"}, 1250, "jpy"),
        ({"amount": "1.234", "currency": "kwd"}, 1234, "kwd"),
        ({"amount": "0.10", "amount_cents": ""}, 10, "eur"),
        ({"currency": "gbp"}, 0, "gbp"),
    ],
)
async def test_amounts_are_minor_units(
    zapier_world: ZapierWorld, given: Any, cents: int, currency: str
):
    event = str(zapier_world.make("events", name="Gala"))
    data = {"event_id": event, "email": "ada@example.com", **given}
    row = await made(zapier_world, "registration.create", data)
    assert (row["amount_cents"], row["currency"]) == (cents, currency)


# Notes, tags


@pytest.mark.parametrize("kind", ["contacts", "contact", " Contact "])
async def test_note_on_a_record(zapier_world: ZapierWorld, kind: str):
    record = str(zapier_world.make("contacts", first_name="Ada"))
    given = {"record_type": kind, "record_id": record, "body": HOSTILE}
    note = await made(zapier_world, "note.create", given)
    assert (note["record_type"], note["record_id"], note["body"]) == ("contacts", record, HOSTILE)
    assert (await made(zapier_world, "note.create", given))["id"] != note["id"]


async def test_tags_are_a_set(zapier_world: ZapierWorld):
    record = str(zapier_world.make("events", name="Gala"))
    given = {"record_type": "events", "record_id": record}
    first = await made(zapier_world, "tag.add", {**given, "tag": "vip"})
    assert first == {"object": "tagging", "id": first["id"], "tag": "vip", **given, "tags": ["vip"]}
    again = await zapier_world.act("tag.add", {**given, "tag": " vip "})
    assert (again.created, again.result) == (False, first)
    more = await made(zapier_world, "tag.add", {**given, "tags": "vip, speaker ,,press"})
    assert (more["id"], more["tag"]) == (first["id"], "vip")
    assert more["tags"] == ["press", "speaker", "vip"]
    assert not (await zapier_world.act("tag.add", {**given, "tags": ["press", "vip"]})).created
    assert (zapier_world.count("tags"), zapier_world.count("taggings")) == (3, 3)


# Refusals

ID = "0b9ad2d6-6f1e-4b6c-9a51-3d6f2f1c7e55"
REGISTERS = {"event_id": ID, "email": "a@b.example"}
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
    ("note.create", {"record_type": "contacts", "record_id": ID}, "parameter_missing", "body"),
    ("note.create", {"record_type": "pg_class", "record_id": ID, "body": "B"}, "parameter_invalid", "record_type"),
    ("note.create", {"record_type": "notes", "record_id": ID, "body": "B"}, "parameter_invalid", "record_type"),
    ("note.create", {"record_type": "contacts", "record_id": ID, "body": "b" * 100_001}, "parameter_invalid", "body"),
    ("tag.add", {"record_type": "contacts", "record_id": ID}, "parameter_missing", "tag"),
    ("tag.add", {"record_type": "contacts", "record_id": ID, "tag": "t" * 101}, "parameter_invalid", "tag"),
    ("tag.add", {"record_type": "contacts", "record_id": ID, "tags": " , "}, "parameter_invalid", "tags"),
    ("contact.delete", {}, "action_unknown", "action"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "data", "code", "field"), WRONG)
async def test_wrong_input_is_refused_by_its_field(
    zapier_world: ZapierWorld, action: str, data: Any, code: str, field: str
):
    error = await refused(zapier_world.act(action, data, key="k"), code, field)
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
    error = await refused(zapier_world.act(action, {given: "x"}), "parameter_unknown", given)
    assert f"Did you mean {meant}?" in error.message


async def test_digits_of_the_currency_are_known(zapier_world: ZapierWorld):
    event = str(zapier_world.make("events", name="Gala"))
    for currency, amount in (("jpy", "12.50"), ("eur", "1.005")):
        given = {**REGISTERS, "event_id": event, "amount": amount, "currency": currency}
        error = await refused(
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
    first = await refused(zapier_world.act(action, foreign), "not_found", field)
    second = await refused(zapier_world.act(action, nobody), "not_found", field)
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


# Keys


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
    await refused(other, "idempotency_mismatch", "Idempotency-Key")
    other = zapier_world.act("lead.create", {"name": "Ada"}, key="k")
    await refused(other, "idempotency_mismatch", "Idempotency-Key")
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
    await refused(zapier_world.act("task.create", given, key="k"), "not_found", "assignee_email")
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


async def test_platform_that_is_quicker_is_found(zapier_world: ZapierWorld):
    """The platform's own unique key refuses ours: the second look finds its row."""
    zapier_world.rows("create unique index on contacts (org_id, lower(email))")
    zapier_world.rows(
        """
        create function quicker() returns trigger language plpgsql as $$
        begin
            if current_setting('atlvs.source', true) like 'zapier:%' and random() < 2 then
                raise unique_violation using message = 'there already';
            end if;
            return new;
        end $$
        """
    )
    zapier_world.rows(
        "create trigger quicker before insert on contacts for each row execute function quicker()"
    )
    error = await refused(zapier_world.act("contact.create", ADA), "platform_refused")
    assert "Ada" not in error.message


# A platform that was there before


async def test_what_a_platform_wants_beyond_us_is_named(zapier_world: ZapierWorld):
    zapier_world.rows(
        "alter table leads add column tier text not null default 'x', add check (status <> 'odd')"
    )
    zapier_world.rows("alter table leads alter column tier drop default")
    error = await refused(
        zapier_world.act("lead.create", {"name": "Ada"}), "platform_refused", "tier"
    )
    assert "leads.tier must not be empty" in error.message
    zapier_world.rows("alter table leads alter column tier drop not null")
    error = await refused(
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
    error = await refused(work, "field_unavailable", "phone")
    assert "ATLVS_TABLES" in error.message
    with pytest.raises(Misconfigured, match="tasks is not taken on.*bootstrap --adopt"):
        await act("task.create", {"title": "T"})
    assert (await act("lead.create", {"name": "L"}))["status"] == "new"


async def test_time_given_as_a_time_is_kept(zapier_world: ZapierWorld):
    """Python callers may give values as they have them."""
    due = datetime(2026, 11, 30, 18, tzinfo=UTC)
    task = await made(zapier_world, "task.create", {"title": "T", "due_at": due.isoformat()})
    assert datetime.fromisoformat(task["due_at"]) == due
