"""The service interface of Stripe: what it does, refuses and writes down."""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import Any
from uuid import UUID, uuid4

import pytest
from sandbox_client import Sandbox
from stripe_mirror import (
    SILENT,
    TOLD,
    assert_mirrored,
    check_requests,
    everything_stored,
    fields,
    mirrored,
)
from stripe_run import full, incremental
from stripe_ten import Ten, every, once

from atlvs.db import connections
from atlvs.errors import IntegrationError, OutcomeUnknown, Rejected, Unauthorized
from blocks.stripe import Stripe
from tasks.stripe import service

pytest_plugins = ["mirror_fixtures", "stripe_fixtures"]

Rows = Any
Json = dict[str, Any]


async def test_each_method_does_it_once_and_answers_the_same_again(
    connection: Stripe, sandbox: Sandbox, rows: Rows, ten: Ten
) -> None:
    await full()
    requests = {case.method: uuid4() for case in ten.cases}
    first = await every(ten, connection, requests)
    for case in ten.cases:
        assert case.effects(requests[case.method]) == 1, case.method
        answer = first[case.method]
        assert mirrored(rows, answer["object"])[answer["id"]][0][
            "status" if "status" in answer else "id"
        ]
    asked = len(sandbox.requests())

    second = await every(ten, connection, requests)
    assert second == first
    written = [one for one in sandbox.requests()[asked:] if one["method"] != "GET"]
    assert written == []
    await incremental()
    assert_mirrored(rows, sandbox, TOLD, silent=SILENT)
    check_requests(sandbox)


async def test_what_the_methods_answer(connection: Stripe, sandbox: Sandbox, ten: Ten) -> None:
    made = await every(ten, connection, {case.method: uuid4() for case in ten.cases})
    intent = made["create_payment_intent"]
    assert (intent["amount"], intent["currency"], intent["status"]) == (
        1_250,
        "usd",
        "requires_payment_method",
    )
    assert intent["client_secret"].startswith(f"{intent['id']}_secret_")
    assert made["confirm_payment"]["status"] == "succeeded"
    assert (made["refund_payment"]["amount"], made["refund_payment"]["status"]) == (
        700,
        "succeeded",
    )
    assert made["create_customer"]["metadata"]["contact_id"] == "7"
    assert made["update_customer"]["name"] == "Ada Weber"
    assert made["create_subscription"]["status"] == "incomplete"
    secret = made["create_subscription"]["latest_invoice"]["confirmation_secret"]
    assert "_secret_" in secret["client_secret"]
    assert made["cancel_subscription"]["status"] == "canceled"
    assert (made["create_invoice"]["status"], made["create_invoice"]["total"]) == ("open", 1_100)
    assert made["send_invoice"]["hosted_invoice_url"]
    assert made["create_checkout_session"]["url"].startswith("https://")


async def test_reading_back(connection: Stripe, sandbox: Sandbox, ten: Ten) -> None:
    made = await every(ten, connection, {case.method: uuid4() for case in ten.cases})
    for method, maker, parameter in (
        ("get_payment_intent", "confirm_payment", "payment_intent_id"),
        ("get_customer", "update_customer", "customer_id"),
        ("get_subscription", "cancel_subscription", "subscription_id"),
        ("get_invoice", "create_invoice", "invoice_id"),
        ("get_refund", "refund_payment", "refund_id"),
        ("get_checkout_session", "create_checkout_session", "session_id"),
    ):
        identifier = made[maker]["id"]
        answer = await service.SERVICE[method].fn(connection, **{parameter: identifier})
        answer.pop("payments", None)
        assert answer == sandbox.object(identifier)
    with pytest.raises(Rejected, match="No such customer"):
        await service.get_customer.fn(connection, "cus_missing")


async def test_two_requests_are_two_even_when_they_are_equal(connection: Stripe, ten: Ten) -> None:
    for method in (
        "create_payment_intent",
        "refund_payment",
        "create_customer",
        "create_subscription",
        "create_invoice",
        "create_checkout_session",
    ):
        one, other = uuid4(), uuid4()
        answers = [await ten[method](connection, request) for request in (one, other)]
        assert answers[0]["id"] != answers[1]["id"]
        assert ten[method].effects(one) == ten[method].effects(other) == 1


