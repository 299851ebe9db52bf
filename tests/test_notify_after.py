"""What the clock brings, what became of notifications, and the forms of the flows."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from conftest import Rows
from fanout_world import World
from notify_people import ANY, artifact, contact, event, run
from prefect import Flow

from atlvs.errors import Rejected
from flows import notify as told

pytest_plugins = ["notify_fixtures"]


def test_a_report_has_counts_times_reasons_and_a_picture(
    prefect_server: str, notify_world: World, rows: Rows
):
    id = run(told.notify, **ANY, dry_run=False)["notification"]
    rows(
        "update integration_deliveries set state = 'bounced', code = '550',"
        " reason = 'no such user <p0@mail.test> at +1 (415) 555-0100' where contact_id = %s",
        contact(rows, 0),
    )
    rows(
        "update integration_deliveries set state = 'delivered',"
        " delivered_at = sent_at + interval '3 seconds' where channel = 'sms'"
    )
    rows(
        "update integration_deliveries set state = 'unknown' where contact_id = %s",
        contact(rows, 2),
    )
    unknown = rows("select id from integration_deliveries where state = 'unknown'")[0][0]
    run(told.fanout_report, notification=id)
    text = artifact("notify-report")
    assert "| email | bounced | 550: no such user &lt;***> at *** | 1 |" in text
    assert "| sms | 3 |" in text
    assert "| 3 | 3.0 s |" in text
    assert str(unknown) in text
    assert "p0@mail.test" not in text
    assert artifact("notify-report-chart").startswith("data:image/png;base64,iVBOR")
    with pytest.raises(Rejected, match="there is no notification"):
        run(told.fanout_report, notification=uuid4())


def test_what_is_due_is_told_once(prefect_server: str, notify_world: World, org: UUID, rows: Rows):
    event(rows, org, 20)
    rows(
        "insert into tasks (org_id, title, assignee_id, due_at)"
        " values (%s, 'Doors', %s, now() + interval '2 hours')",
        org,
        contact(rows, 0),
    )
    rows(
        "insert into budgets (org_id, name, amount_cents, spent_cents) values (%s, 'Light', 1000, 850)",
        org,
    )
    rows("update integration_outbox set state = 'done'")
    first = run(told.notify_due)
    assert first["found"] == 3
    assert {name for name in first if name.startswith("found: ")} == {
        "found: budget_alert",
        "found: event_reminder",
        "found: task_due_soon",
    }
    received = notify_world.received()
    assert received["p0"] == 2
    again = run(told.notify_due)
    assert again["found"] == 0
    assert notify_world.received() == received
    rows("update budgets set spent_cents = 1000")
    rows("update integration_outbox set state = 'done'")
    assert run(told.notify_due)["found: budget_alert"] == 1


FLOWS = [getattr(told, name) for name in told.__all__ if name != "work"]


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_notification_forms_explain_themselves(flow: Flow[..., Any]):
    assert flow.description
    schema = flow.parameters.model_dump()
    for name, field in schema["properties"].items():
        assert field.get("description"), f"{flow.name}: {name}"
