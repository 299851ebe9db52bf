"""The service interface of Stripe: one effect, whatever goes wrong on the way."""

from __future__ import annotations

from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from sandbox_client import Sandbox
from stripe_mirror import (
    fields,
)
from stripe_ten import Ten, every, lost

from atlvs.db import connections
from atlvs.db.engine import database
from atlvs.errors import OutcomeUnknown, Unavailable
from blocks import wire
from blocks.base import release
from blocks.stripe import Stripe
from tasks.stripe.writing import made_by

pytest_plugins = ["mirror_fixtures", "stripe_fixtures"]

Rows = Any
Json = dict[str, Any]


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("500_before", {}),
        ("500_after", {}),
        ("409", {}),
        ("429", {}),
        ("reset", {}),
        ("reset_after", {}),
        ("truncate", {}),
        ("status", {"status": 502, "body": "<html>Bad gateway</html>"}),
        ("status", {"status": 200, "body": "<html>Welcome to the hotel</html>"}),
        ("status", {"status": 404, "body": "<html>Not here</html>"}),
        ("status", {"status": 503}),
    ],
)
async def test_each_method_ends_with_one_effect(
    connection: Stripe, sandbox: Sandbox, ten: Ten, kind: str, rule: Json
) -> None:
    for case in ten.cases:
        sandbox.fault(kind, method=case.verb, path=case.path, times=1, **rule)
    requests = {case.method: uuid4() for case in ten.cases}
    answers = await every(ten, connection, requests)
    assert [rule["hits"] for rule in sandbox.control("GET", "faults")] == [1] * 10
    for case in ten.cases:
        made = case.effects(requests[case.method])
        if case.method == "send_invoice" and kind.startswith("500"):
            # Nothing tells whether the mail went out: a person looks, and no second one leaves.
            assert isinstance(answers[case.method], OutcomeUnknown)
            assert answers[case.method].code == "ask_person"
            assert made <= 1
        else:
            assert not isinstance(answers[case.method], Exception), answers[case.method]
            assert made == 1, case.method
    assert await every(ten, connection, requests, leave="send_invoice") == {
        method: answer for method, answer in answers.items() if method != "send_invoice"
    }


async def test_every_call_of_a_long_operation_may_fail(
    connection: Stripe, sandbox: Sandbox, ten: Ten
) -> None:
    """Invoice, two items, finalize: each fails once in its own way."""
    for number, kind in enumerate(("500_after", "reset_after", "429", "500_after")):
        sandbox.fault(kind, method="POST", path="^/v1/invoice", times=1, skip=number)
    request = uuid4()
    answer = await ten["create_invoice"](connection, request)
    assert ten["create_invoice"].effects(request) == 1
    assert (answer["status"], answer["total"]) == ("open", 1_100)
    assert len(answer["lines"]["data"]) == 2


async def test_retry_after_is_honoured(connection: Stripe, sandbox: Sandbox, ten: Ten) -> None:
    sandbox.fault("429", path="^/v1/customers$", times=1, headers={"Retry-After": "2"})
    began = monotonic()
    await ten["create_customer"](connection, uuid4())
    assert 2.0 <= monotonic() - began < 6


async def test_a_wait_beyond_the_callers_patience_is_told_at_once(
    connection: Stripe, sandbox: Sandbox, ten: Ten
) -> None:
    wire.patience.set(1.0)
    sandbox.fault("429", path="^/v1/customers$", times=1, headers={"Retry-After": "30"})
    began, request = monotonic(), uuid4()
    with pytest.raises(Unavailable) as told:
        await ten["create_customer"](connection, request)
    assert told.value.retry_after == 30
    assert monotonic() - began < 3


async def test_slower_than_the_timeout(
    connection: Stripe, sandbox: Sandbox, ten: Ten, monkeypatch: pytest.MonkeyPatch
) -> None:
    await release()
    monkeypatch.setattr(wire, "TIMEOUT", aiohttp.ClientTimeout(total=0.5))
    for case in ten.cases:
        sandbox.fault("slow", method=case.verb, path=case.path, times=1, seconds=1.0)
    requests = {case.method: uuid4() for case in ten.cases}
    answers = await every(ten, connection, requests)
    for case in ten.cases:
        assert not isinstance(answers[case.method], Exception), answers[case.method]
        assert case.effects(requests[case.method]) == 1, case.method


async def test_refused_connection(connected: UUID, sandbox: Sandbox, ten: Ten) -> None:
    request, method = uuid4(), ten["create_customer"]
    await connections.save(
        connected, "stripe", "default", fields(sandbox, api_base="http://127.0.0.1:9/stripe")
    )
    wire.patience.set(0.5)
    async with Stripe.opened() as connection:
        with pytest.raises(Unavailable, match="connection was refused"):
            await method(connection, request)
    await connections.save(connected, "stripe", "default", fields(sandbox))
    async with Stripe.opened() as connection:
        await method(connection, request)
    assert method.effects(request) == 1


@pytest.mark.parametrize("method", ["create_payment_intent", "create_invoice", "refund_payment"])
async def test_a_lost_answer_is_looked_up_after_stripe_forgot_the_key(
    connection: Stripe, sandbox: Sandbox, rows: Rows, ten: Ten, method: str
) -> None:
    request = await lost(connection, sandbox, rows, ten[method])
    await ten[method](connection, request)
    assert ten[method].effects(request) == 1


async def test_a_mail_whose_outcome_was_lost_is_never_sent_again(
    connection: Stripe, sandbox: Sandbox, rows: Rows, ten: Ten
) -> None:
    case = ten["send_invoice"]
    request = await lost(connection, sandbox, rows, case)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown, match="Look in the dashboard"):
            await case(connection, request)
    assert case.effects(request) == 1


async def test_what_was_made_is_found_behind_many_newer(
    connection: Stripe, sandbox: Sandbox, ten: Ten
) -> None:
    sandbox.seed(customers=1)
    request = uuid4()
    made = await ten["create_payment_intent"](connection, request)
    for _ in range(130):
        ten.call.payment()
    find = made_by(connection, request, "/v1/payment_intents")
    found = await find(await database().now())
    assert found
    assert found["id"] == made["id"]
