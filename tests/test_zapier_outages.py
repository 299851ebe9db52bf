"""Zapier's routes while something is broken: killed processes, a database that is away or slow."""

from typing import Any

import httpx
import psycopg
import pytest
from web_client import WebProcess, refused, run, serving, wait_until
from zapier_client import ZapierApp, new_app
from zapier_world import ZapierWorld

from atlvs.db import api_keys
from deployments.web import zapier

pytest_plugins = ["zapier_fixtures", "platform_fixtures"]
TASK = {"title": "Book the hall"}


def test_process_killed_before_the_commit_leaves_nothing(zapier_world: ZapierWorld, rows: Any):
    web = WebProcess(ATLVS_KILL_AT="action.written")
    app = new_app(web.url, zapier_world.org)
    with pytest.raises(httpx.TransportError):
        app.act("registration.create", _registration(zapier_world), Idempotency_Key="k")
    wait_until(lambda: web.process.poll() is not None)
    for table in ("contacts", "registrations", "integration_actions"):
        wait_until(lambda table=table: rows(table) == [])
    assert zapier_world.told() == [("event.created", "platform")]


def test_answer_lost_after_the_commit_is_asked_for_again(zapier_world: ZapierWorld, rows: Any):
    given = _registration(zapier_world)
    web = WebProcess(ATLVS_KILL_AT="action.committed")
    app = new_app(web.url, zapier_world.org)
    with pytest.raises(httpx.TransportError):
        app.act("registration.create", given, Idempotency_Key="k")
    web = WebProcess()
    try:
        answer = ZapierApp(web.url, app.key).act("registration.create", given, Idempotency_Key="k")
    finally:
        code, said = web.stop()
    assert (answer.status_code, answer.json()["object"]) == (200, "registration")
    assert [str(id) for (id,) in rows("registrations", "id")] == [answer.json()["id"]]
    assert "ada@example.com" not in said
    assert app.key not in said


def _registration(world: ZapierWorld) -> dict[str, Any]:
    return {"event_id": str(world.make("events", name="Gala")), "email": "ada@example.com"}


def test_database_that_is_away_is_an_outage(zapier_app: ZapierApp, monkeypatch: pytest.MonkeyPatch):
    zapier_app.me()  # the key is known now

    async def away(*_: Any) -> Any:
        raise TimeoutError

    monkeypatch.setattr(api_keys, "take", away)
    answer = zapier_app.act("task.create", TASK)
    assert refused(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


def test_action_that_takes_too_long_may_have_happened(
    zapier_app: ZapierApp, rows: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(zapier, "CALL_SECONDS", 0.5)
    with psycopg.connect(rows.url) as platform:
        platform.execute("lock table tasks in exclusive mode")
        answer = zapier_app.act("task.create", TASK, Idempotency_Key="k")
        assert refused(answer, 504, "outcome_unknown")
    assert rows("tasks") == []
    assert zapier_app.act("task.create", TASK, Idempotency_Key="k").status_code == 201


def test_table_of_the_platform_that_is_not_taken_on(migrated: Any, monkeypatch: pytest.MonkeyPatch):
    key = run(api_keys.create(migrated.mine, "Zaps", ("zapier",)))[0]
    with serving() as url:
        app = ZapierApp(url, key)
        assert app.me().json()["organization"] == ""
        answer = app.act("contact.create", {"first_name": "A"})
        assert refused(answer, 503, "not_configured")
        assert "atlvs bootstrap --adopt" in answer.json()["error"]["message"]
