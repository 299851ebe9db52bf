"""What is told on whatever a record holds, and whoever's trouble there is."""

from collections import Counter
from typing import Any
from uuid import UUID

import orjson
import pytest
from conftest import Rows
from sandbox_zapier_client import ZapierAccount
from standing_world import drained, outcome, people

from atlvs.db.foreign import record_in
from atlvs.errors import Misconfigured, Unavailable
from tasks.notify import routing
from tasks.triggers.subscribing import subscribe

pytest_plugins = ["standing_fixtures"]


def depth(value: Any) -> int:
    levels = 0
    while value:
        value, levels = (next(iter(value)) if isinstance(value, list) else value["a"]), levels + 1
    return levels


@pytest.mark.parametrize("levels", [199, 250, 251, 1_024, 1_025, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_whatever_is_deep_can_be_read_and_written(levels: int, opening: str, closing: str):
    found = record_in(opening * levels + "null" + closing * levels)
    assert min(levels, 200) - 1 <= depth(found) <= 250
    orjson.dumps({"data": {"record": found}})


def test_only_what_is_too_deep_is_null():
    deep = "[" * 3_000 + "1e5000" + "]" * 3_000
    text = f'{{"before": "[{{\\"]", "deep": {deep}, "n": [1e5000, -1e400, 1], "after": "\\\\"}}'
    found = record_in(text.encode())
    assert depth(found.pop("deep")) == 199
    assert found == {"before": '[{"]', "n": [None, None, 1], "after": "\\"}
    assert record_in("[" + "9" * 5_000 + ', 1e5000, "[", -12]') == [None, None, "[", -12]


@pytest.mark.parametrize("held", ['{"n": 1e5000}', "[" * 3_000 + "]" * 3_000])
async def test_what_only_postgresql_can_hold_stops_nobody(
    rows: Rows, org: UUID, standing_other: UUID, standing_zaps: ZapierAccount, held: str
):
    target = standing_zaps.target()
    for one in (org, standing_other):
        await subscribe(one, None, "contact.created", target)
    rows("alter table contacts add column custom jsonb")
    rows("insert into contacts (org_id, custom) values (%s, %s::text::jsonb)", org, held)
    for one in (org, standing_other):
        people(rows, one, 2)
    assert (await drained()).posts == {"delivered": 5}
    assert outcome(rows) == {"done": 5}


async def test_an_event_that_cannot_be_read_at_all_is_buried(
    rows: Rows, org: UUID, standing_other: UUID, standing_zaps: ZapierAccount
):
    target = standing_zaps.target()
    for one in (org, standing_other):
        await subscribe(one, None, "contact.created", target)
    for one in (org, standing_other):
        people(rows, one, 2)
    rows(
        "update integration_outbox set occurred_at = 'infinity'"
        " where seq = (select min(seq) from integration_outbox)"
    )
    assert (await drained()).posts == {"delivered": 3}
    assert outcome(rows) == {"dead": 1, "done": 3}


@pytest.mark.parametrize("start", ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"])
async def test_a_time_that_python_does_not_hold_is_left_out(
    rows: Rows, org: UUID, standing_zaps: ZapierAccount, start: str
):
    target = standing_zaps.target()
    await subscribe(org, None, "registration.created", target)
    sql = "insert into events (org_id, name, starts_at, ends_at) values (%s, 'Show', %s, %s) returning id"
    [(event,)] = rows(sql, org, start, start)
    [(contact,)] = rows("insert into contacts (org_id) values (%s) returning id", org)
    rows(
        "insert into registrations (org_id, event_id, contact_id) values (%s, %s, %s)",
        *(org, event, contact),
    )
    told = await drained()
    assert told.posts == {"delivered": 1}
    assert outcome(rows).keys() == {"done"}
    [(data,)] = rows(
        "select data from integration_notifications where type = 'registration_received'"
    )
    assert data["event_name"] == "Show"
    assert "infinity" not in data.values()


async def test_what_is_due_is_told_beside_what_cannot_be_read(rows: Rows, org: UUID):
    rows("alter table tasks add column custom jsonb, add column seen_at timestamptz")
    [(ada,)] = rows("insert into contacts (org_id) values (%s) returning id", org)
    rows(
        "insert into tasks (org_id, title, assignee_id, due_at, custom, seen_at, status) values"
        " (%s, 'Doors', %s, now() + interval '1 hour', '{\"n\": 1e5000}', 'infinity', 'open')",
        *(org, ada),
    )
    rows(
        "insert into events (org_id, name, status, starts_at, ends_at) values"
        " (%s, 'Show', 'published', now() + interval '1 hour', 'infinity')",
        org,
    )
    day = routing.timedelta(days=1)
    assert await routing.raise_due(org, day, day, [80]) == {"task_due_soon": 1, "event_reminder": 1}
    assert await routing.raise_due(org, day, day, [80]) == {}
    [(data,)] = rows("select data from integration_notifications where type = 'event_reminder'")
    assert data["starts_at"]
    assert "ends_at" not in data


async def test_an_event_is_told_to_hooks_when_no_notification_can_be_made(
    rows: Rows, org: UUID, standing_zaps: ZapierAccount, monkeypatch: pytest.MonkeyPatch
):
    async def failing(*_: object) -> None:
        raise ValueError("no notification can be made")

    target = standing_zaps.target()
    await subscribe(org, None, "contact.created", target)
    people(rows, org, 3)
    monkeypatch.setattr(routing.subjects, "around", failing)
    assert (await drained()).posts == {"delivered": 3}
    assert outcome(rows) == {"dead": 3}
    assert rows("select count(distinct error) from integration_outbox") == [(1,)]


@pytest.mark.parametrize("trouble", [ValueError("a row"), Unavailable("database", "It is slow.")])
async def test_one_organizations_trouble_is_not_everybodys(
    rows: Rows,
    org: UUID,
    standing_other: UUID,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trouble: Exception,
):
    routed = routing._route_some

    async def route_some(org_id: UUID) -> Counter[str]:
        if org_id == org:
            raise trouble
        return await routed(org_id)

    monkeypatch.setattr(routing, "_route_some", route_some)
    for one in (org, standing_other):
        people(rows, one, 2)
    await routing.route_events()
    assert rows("select distinct org_id from integration_outbox where state = 'done'") == [
        (standing_other,)
    ]
    assert f"wait: {type(trouble).__name__}" in caplog.text
    assert str(trouble) not in caplog.text


@pytest.mark.parametrize(
    "trouble", [Unavailable("database", "It is away."), Misconfigured("KEY is missing.")]
)
async def test_everybodys_trouble_is_told(
    rows: Rows,
    org: UUID,
    standing_other: UUID,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Exception,
):
    async def route_some(_: UUID) -> Counter[str]:
        raise trouble

    monkeypatch.setattr(routing, "_route_some", route_some)
    for one in (org, standing_other):
        people(rows, one, 1)
    with pytest.raises(type(trouble)):
        await routing.route_events()
    assert outcome(rows) == {"waiting": 2}
