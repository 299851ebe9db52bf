"""Domain events appear in Prefect, for automations; nothing rests on it."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from conftest import Rows
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.base import resources
from tasks.triggers import announcing
from tasks.triggers.announcing import announcer
from tasks.triggers.draining import drain_triggers

pytest_plugins = ["prefect_fixtures"]


async def seen(prefix: str, org: UUID, number: int) -> list[dict[str, Any]]:
    """Prefect's events with this organization in their payload."""
    # The latest: other tests' are there, too.
    wanted = {"filter": {"event": {"prefix": [prefix]}, "order": "DESC"}, "limit": 50}
    async with get_client() as client:
        for _ in range(600):
            answer = await client._client.post("/events/filter", json=wanted)  # no public reader
            found = [
                one
                for one in answer.json()["events"]
                if one["payload"].get("organization") == str(org)
            ]
            if len(found) >= number:
                return found[::-1]
            await asyncio.sleep(0.1)
    raise AssertionError("Prefect was not told")


async def test_events_appear_with_ids_and_no_contents(prefect_server: str, rows: Rows, org: UUID):
    [(contact,)] = rows(
        "insert into contacts (org_id, first_name, email) values (%s, 'Ada', 'ada@example.net')"
        " returning id",
        org,
    )
    rows("update contacts set first_name = 'Eve'")
    async with resources():
        await drain_triggers(5)
    created, updated = await seen("atlvs.contact.", org, 2)
    [(first, _), (second, _)] = rows("select id, seq from integration_outbox order by seq")
    assert (created["event"], created["id"]) == ("atlvs.contact.created", str(first))
    assert (updated["event"], updated["id"]) == ("atlvs.contact.updated", str(second))
    assert created["resource"]["prefect.resource.id"] == f"atlvs.contacts.{contact}"
    assert updated["payload"]["changed_fields"] == ["first_name"]
    assert "ada@example.net" not in str([created, updated])


async def test_very_many_are_told_as_a_number(
    prefect_server: str, rows: Rows, org: UUID, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(announcing, "MOST", 3)
    rows("insert into companies (org_id, name) values (%s, 'x')", org)  # tells nobody
    rows(
        "insert into deals (org_id, name) select %s, i::text from generate_series(1, 20) as i", org
    )
    async with resources():
        await drain_triggers(5)
    found = await seen("atlvs.deal.", org, 4)
    assert [one["event"] for one in found].count("atlvs.deal.created") == 3
    [many] = [one for one in found if one["event"] == "atlvs.deal.created.many"]
    assert many["payload"]["number"] == 17


async def test_without_prefect_the_work_goes_on(rows: Rows, org: UUID):
    rows("insert into contacts (org_id, first_name) values (%s, 'Ada')", org)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        async with resources():
            await drain_triggers(5)
            await announcer().settle()
    assert rows("select state from integration_outbox") == [("done",)]
