"""The eight actions of Zaps: what they make, and what they find again."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from zapier_world import ADA, HOSTILE, ZapierWorld, made, refused_by

from atlvs.db.engine import database

pytest_plugins = ["zapier_fixtures"]


@pytest.fixture(autouse=True)
async def _zapier_pools() -> AsyncIterator[None]:
    yield
    await database().close()


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
    await refused_by(zapier_world.act("contact.update", given), "not_found", "email")


async def test_no_two_contacts_get_one_address(zapier_world: ZapierWorld):
    ada = await made(zapier_world, "contact.create", ADA)
    await made(zapier_world, "contact.create", {"email": "bob@example.com"})
    given = {"email": "bob@example.com", "new_email": "ADA@example.com"}
    await refused_by(zapier_world.act("contact.update", given), "email_taken", "new_email")
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
    await refused_by(zapier_world.act("task.create", given), "not_found", "assignee_email")


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
