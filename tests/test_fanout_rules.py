"""Which event tells whom: shipped rules, an organization's own, and what is due by the clock."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from conftest import Rows

from atlvs.db import rules
from atlvs.db.engine import database
from atlvs.errors import Rejected
from atlvs.events import DomainEvent
from atlvs.rules import DEFAULTS, Rule
from blocks.base import resources
from tasks.notify.routing import raise_due, route_events

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
async def _open() -> AsyncIterator[None]:
    async with resources():
        yield


@pytest.fixture
def ada(rows: Rows, org: UUID) -> UUID:
    """A contact."""
    return rows(
        "insert into contacts (org_id, first_name, last_name, email) values (%s, 'Ada', 'Lovelace',"
        " 'ada@example.com') returning id",
        org,
    )[0][0]


@pytest.fixture
def show(rows: Rows, org: UUID) -> UUID:
    """A published event of next week."""
    return rows(
        "insert into events (org_id, name, location, status, starts_at)"
        " values (%s, 'Summer festival', 'Harbour',"
        " 'published', now() + interval '7 days') returning id",
        org,
    )[0][0]


def raised(rows: Rows) -> list[tuple]:
    return rows(
        "select type, audience->>'kind', channels, mode, subject from integration_notifications"
        ' order by type collate "C", key'
    )


async def test_what_sql_changes_is_told_by_the_shipped_rules(
    rows: Rows, org: UUID, ada: UUID, show: UUID
):
    rows(
        "insert into tasks (org_id, title, assignee_id, event_id) values (%s, 'Doors', %s, %s)",
        org,
        ada,
        show,
    )
    rows(
        "insert into approvals (org_id, approver_id, subject) values (%s, %s, 'Stage <b>')",
        org,
        ada,
    )
    rows("insert into incidents (org_id, title, severity) values (%s, 'Rain', 'high')", org)
    rows(
        "insert into registrations (org_id, event_id, contact_id, status) values (%s, %s, %s, 'confirmed')",
        org,
        show,
        ada,
    )
    rows(
        "insert into payments (org_id, amount_cents, currency, status, contact_id)"
        " values (%s, 900, 'usd', 'completed', %s)",
        org,
        ada,
    )
    told = await route_events()
    assert raised(rows) == [
        (
            "approval_required",
            "contacts",
            ["slack", "email"],
            "first",
            "Approval required: Stage <b>",
        ),
        ("incident_reported", "slack_channel", ["slack"], "all", "Incident reported: Rain"),
        ("payment_receipt", "contacts", ["email"], "all", "Receipt"),
        ("payment_received", "slack_channel", ["slack"], "all", "Payment received"),
        (
            "registration_confirmation",
            "contacts",
            ["email"],
            "all",
            "Your registration: Summer festival",
        ),
        (
            "registration_received",
            "slack_channel",
            ["slack"],
            "all",
            "New registration: Summer festival",
        ),
        ("task_assigned", "contacts", ["slack", "email"], "first", "Task assigned: Doors"),
    ]
    assert sum(told.values()) == 7
    [(data,)] = rows(
        "select data from integration_notifications where type = 'registration_received'"
    )
    assert data["registrant_name"] == "Ada Lovelace"
    assert data["event_name"] == "Summer festival"
    assert "contact_id" not in data
    assert await route_events() == {}
    assert rows("select count(*) from integration_outbox where state <> 'done'") == [(0,)]


async def test_changes_tell_once_and_say_what_they_mean(rows: Rows, org: UUID, ada: UUID):
    rows("insert into tasks (org_id, title) values (%s, 'Doors')", org)
    rows("update tasks set assignee_id = %s", ada)
    rows("update tasks set title = 'Doors at eight'")
    rows("update tasks set status = 'completed'")
    rows("insert into incidents (org_id, title) values (%s, 'Rain')", org)
    rows("update incidents set severity = 'high'")
    rows("update incidents set description = 'It pours'")
    await route_events()
    assert [row[0] for row in raised(rows)] == [
        "incident_reported",
        "incident_reported",
        "task_assigned",
    ]


async def test_an_organizations_own_rule_stands_instead(rows: Rows, org: UUID, ada: UUID):
    shipped = DEFAULTS["incident-reported"]
    people = {"kind": "contacts", "ids": [str(ada)]}
    own = Rule(
        shipped.name,
        shipped.event,
        shipped.type,
        people,
        ("sms", "call"),
        "first",
        {"severity": ["high", "critical"]},
    )
    await rules.save(org, own)
    rows(
        "insert into incidents (org_id, title, severity)"
        " values (%s, 'Rain', 'low'), (%s, 'Fire', 'critical')",
        org,
        org,
    )
    await route_events()
    assert raised(rows) == [
        ("incident_reported", "contacts", ["sms", "call"], "first", "Incident reported: Fire")
    ]
    await rules.save(org, Rule(own.name, own.event, own.type, people, ("sms",), enabled=False))
    rows("insert into incidents (org_id, title, severity) values (%s, 'Flood', 'critical')", org)
    await route_events()
    assert len(raised(rows)) == 1
    assert await rules.forget(org, own.name)
    assert not await rules.forget(org, own.name)
    with pytest.raises(Rejected, match="no rule"):
        await rules.forget(org, "mine")
    async with database().org(org) as tx:
        assert await rules.stored(tx) == {}


GOOD = {
    "name": "mine",
    "event": "deal.won",
    "type": "announcement",
    "audience": {"kind": "everyone"},
    "channels": ("email",),
}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"event": "deal.lots"}, "event"),
        ({"type": "party"}, "type"),
        ({"channels": ()}, "channels"),
        ({"channels": ("pigeon",)}, "channels"),
        ({"audience": {"kind": "slack_channel"}}, "channels"),
        ({"audience": {"kind": "field", "field": "owner_id"}}, "audience.field.field"),
        ({"audience": {"kind": "tag", "name": "x" * 900}}, "audience.name"),
        ({"mode": "any"}, "mode"),
        ({"name": ""}, "name"),
    ],
)
async def test_rules_that_cannot_work_are_refused_with_the_field(
    org: UUID, wrong: dict, field: str
):
    with pytest.raises(Rejected) as refused:
        await rules.save(org, Rule(**GOOD | wrong))
    assert refused.value.field
    assert refused.value.field.split(".")[0] == field.split(".")[0]
    assert "1 validation error" not in refused.value.message


async def test_a_rule_that_lacks_its_variables_says_so_at_the_event(rows: Rows, org: UUID):
    await rules.save(org, Rule(**GOOD))
    rows("insert into deals (org_id, name, status) values (%s, 'Big one', 'won')", org)
    await route_events()
    assert raised(rows) == []
    told = rows("select type, state, error from integration_outbox order by seq")
    assert told[0] == ("deal.created", "done", None)
    assert told[1][:2] == ("deal.won", "done")
    assert "needs message" in told[1][2]


async def test_one_poisoned_event_holds_up_no_other(rows: Rows, org: UUID):
    statement = (
        "insert into integration_outbox (org_id, type, record_type, record_id, data)"
        " values (%s, 'incident.reported', 'incidents', %s, %s::jsonb)"
    )
    good = '{"id": "%s", "title": "Rain", "severity": "low"}'
    rows(statement, org, uuid4(), '{"title": "no id at all"}')
    rows(statement, org, uuid4(), good % uuid4())
    rows(statement, org, uuid4(), good % uuid4())
    await route_events()
    assert len(raised(rows)) == 2
    assert rows("select state from integration_outbox order by seq") == [
        ("dead",),
        ("done",),
        ("done",),
    ]


async def test_organizations_are_apart(rows: Rows, org: UUID):
    [(other,)] = rows("insert into organizations (name) values ('Other') returning id")
    shipped = DEFAULTS["incident-reported"]
    await rules.save(
        other,
        Rule(
            shipped.name, shipped.event, shipped.type, shipped.audience, ("slack",), enabled=False
        ),
    )
    for one in (org, other):
        rows("insert into incidents (org_id, title) values (%s, 'Rain')", one)
    await route_events()
    assert rows("select org_id from integration_notifications") == [(org,)]


async def test_what_time_brings_is_told_once_until_it_changes(
    rows: Rows, org: UUID, ada: UUID, show: UUID
):
    statement = (
        "insert into tasks (org_id, title, assignee_id, due_at, status)"
        " values (%s, %s, %s, now() + %s * interval '1 hour', %s)"
    )
    rows(statement, org, "Soon", ada, 3, "open")
    rows(statement, org, "Later", ada, 72, "open")
    rows(statement, org, "Done", ada, 3, "completed")
    rows(statement, org, "Past", ada, -1, "open")
    rows(statement, org, "Nobody", None, 1, "open")
    rows("update events set starts_at = now() + interval '20 hours'")
    rows(
        "insert into events (org_id, name, starts_at) values (%s, 'A draft', now() + interval '1 hour')",
        org,
    )
    rows(
        "insert into budgets (org_id, name, amount_cents, spent_cents)"
        " values (%s, 'Stage', 1000, 850), (%s, 'Nothing', 0, 5)",
        org,
        org,
    )
    first = await raise_due(org, DAY, DAY, [80, 100])
    assert first == {"task_due_soon": 1, "event_reminder": 1, "budget_alert": 1}
    assert sum((await raise_due(org, DAY, DAY, [80, 100])).values()) == 0
    rows("update tasks set title = 'Renamed' where title = 'Soon'")
    rows("update budgets set spent_cents = 870 where name = 'Stage'")
    assert sum((await raise_due(org, DAY, DAY, [80, 100])).values()) == 0
    rows("update tasks set due_at = now() + interval '5 hours' where title = 'Renamed'")
    rows("update budgets set spent_cents = 1001 where name = 'Stage'")
    assert await raise_due(org, DAY, DAY, [80, 100]) == {"task_due_soon": 1, "budget_alert": 1}
    [(data,)] = rows(
        "select data from integration_notifications where type = 'budget_alert' and"
        " data->>'threshold' = '100'"
    )
    assert (data["percent"], data["budget_name"], data["currency"]) == (100, "Stage", "usd")


def test_every_shipped_rule_is_valid_and_heard():
    for rule in DEFAULTS.values():
        rule.check()
    assert {rule.event for rule in DEFAULTS.values()} <= set(DomainEvent)
