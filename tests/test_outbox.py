"""Row changes become domain events, in the same transaction, whoever made the change."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg
import pytest
from conftest import Rows
from databases import new_database
from outbox_cases import CHANGES, INVOICE, MIRRORED
from psycopg import Connection
from psycopg.rows import dict_row

from atlvs.db.engine import APP, database, role_conninfo
from atlvs.events import DomainEvent
from atlvs.settings import settings


class Outbox:
    """What was told since it was last looked at."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.seen = 0

    def events(self) -> list[dict[str, Any]]:
        with psycopg.connect(self.rows.url) as connection:
            found = (
                connection.cursor(row_factory=dict_row)
                .execute(
                    "select * from integration_outbox where seq > %s order by seq", [self.seen]
                )
                .fetchall()
            )
        self.seen = found[-1]["seq"] if found else self.seen
        return found

    def types(self) -> list[str]:
        return [event["type"] for event in self.events()]


@pytest.fixture
def outbox(rows: Rows) -> Outbox:
    return Outbox(rows)


@pytest.fixture
def app(org: UUID) -> Iterator[Connection]:
    """The product's role, for the organization."""
    with psycopg.connect(role_conninfo(settings(), APP), autocommit=True) as connection:
        connection.execute("select set_config('atlvs.org_id', %s, false)", [str(org)])
        yield connection


def insert(rows: Rows, table: str, org: UUID, values: dict[str, Any]) -> None:
    given = {"org_id": org} | values
    rows(
        f"insert into {table} ({', '.join(given)}) values ({', '.join(['%s'] * len(given))})",
        *given.values(),
    )


@pytest.fixture(scope="module")
def shared(postgres: str) -> Iterator[tuple[Rows, UUID]]:
    """One database with one organization for the many cases of the table."""
    with new_database(postgres, "atlvs_template") as url:
        rows = Rows(url)
        yield rows, rows("insert into organizations (name) values ('Acme') returning id")[0][0]


@pytest.mark.parametrize(("table", "was", "now", "told"), CHANGES + MIRRORED)
def test_change_is_told_as_what_it_means(
    shared: tuple[Rows, UUID], table: str, was: Any, now: Any, told: list[str]
):
    rows, org = shared
    rows(f"delete from {table}")
    rows("delete from integration_outbox")
    outbox = Outbox(rows)
    insert(rows, table, org, now if was is None else was)
    if was is not None:
        outbox.events()
        rows(f"update {table} set {', '.join(f'{name} = %s' for name in now)}", *now.values())
    events = outbox.events()
    assert sorted(event["type"] for event in events) == sorted(told)
    for event in events:
        assert event["org_id"] == org
        assert event["record_type"] == table
        assert event["data"]["id"] == str(event["record_id"])
        assert "raw" not in event["data"]
        if was is None:
            assert event["changed"] is None
        else:
            assert 0 < len(event["changed"]) <= len(now)
            assert event["changed"].items() <= {**event["changed"], **was}.items()
            assert set(event["changed"]) <= set(now)


def test_invoice_of_ours_is_told_paid_once(rows: Rows, org: UUID, outbox: Outbox):
    insert(rows, "invoices", org, {"status": "sent"})
    [(ours,)] = rows("select id from invoices", *())
    insert(rows, "stripe_invoices", org, INVOICE | {"invoice_id": ours})
    outbox.events()
    rows("update stripe_invoices set status = 'paid'")
    assert outbox.types() == []
    rows("update invoices set status = 'paid'")
    assert outbox.types() == ["invoice.paid"]


def test_former_values_are_those_that_changed(rows: Rows, org: UUID, outbox: Outbox):
    insert(rows, "contacts", org, {"email": "a@x.test", "first_name": "Ann", "phone": "1"})
    outbox.events()
    rows("update contacts set email = 'b@x.test', phone = null, updated_at = now() + '1 day'")
    [event] = outbox.events()
    assert event["changed"] == {"email": "a@x.test", "phone": "1"}
    assert (event["data"]["email"], event["data"]["phone"]) == ("b@x.test", None)


@pytest.mark.parametrize("way", ["platform", "product", "copy"])
def test_every_way_of_writing_is_told(
    rows: Rows, app: Connection, org: UUID, outbox: Outbox, way: str
):
    sql = "insert into contacts (org_id, email) select %s, 'p' || n || '@x.test' from generate_series(1, 3) n"
    if way == "platform":
        rows(sql, org)
    elif way == "product":
        app.execute(sql.encode(), [org])
    else:
        into = "copy contacts (org_id, email) from stdin"
        with psycopg.connect(rows.url) as connection, connection.cursor().copy(into) as copy:
            for number in range(1, 4):
                copy.write_row((org, f"p{number}@x.test"))
    events = outbox.events()
    assert {event["data"]["email"] for event in events} == {f"p{n}@x.test" for n in (1, 2, 3)}
    assert {event["type"] for event in events} == {"contact.created"}


