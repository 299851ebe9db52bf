"""Twilio's methods through the service door."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import schemathesis
from sandbox_client import Sandbox
from test_door_description import walk
from twilio_client import PHONE, TwilioAccount
from twilio_deliveries import fields_of
from web_client import Caller, refused, run

from atlvs.db import connections

pytest_plugins = ["web_fixtures"]


@pytest.fixture
def twilio_door(door_call: Caller, door_org: UUID, sandbox: Sandbox) -> Caller:
    """A caller of the door, whose organization is connected to the simulated Twilio."""
    account = TwilioAccount(sandbox)
    run(connections.save(door_org, "twilio", "default", fields_of(account)))
    return door_call


def test_door_takes_the_platforms_spellings(twilio_door: Caller) -> None:
    def post(method: str, given: Any) -> Any:
        return twilio_door(f"../twilio/{method}", given, Idempotency_Key="one")

    answers = [
        post(method, {"to": PHONE, "message": "Doors open"})
        for method in ("sendSMS", "send_sms", "sendSms")
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json()["sid"] for answer in answers}) == 1
    called = post("makeCall", {"to": PHONE, "twimlUrl": "https://example.com/x"})
    assert called.status_code == 200
    bulk = post("sendBulkSMS", {"recipients": [PHONE], "message": "Doors open"})
    assert bulk.json()["id"]


@pytest.mark.parametrize(
    ("wrong", "field", "code"),
    [
        ({"to": PHONE}, "message", "parameter_missing"),
        ({"to": PHONE, "message": " "}, "message", "parameter_invalid"),
        ({"to": PHONE, "message": "x" * 1601}, "message", "parameter_invalid"),
        ({"to": PHONE, "message": "x", "region": "USA"}, "region", "parameter_invalid"),
        (
            {"to": PHONE, "message": "x", "media_url": ["ftp://x"]},
            "media_url.0",
            "parameter_invalid",
        ),
    ],
)
def test_wrong_parameters_are_named(
    twilio_door: Caller, wrong: dict[str, Any], field: str, code: str
) -> None:
    assert refused(twilio_door("../twilio/send_sms", wrong), 422, code, field)


def test_random_calls_by_the_description_find_no_fault_of_twilios(twilio_door: Caller) -> None:
    schema = schemathesis.openapi.from_url(f"{twilio_door.url}/openapi.json")
    found: list[tuple[str, int]] = []
    operations: list[Any] = list(schema.get_all_operations())
    for operation in operations:
        if "/services/twilio/" in operation.ok().path:
            walk(operation.ok(), twilio_door, found)
    assert len(found) > 50
    assert [one for one in found if one[1] >= 500] == []
