"""The OpenAPI description of Zapier's routes: complete, and no call by it finds a fault."""

from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from zapier_client import ACTING, HOOKS, ME, ZapierApp
from zapier_world import ZapierWorld

from tasks.zapier.actions import ACTIONS

pytest_plugins = ["zapier_fixtures"]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
HEALTH = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
PATHS = f"^({HOOKS}|{ME}|/api/zapier/samples|{ACTING})"


def test_description_names_all_routes(zapier_url: str):
    described = httpx.get(f"{zapier_url}/openapi.json").json()["paths"]
    wanted = {ME: ["get"], HOOKS: ["get", "post"], ACTING: ["post"]}
    wanted |= {f"{HOOKS}/{{id}}": ["delete"], "/api/zapier/samples/{event}": ["get"]}
    for path, verbs in wanted.items():
        assert sorted(described[path]) == verbs
        for verb in verbs:
            assert {"200", "401", "403", "429", "503"} <= set(described[path][verb]["responses"])
            assert described[path][verb]["security"]
            assert "X-Atlvs-Signature" in described[path][verb]["description"]
    body = described[ACTING]["post"]["requestBody"]["content"]["application/json"]["schema"]
    calls = {
        one["properties"]["action"]["const"]: one["properties"]["data"] for one in body["anyOf"]
    }
    assert set(calls) == set(ACTIONS)
    for name, action in ACTIONS.items():
        assert set(calls[name]["properties"]) == set(action.model.model_fields)
    assert calls["task.create"]["required"] == ["title"]


def test_random_calls_by_the_description_find_no_fault_of_ours(zapier_app: ZapierApp):
    schema = schemathesis.openapi.from_url(f"{zapier_app.url}/openapi.json")
    operations: list[Any] = list(schema.include(path_regex=PATHS).get_all_operations())
    assert len(operations) == 6
    statuses = {one.ok().label: walk(one.ok(), zapier_app, 30) for one in operations}
    assert {201, 422} <= statuses[f"POST {ACTING}"]
    assert statuses[f"GET {ME}"] == {200}


def test_every_action_is_walked(zapier_app: ZapierApp, zapier_world: ZapierWorld):
    """Each action on its own, as the description has its input, with records that are there."""
    there = {
        "company_id": zapier_world.make("companies", name="C"),
        "contact_id": zapier_world.make("contacts", email="a@b.example"),
        "event_id": zapier_world.make("events", name="E"),
    }
    ids = {
        "contact.update": there["contact_id"],
        "lead.update": zapier_world.make("leads", name="L"),
    }
    schema = schemathesis.openapi.from_url(f"{zapier_app.url}/openapi.json")
    [operation] = schema.include(path_regex=f"^{ACTING}").get_all_operations()
    seen: dict[str, set[int]] = {}

    @hypothesis_settings(
        max_examples=150,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=HEALTH,
    )
    @given(case=operation.ok().as_strategy())  # pyright: ignore
    def ask(case: Any) -> None:
        call = case.body
        if not isinstance(call, dict) or not isinstance(data := call.get("data"), dict):
            return
        known = {name: str(id) for name, id in there.items() if name in data}
        known |= {"id": str(ids[call["action"]])} if call["action"] in ids else {}
        if "record_id" in data:
            known |= {"record_type": "events", "record_id": str(there["event_id"])}
        case.body = {**call, "data": {**data, **known}}
        case.headers = {"Authorization": f"Bearer {zapier_app.key}"}
        answer = case.call(base_url=zapier_app.url, timeout=30)
        case.validate_response(answer, checks=CHECKS)
        seen.setdefault(call["action"], set()).add(answer.status_code)

    ask()
    assert set(seen) == set(ACTIONS)
    assert [one for statuses in seen.values() for one in statuses if one >= 500] == []


def walk(operation: Any, app: ZapierApp, number: int) -> set[int]:
    """Some calls of one operation; each answer must be as the description says."""
    statuses: set[int] = set()

    @hypothesis_settings(
        max_examples=number,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=HEALTH,
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {app.key}"}
        answer = case.call(base_url=app.url, timeout=30)
        case.validate_response(answer, checks=CHECKS)
        statuses.add(answer.status_code)

    ask()
    return statuses
