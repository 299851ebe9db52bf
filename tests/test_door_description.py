"""The service door and its OpenAPI description: complete, and no call by it finds a fault."""

import json
import subprocess
import sys
from typing import Any, cast

import httpx
import schemathesis
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from web_client import Caller

from deployments.web.methods import every_method
from tasks.stripe import SERVICE

pytest_plugins = ["web_fixtures"]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
HEALTH = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def test_openapi_lists_every_method(door_url: str) -> None:
    described = httpx.get(f"{door_url}/openapi.json").json()
    assert httpx.get(f"{door_url}/docs").status_code == 200
    for name, service in SERVICE.items():
        operation = described["paths"][f"/api/services/stripe/{name}"]["post"]
        assert operation["description"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        wanted = set(service.fn.__annotations__) - {"connection", "request", "return"}
        assert set(schema["properties"]) == wanted
    create = described["paths"]["/api/services/stripe/create_payment_intent"]["post"]
    assert {parameter["name"] for parameter in create["parameters"]} == {
        "connection",
        "Idempotency-Key",
    }
    assert create["security"]


def test_metrics_count_calls(door_call: Caller) -> None:
    door_call("get_publishable_key")
    text = httpx.get(f"{door_call.url}/metrics").text
    wanted = 'method="get_publishable_key",outcome="ok",provider="stripe"'
    assert f"atlvs_service_calls_total{{{wanted}}}" in text


def test_web_process_imports_no_flow() -> None:
    program = "import sys, deployments.web.app as web; web.create_app(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert not [name for name in loaded.stdout.decode().split() if name.split(".")[0] == "flows"]


def test_every_provider_in_the_registry_has_methods() -> None:
    assert {method.name for method in every_method() if method.provider == "stripe"} == set(SERVICE)
    assert sum(method.writes for method in every_method()) >= 10


def test_random_calls_by_the_description_find_no_fault(door_call: Caller) -> None:
    """A small bounded walk over the OpenAPI description: nothing may answer with a fault of ours."""
    schema = schemathesis.openapi.from_url(f"{door_call.url}/openapi.json")
    found: list[tuple[str, int]] = []
    # Each provider's own tests walk its methods: here, Stripe is connected.
    operations: list[Any] = [
        one
        for one in cast("list[Any]", list(schema.get_all_operations()))
        if "/stripe/" in one.ok().path
    ]
    for operation in operations:
        walk(operation.ok(), door_call, found)
    assert len(found) > 100
    assert [one for one in found if one[1] >= 500] == []
    assert {200, 404, 422} <= {status for _, status in found}


def walk(operation: Any, door_call: Caller, found: list[tuple[str, int]]) -> None:
    """Ten calls of one operation; each answer must be as the description says."""

    @hypothesis_settings(
        max_examples=10,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=HEALTH,
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {door_call.key}"}
        case.query = {}
        answer = case.call(base_url=door_call.url, timeout=30)
        case.validate_response(answer, checks=CHECKS)
        found.append((operation.label, answer.status_code))

    ask()


JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(max_size=9),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(strategies.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_any_json_gets_an_answer_that_is_not_a_fault(door_call: Caller) -> None:
    parameters = ["amount", "currency", "customerId", "metadata", "tip"]

    @hypothesis_settings(max_examples=60, deadline=None, database=None, derandomize=True)
    @given(strategies.dictionaries(strategies.sampled_from(parameters), JSON, max_size=4) | JSON)
    def ask(body: Any) -> None:
        content = json.dumps(body).encode()
        answer = door_call.raw("create_payment_intent", content, Content_Type="application/json")
        assert answer.status_code in (200, 400, 404, 422)

    ask()
