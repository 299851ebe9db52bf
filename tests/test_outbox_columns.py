"""What a platform's own columns may be: its writes never fail for us, and stay its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from conftest import Rows
from existing_platform import Platform, text

from atlvs.db import embedded, migrate, platform

pytest_plugins = ["platform_fixtures"]
OURS = (
    "kind",
    "names",
    "since",
    "told_by",
    "told",
    "notify",
    "beyond",
    "has_json",
    "r",
    "e",
    "n",
    "o",
    "x",
    "w",
    "a",
    "b",
)


def told(rows: Rows) -> list[tuple[str, Any]]:
    """Events by type and record since the last look."""
    found = rows("select type, data from integration_outbox order by seq")
    rows("delete from integration_outbox")
    return found


def types(rows: Rows) -> list[str]:
    return [type for type, _ in told(rows)]


@pytest.mark.parametrize("name", [*OURS, "row_now", "record_type", "tg_op", "new_rows", "key"])
def test_column_may_have_any_name(rows: Rows, org: UUID, name: str):
    rows(f'alter table contacts add column "{name}" text')
    rows(f"""insert into contacts (org_id, email, "{name}") values (%s, 'a@x.test', 'own')""", org)
    [(made, record)] = told(rows)
    assert (made, record["email"], record[name]) == ("contact.created", "a@x.test", "own")
    rows("update contacts set email = 'b@x.test'")
    assert types(rows) == ["contact.updated"]


@pytest.mark.parametrize(
    ("kind", "values"),
    [("text", ("'n/a'", "'1'")), ("boolean", ("true", "false")), ("jsonb", ("'{}'", "'[1]'"))]
    + [("money", ("1", "2"))],
)
def test_amount_of_another_kind_fails_no_write(
    rows: Rows, org: UUID, kind: str, values: tuple[str, str]
):
    rows("alter table payments drop column refunded_cents")
    rows(f"alter table payments add column refunded_cents {kind}")
    for value in values:
        rows(
            "insert into payments (org_id, amount_cents, currency, refunded_cents)"
            f" values (%s, 1, 'usd', {value})",
            org,
        )
    rows(f"update payments set status = 'completed', refunded_cents = {values[0]}")
    assert sorted(types(rows)) == [*["payment.created"] * 2, *["payment.received"] * 2]


def test_row_without_an_id_is_not_told_and_written(rows: Rows, org: UUID):
    rows("create table their_people (id uuid, org_id uuid, email text)")
    rows("select atlvs_tell('their_people', 'contacts')")
    rows("insert into their_people values (null, %s, 'a'), (gen_random_uuid(), %s, 'b')", org, org)
    rows("update their_people set email = 'c'")
    assert [(type, record["email"]) for type, record in told(rows)] == [
        ("contact.created", "b"),
        ("contact.updated", "c"),
    ]


@pytest.mark.parametrize(
    ("kind", "large"),
    [
        ("bytea", "decode(repeat('00', 140000000), 'hex')"),
        ("text", "repeat('x', 280000000)"),
    ],
)
def test_large_column_is_left_out(rows: Rows, org: UUID, kind: str, large: str):
    rows(f"alter table contacts add column scan {kind}")
    rows(f"insert into contacts (org_id, email, scan) values (%s, 'a@x.test', {large})", org)
    rows("update contacts set email = 'b@x.test'")
    found = told(rows)
    assert [type for type, _ in found] == ["contact.created", "contact.updated"]
    assert [(record["email"], record["scan"]) for _, record in found] == [
        ("a@x.test", None),
        ("b@x.test", None),
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r'{"a": "x\u0000y", "b": 1}', {"a": "x\ufffdy", "b": 1}),
        (r'{"a": "\ud800", "b": "\\u0000"}', {"a": "\ufffd", "b": r"\u0000"}),
        (r'{"a": "\u00e9 \\"}', {"a": "é \\"}),
    ],
)
def test_json_that_jsonb_does_not_take_fails_no_write(
    rows: Rows, org: UUID, written: str, read: Any
):
    rows("alter table contacts add column answer json")
    rows("insert into contacts (org_id, email, answer) values (%s, 'a@x.test', %s)", org, written)
    rows("update contacts set email = 'b@x.test'")
    found = told(rows)
    assert [type for type, _ in found] == ["contact.created", "contact.updated"]
    assert [record["answer"] for _, record in found] == [read, read]


def test_record_under_a_new_id_is_a_new_record(rows: Rows, org: UUID):
    rows("insert into contacts (org_id, email) values (%s, 'a@x.test')", org)
    types(rows)
    [(new,)] = rows("update contacts set id = gen_random_uuid(), email = 'b@x.test' returning id")
    [(type, record)] = told(rows)
    assert (type, record["id"]) == ("contact.created", str(new))


def test_task_without_a_status_is_assigned(rows: Rows, org: UUID):
    rows("alter table tasks alter column status drop not null")
    [(person,)] = rows("insert into contacts (org_id) values (%s) returning id", org)
    rows("insert into tasks (org_id, title, status) values (%s, 'Build', null)", org)
    rows("update tasks set assignee_id = %s", person)
    assert types(rows) == ["contact.created", "task.created", "task.assigned"]


def test_platforms_own_columns_are_not_stored(adopted: Platform):
    adopted("alter table crm_people add column password_hash text")
    adopted.as_theirs(
        "insert into crm_people (tenant_id, mail, password_hash)"
        f" values ('{adopted.mine}', 'new@x.test', 'secret')"
    )
    adopted.as_theirs("update crm_people set password_hash = 'other' where mail = 'new@x.test'")
    adopted.as_theirs(
        "update crm_people set password_hash = 'third', first_name = 'Eve' where mail = 'new@x.test'"
    )
    made, changed = adopted.told()
    assert (made[0], changed[0]) == ("contact.created", "contact.updated")
    assert set(made[3]) == set(platform.core_columns()["contacts"]) == set(changed[3])
    assert changed[4] == {"first_name": None}


def test_tables_taken_on_before_tell_only_our_columns_after_the_migration(existing: Platform):
    migrate.upgrade(existing.url, "0002")
    for table, names in (
        ("crm_people", """{"email": "mail", "org_id": "tenant_id", "updated_at": "modified"}"""),
        ('"Bill"', """{"amount_cents": "total"}"""),
    ):
        org = "tenant_id" if "tenant_id" in names else "org_id"
        kind = "contacts" if org == "tenant_id" else "invoices"
        existing(f"select atlvs_adopt('{table}'::regclass, '{org}', false)")
        existing(f"select atlvs_tell('{table}'::regclass, '{kind}', '{names}')")
    migrate.upgrade(existing.url)
    existing(f"insert into crm_people (tenant_id, mail) values ('{existing.mine}', 'new@x.test')")
    existing(f"""insert into "Bill" (org_id, total) values ('{existing.mine}', 5)""")
    people, bill = existing.told()
    assert (people[0], people[3]["email"]) == ("contact.created", "new@x.test")
    assert not {"mail", "shoe_size"} & set(people[3])
    assert (bill[0], bill[3]["amount_cents"]) == ("invoice.created", 5)


def test_divided_table_is_told_of(migrated: Platform):
    migrated(
        "drop table crm_people cascade",
        "create table crm_people (id uuid default gen_random_uuid(), tenant_id uuid, mail text)"
        " partition by list (tenant_id)",
        f"create table crm_mine partition of crm_people for values in ('{migrated.mine}')",
    )
    people = "Changes made directly in a part of crm_people are not told."
    for found in (platform.adopt(migrated.url), platform.findings(migrated.url)):
        assert text(found, people[:-1]).mend == "Have them made in crm_people itself."
    into = "insert into {} (tenant_id, mail) values ('{}', 'a@x.test')"
    migrated(into.format("crm_people", migrated.mine))
    assert [row[0] for row in migrated.told()] == ["contact.created"]


@pytest.fixture(scope="module")
def preparing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database whose server allows transactions to be prepared."""
    folder = Path(tmp_path_factory.mktemp("preparing"))
    with psycopg.connect(embedded.start(folder), autocommit=True) as connection:
        connection.execute("alter system set max_prepared_transactions = 2")
    embedded.stop(folder)
    try:
        url = embedded.ensure_database(embedded.start(folder), "preparing")
        migrate.upgrade(url)
        yield url
    finally:
        embedded.stop(folder)


def test_transaction_that_changes_our_tables_can_be_prepared(preparing: str):
    rows = Rows(preparing)
    [(org,)] = rows("insert into organizations (name) values ('Acme') returning id")
    with psycopg.connect(preparing) as connection:
        connection.execute("insert into contacts (org_id) values (%s)", [org])
        connection.execute("prepare transaction 'one'")
    rows("commit prepared 'one'")
    assert types(rows) == ["contact.created"]
    assert "two-phase commits" in text(platform.findings(preparing), "up to 15 seconds late").text


def test_preparing_can_be_given_up_for_being_told_at_once(preparing: str):
    rows = Rows(preparing)
    [(org,)] = rows("insert into organizations (name) values ('Other') returning id")
    rows("alter database preparing set atlvs.notify = 'on'")
    with psycopg.connect(preparing, autocommit=True) as listening:
        listening.execute("listen integration_outbox")
        rows("insert into contacts (org_id) values (%s)", org)
        heard = list(listening.notifies(timeout=60, stop_after=1))
    assert [one.channel for one in heard] == ["integration_outbox"]
    assert not any("late" in one.text for one in platform.findings(preparing))