def test_upsert_tells_new_and_changed_rows_apart(rows: Rows, org: UUID, outbox: Outbox):
    insert(rows, "contacts", org, {"email": "a@x.test"})
    outbox.events()
    rows(
        "insert into contacts (id, org_id, email) select id, org_id, 'changed@x.test' from contacts"
        " union all select gen_random_uuid(), %s, 'new@x.test'"
        " on conflict (id) do update set email = excluded.email",
        org,
    )
    assert {(event["type"], event["data"]["email"]) for event in outbox.events()} == {
        ("contact.created", "new@x.test"),
        ("contact.updated", "changed@x.test"),
    }


async def test_source_is_told(org: UUID, rows: Rows, outbox: Outbox):
    async with database().org(org, source="stripe") as tx:
        await tx.execute("insert into contacts (org_id) values (%s)", [org])
    async with database().org(org) as tx:
        await tx.execute("insert into contacts (org_id) values (%s)", [org])
    rows("insert into contacts (org_id) values (%s)", org)
    assert [event["source"] for event in outbox.events()] == ["stripe", "platform", "platform"]


async def test_history_is_not_told_and_news_of_old_records_are(org: UUID, outbox: Outbox):
    since = datetime.now(UTC)
    old, new = since - timedelta(days=400), since + timedelta(seconds=1)
    paid = (
        "insert into payments (org_id, currency, amount_cents, status, paid_at)"
        " values (%s, 'usd', 1, 'completed', %s)"
    )
    opened = (
        "insert into stripe_subscriptions (org_id, stripe_subscription_id, status, stripe_created_at)"
        " values (%s, %s, 'active', %s)"
    )
    async with database().org(org, events_since=since) as tx:
        await tx.execute(paid.encode(), [org, old])
        await tx.execute(opened.encode(), [org, "sub_old", old])
    assert outbox.types() == []
    async with database().org(org, events_since=since) as tx:
        await tx.execute(paid.encode(), [org, new])
        await tx.execute(opened.encode(), [org, "sub_new", new])
        await tx.execute("update payments set status = 'refunded', refunded_cents = 1")
    assert sorted(outbox.types()) == [
        *("payment.created", "payment.received", "payment.refunded", "payment.refunded"),
        "subscription.created",
    ]


def test_rolled_back_change_is_not_told(app: Connection, org: UUID, outbox: Outbox):
    with app.transaction(force_rollback=True):
        app.execute("insert into contacts (org_id) values (%s)", [org])
    assert outbox.types() == []


def test_statement_without_a_row_is_quiet(rows: Rows, org: UUID, outbox: Outbox):
    rows("update contacts set email = 'x'")
    rows("insert into contacts (org_id) select id from organizations where false")
    assert outbox.types() == []


def test_listener_is_woken_at_commit_and_only_then(rows: Rows, app: Connection, org: UUID):
    with psycopg.connect(rows.url, autocommit=True) as listening:
        listening.execute("listen integration_outbox")
        with app.transaction():
            app.execute("insert into contacts (org_id) values (%s)", [org])
            assert list(listening.notifies(timeout=0.2)) == []
        heard = list(listening.notifies(timeout=60, stop_after=1))
        assert [one.channel for one in heard] == ["integration_outbox"]
        app.execute("update contacts set email = email")
        assert list(listening.notifies(timeout=0.2)) == []


@pytest.mark.parametrize("way", ["platform", "product"])
def test_ten_thousand_rows_take_seconds(
    rows: Rows, app: Connection, org: UUID, outbox: Outbox, way: str
):
    make = "insert into contacts (org_id, email) select %s, n || '@x.test' from generate_series(1, 10000) n"
    began = monotonic()
    if way == "platform":
        rows(make, org)
        rows("update contacts set first_name = 'Ann'")
    else:
        app.execute(make.encode(), [org])
        app.execute("update contacts set first_name = 'Ann'")
    took = monotonic() - began
    assert rows("select type, count(*) from integration_outbox group by 1 order by 1", *()) == [
        ("contact.created", 10000),
        ("contact.updated", 10000),
    ]
    assert took < 15


def test_deleted_row_is_not_told(rows: Rows, org: UUID, outbox: Outbox):
    insert(rows, "contacts", org, {})
    outbox.events()
    rows("delete from contacts")
    assert outbox.types() == []


def test_product_cannot_write_events_for_another_organization(
    rows: Rows, app: Connection, org: UUID
):
    [(other,)] = rows("insert into organizations (name) values ('Other') returning id")
    rows("insert into contacts (org_id) values (%s)", other)
    assert app.execute("select * from integration_outbox").fetchall() == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(
            "insert into integration_outbox (org_id, type, record_type, record_id, data)"
            " values (%s, 'x', 'x', gen_random_uuid(), '{}')",
            [other],
        )


def test_every_event_that_the_database_can_emit_has_its_name():
    sql = files("atlvs.migrations").joinpath("sql", "outbox.sql").read_text()
    emitted = set(re.findall(r"then '([a-z]+\.[a-z_]+)'", sql))
    assert len(emitted) > 10
    assert emitted <= {event.value for event in DomainEvent}
