"""The OpenAPI description of `/api/notifications`: complete, and no call by it finds a fault."""

from typing import Any

import httpx
import schemathesis
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from notifications_client import PATH, Raiser
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

pytest_plugins = ["pages_fixtures"]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_description_names_both_routes(pages_url: str):
    described = httpx.get(f"{pages_url}/openapi.json").json()["paths"]
    raising, reading = described[PATH]["post"], described[f"{PATH}/{{id}}"]["get"]
    body = raising["requestBody"]["content"]["application/json"]["schema"]
    assert {"type", "subject", "data", "key", "audience", "channels", "mode"} == set(
        body["properties"]
    )
    assert body["required"] == ["type"]
    assert {"200", "202", "401", "403", "409", "422"} <= set(raising["responses"])
    assert {"200", "401", "403", "404"} <= set(reading["responses"])
    assert raising["security"]
    assert not [path for path in described if "preferences" in path or "unsubscribe" in path]


def test_random_calls_by_the_description_find_no_fault_of_ours(notifications_raiser: Raiser):
    schema = schemathesis.openapi.from_url(f"{notifications_raiser.url}/openapi.json")
    operations: list[Any] = list(schema.include(path_regex=f"^{PATH}").get_all_operations())
    assert len(operations) == 2
    for operation in operations:
        walk(operation.ok(), notifications_raiser)


def walk(operation: Any, raiser: Raiser) -> None:
    """Forty calls of one operation; each answer must be as the description says."""

    @hypothesis_settings(max_examples=40, deadline=None, database=None, derandomize=True)
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {raiser.key}"}
        case.query = {}
        case.validate_response(case.call(base_url=raiser.url, timeout=30), checks=CHECKS)

    ask()