async def test_five_at_once_are_one(connection: Stripe, ten: Ten) -> None:
    requests = {case.method: uuid4() for case in ten.cases}
    answers = await asyncio.gather(*(every(ten, connection, requests) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    for case in ten.cases:
        assert case.effects(requests[case.method]) == 1, case.method


async def test_other_parameters_under_one_id_are_refused(connection: Stripe, ten: Ten) -> None:
    for method, changed in (
        ("create_payment_intent", {"amount": 9}),
        ("refund_payment", {"amount": 9}),
        ("create_customer", {"name": "Somebody"}),
        ("create_invoice", {"days_until_due": 9}),
        ("cancel_subscription", {"subscription_id": "sub_other"}),
    ):
        request = uuid4()
        await ten[method](connection, request)
        with pytest.raises(Rejected) as refused:
            await ten[method](connection, request, **changed)
        assert refused.value.code == "idempotency_mismatch"
        assert ten[method].effects(request) == 1


class TestRefused:
    async def test_declined_card_is_told_with_its_code_and_again(
        self, connection: Stripe, sandbox: Sandbox, rows: Rows, ten: Ten
    ) -> None:
        case, request = ten["confirm_payment"], uuid4()
        for _ in range(2):
            with pytest.raises(Rejected) as refused:
                await case(
                    connection,
                    request,
                    payment_method="pm_card_chargeDeclinedInsufficientFunds",
                )
            assert refused.value.code == "insufficient_funds"
            assert "insufficient funds" in refused.value.message
        intent = case.given["payment_intent_id"]
        assert len([one for one in sandbox.dump("charge") if one["payment_intent"] == intent]) == 1

        answer = await case(connection, uuid4())
        assert answer["status"] == "succeeded"

    async def test_restricted_key_is_told_in_words(
        self, connected: UUID, sandbox: Sandbox, ten: Ten
    ) -> None:
        name = sandbox.key.removeprefix("sk_test_")
        restricted = fields(sandbox, secret_key=f"rk_test_{name}_readonly")
        await connections.save(connected, "stripe", "default", restricted)
        request = uuid4()
        async with Stripe.opened() as connection:
            await service.get_customer.fn(connection, ten.customer)
            with pytest.raises(Unauthorized, match="'rak_customer_write' permission"):
                await ten["create_customer"](connection, request)
        await connections.save(connected, "stripe", "default", fields(sandbox))
        async with Stripe.opened() as connection:
            await ten["create_customer"](connection, request)
        assert ten["create_customer"].effects(request) == 1

    async def test_refunding_more_than_was_paid(self, connection: Stripe, ten: Ten) -> None:
        case, request = ten["refund_payment"], uuid4()
        with pytest.raises(Rejected) as refused:
            await case(connection, request, amount=5_001)
        assert refused.value.field == "amount"
        assert case.effects(request) == 0


class TestStaleAnswers:
    async def test_a_replayed_answer_turns_nothing_back(
        self, connection: Stripe, sandbox: Sandbox, rows: Rows, ten: Ten
    ) -> None:
        """The kept answer of the first call is as old as that call."""
        request = uuid4()
        made = await ten["create_payment_intent"](connection, request)
        await ten["confirm_payment"](connection, uuid4(), payment_intent_id=made["id"])
        again = await ten["create_payment_intent"](connection, request)
        assert again == made
        assert status_of(rows, made["id"]) == "succeeded"

    async def test_an_answer_that_stripe_replays_turns_nothing_back(
        self, connection: Stripe, sandbox: Sandbox, rows: Rows, ten: Ten
    ) -> None:
        request = uuid4()
        sandbox.fault("reset_after", path="^/v1/payment_intents$", times=1)
        with once(), pytest.raises(OutcomeUnknown):
            await ten["create_payment_intent"](connection, request)
        made = sandbox.dump("payment_intent")[0]
        await ten["confirm_payment"](connection, uuid4(), payment_intent_id=made["id"])
        again = await ten["create_payment_intent"](connection, request)
        assert (again["id"], again["status"]) == (made["id"], "requires_payment_method")
        assert status_of(rows, made["id"]) == "succeeded"


async def test_every_call_is_in_the_audit(
    connected: UUID, sandbox: Sandbox, rows: Rows, ten: Ten
) -> None:
    sandbox.clear_requests()
    sandbox.fault("429", path="^/v1/customers$", times=1)
    requests = {case.method: uuid4() for case in ten.cases}
    async with Stripe.opened() as connection:
        await every(ten, connection, requests)
    asked = {
        (one["request_id"], one["method"], one["path"].partition("?")[0], one["status"])
        for one in sandbox.requests()
    }
    written = rows(
        "select provider_request_id, method, path, status from integration_calls where started_at >="
        " (select min(created_at) from integration_requests)"
    )
    assert {(i, m, p.removeprefix("/stripe"), s) for i, m, p, s in written} == asked
    assert len(written) == len(asked)
    assert {
        str(found) for (found,) in rows("select distinct request_id from integration_calls")
    } >= {str(request) for request in requests.values()}
    operations = {found for (found,) in rows("select distinct operation from integration_calls")}
    assert operations >= {case.method for case in ten.cases}


async def test_no_secret_is_stored_logged_or_raised(
    connection: Stripe, sandbox: Sandbox, rows: Rows, ten: Ten, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    raised: list[BaseException] = []
    await every(ten, connection, {case.method: uuid4() for case in ten.cases})
    for kind, rule in (
        ("500_before", {}),
        ("reset_after", {}),
        ("status", {"status": 401}),
        ("status", {"status": 403}),
        ("status", {"status": 400, "body": {"error": {"message": f"Bad {sandbox.key}"}}}),
        ("status", {"status": 200, "body": "<html>"}),
        ("429", {}),
    ):
        sandbox.fault(kind, method="POST", times=1, **rule)
        with once(), pytest.raises(IntegrationError) as told:
            await ten["create_payment_intent"](connection, uuid4())
        raised.append(told.value)
    declined = ten["confirm_payment"]
    with pytest.raises(Rejected) as refused:
        await declined(
            connection,
            uuid4(),
            payment_intent_id=ten.intent(),
            payment_method="pm_card_chargeDeclined",
        )
    raised.append(refused.value)
    texts = "\n".join(
        "".join(traceback.format_exception(error)) + repr(vars(error)) for error in raised
    )
    for text in (texts, caplog.text, everything_stored(rows)):
        for secret in (sandbox.key, "_secret_1", "whsec_test"):
            assert secret not in text


def status_of(rows: Rows, intent: str) -> str:
    sql = "select status from stripe_payments where stripe_payment_intent_id = %s"
    return rows(sql, intent)[0][0]
