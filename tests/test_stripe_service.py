"""The service interface of Stripe: each method does its work once, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import monotonic
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import aiohttp
import pytest
from sandbox_client import Sandbox
from stripe_fixtures import Caller
from stripe_mirror import (
    SILENT,
    TOLD,
    assert_mirrored,
    check_requests,
    events,
    everything_stored,
    fields,
    mirrored,
)
from stripe_run import full, incremental

from atlvs.db import connections
from atlvs.db.engine import database
from atlvs.errors import IntegrationError, OutcomeUnknown, Rejected, Unauthorized, Unavailable
from blocks import wire
from blocks.base import release
from blocks.stripe import Stripe
from tasks import policy
from tasks.stripe import service
from tasks.stripe.writing import made_by

pytest_plugins = ["mirror_fixtures", "stripe_fixtures"]

Rows = Any
Json = dict[str, Any]


@dataclass
class Case:
    """One method with its parameters, where it writes, and how often its effect is in Stripe."""

    method: str
    given: Json
    path: str
    effects: Callable[[UUID], int]
    verb: str = "POST"

    async def __call__(self, connection: Stripe, request: UUID, **changed: Any) -> Json:
        given = {**self.given, **changed}
        return await service.SERVICE[self.method].fn(connection, request, **given)


class Ten:
    """The seed's ten methods, each ready to be called on things of its own."""

    def __init__(self, sandbox: Sandbox, call: Caller) -> None:
        self.sandbox, self.call = sandbox, call
        self.customer = call.customer(email="ada@example.com")["id"]
        product = call("POST", "/v1/products", {"name": "Crew plan"}).json()["id"]
        monthly = {"product": product, "currency": "usd", "unit_amount": 900}
        monthly["recurring[interval]"] = "month"
        self.price = call("POST", "/v1/prices", monthly).json()["id"]
        self.cases = list(self._cases())

    def __getitem__(self, method: str) -> Case:
        return next(case for case in self.cases if case.method == method)

    def _cases(self) -> Iterator[Case]:
        paid, waiting = self.call.payment(5_000)["id"], self._intent()
        subscription, invoice = self._subscription(), self._invoice()
        yield Case(
            "create_payment_intent",
            {"amount": 1_250, "currency": "USD", "metadata": {"source_type": "registration"}},
            "^/v1/payment_intents$",
            self._made("payment_intent"),
        )
        yield Case(
            "confirm_payment",
            {
                "payment_intent_id": waiting,
                "payment_method": "pm_card_visa",
                "return_url": "https://example.com/back",
            },
            f"^/v1/payment_intents/{waiting}/confirm$",
            lambda _: self._told("charge.succeeded", payment_intent=waiting),
        )
        yield Case(
            "refund_payment",
            {"payment_intent_id": paid, "amount": 700, "reason": "requested_by_customer"},
            "^/v1/refunds$",
            self._made("refund"),
        )
        yield Case(
            "create_customer",
            {"email": "grace@example.com", "name": "Grace Hughes", "metadata": {"contact_id": "7"}},
            "^/v1/customers$",
            self._made("customer"),
        )
        yield Case(
            "update_customer",
            {"customer_id": self.customer, "data": {"name": "Ada Weber", "metadata": {"a": "b"}}},
            f"^/v1/customers/{self.customer}$",
            lambda _: self._told("customer.updated", id=self.customer, name="Ada Weber"),
        )
        yield Case(
            "create_subscription",
            {"customer_id": self.customer, "price_id": self.price, "metadata": {"tier": "gold"}},
            "^/v1/subscriptions$",
            self._made("subscription"),
        )
        yield Case(
            "cancel_subscription",
            {"subscription_id": subscription},
            f"^/v1/subscriptions/{subscription}$",
            lambda _: self._told("customer.subscription.deleted", id=subscription),
            "DELETE",
        )
        yield Case(
            "create_invoice",
            {
                "customer_id": self.customer,
                "items": [
                    {"description": "Stage crew", "amount": 500, "quantity": 2},
                    {"description": "Truck", "amount": 100},
                ],
            },
            "^/v1/(invoices|invoiceitems|invoices/.*/finalize)$",
            self._made("invoice"),
        )
        yield Case(
            "send_invoice",
            {"invoice_id": invoice},
            f"^/v1/invoices/{invoice}/send$",
            lambda _: self._told("invoice.sent", id=invoice),
        )
        yield Case(
            "create_checkout_session",
            {
                "line_items": [{"price": self._once(), "quantity": 2}],
                "success_url": "https://example.com/ok",
                "cancel_url": "https://example.com/no",
                "metadata": {"source_type": "registration", "source_id": str(uuid4())},
            },
            "^/v1/checkout/sessions$",
            self._made("checkout.session"),
        )

    def _made(self, kind: str) -> Callable[[UUID], int]:
        def count(request: UUID) -> int:
            marks = [one["metadata"].get("atlvs_request") for one in self.sandbox.dump(kind)]
            return marks.count(str(request))

        return count

    def _told(self, kind: str, **wanted: Any) -> int:
        subjects = [event["data"]["object"] for event in events(self.sandbox, kind)]
        return sum(all(one[name] == value for name, value in wanted.items()) for one in subjects)

    def _intent(self) -> str:
        given = {"amount": 1_000, "currency": "usd", "automatic_payment_methods[enabled]": "true"}
        return self.call("POST", "/v1/payment_intents", given).json()["id"]

    def _once(self) -> str:
        product = self.call("POST", "/v1/products", {"name": "VIP pass"}).json()["id"]
        given = {"product": product, "currency": "usd", "unit_amount": 1_500}
        return self.call("POST", "/v1/prices", given).json()["id"]

    def _subscription(self) -> str:
        given = {"customer": self.customer, "items[0][price]": self.price}
        given["payment_behavior"] = "default_incomplete"
        made = self.call("POST", "/v1/subscriptions", given).json()
        self.sandbox.act("pay_invoice", made["latest_invoice"])
        return made["id"]

    def _invoice(self) -> str:
        given = {"customer": self.customer, "collection_method": "send_invoice"}
        made = self.call("POST", "/v1/invoices", given | {"days_until_due": 30}).json()["id"]
        line = {"customer": self.customer, "invoice": made, "amount": 900}
        self.call("POST", "/v1/invoiceitems", line)
        return self.call("POST", f"/v1/invoices/{made}/finalize").json()["id"]


@pytest.fixture
def ten(sandbox: Sandbox, call: Caller) -> Ten:
    return Ten(sandbox, call)


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


class TestFaults:
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
        self, connection: Stripe, sandbox: Sandbox, ten: Ten, kind: str, rule: Json
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
        self, connection: Stripe, sandbox: Sandbox, ten: Ten
    ) -> None:
        """Invoice, two items, finalize: each fails once in its own way."""
        for number, kind in enumerate(("500_after", "reset_after", "429", "500_after")):
            sandbox.fault(kind, method="POST", path="^/v1/invoice", times=1, skip=number)
        request = uuid4()
        answer = await ten["create_invoice"](connection, request)
        assert ten["create_invoice"].effects(request) == 1
        assert (answer["status"], answer["total"]) == ("open", 1_100)
        assert len(answer["lines"]["data"]) == 2

    async def test_retry_after_is_honoured(
        self, connection: Stripe, sandbox: Sandbox, ten: Ten
    ) -> None:
        sandbox.fault("429", path="^/v1/customers$", times=1, headers={"Retry-After": "2"})
        began = monotonic()
        await ten["create_customer"](connection, uuid4())
        assert 2.0 <= monotonic() - began < 6

    async def test_a_wait_beyond_the_callers_patience_is_told_at_once(
        self, connection: Stripe, sandbox: Sandbox, ten: Ten
    ) -> None:
        wire.patience.set(1.0)
        sandbox.fault("429", path="^/v1/customers$", times=1, headers={"Retry-After": "30"})
        began, request = monotonic(), uuid4()
        with pytest.raises(Unavailable) as told:
            await ten["create_customer"](connection, request)
        assert told.value.retry_after == 30
        assert monotonic() - began < 3

    async def test_slower_than_the_timeout(
        self, connection: Stripe, sandbox: Sandbox, ten: Ten, monkeypatch: pytest.MonkeyPatch
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

    async def test_refused_connection(self, connected: UUID, sandbox: Sandbox, ten: Ten) -> None:
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

    @pytest.mark.parametrize(
        "method", ["create_payment_intent", "create_invoice", "refund_payment"]
    )
    async def test_a_lost_answer_is_looked_up_after_stripe_forgot_the_key(
        self, connection: Stripe, sandbox: Sandbox, rows: Rows, ten: Ten, method: str
    ) -> None:
        request = await lost(connection, sandbox, rows, ten[method])
        await ten[method](connection, request)
        assert ten[method].effects(request) == 1

    async def test_a_mail_whose_outcome_was_lost_is_never_sent_again(
        self, connection: Stripe, sandbox: Sandbox, rows: Rows, ten: Ten
    ) -> None:
        case = ten["send_invoice"]
        request = await lost(connection, sandbox, rows, case)
        for _ in range(2):
            with pytest.raises(OutcomeUnknown, match="Look in the dashboard"):
                await case(connection, request)
        assert case.effects(request) == 1

    async def test_what_was_made_is_found_behind_many_newer(
        self, connection: Stripe, sandbox: Sandbox, ten: Ten
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
            payment_intent_id=ten._intent(),
            payment_method="pm_card_chargeDeclined",
        )
    raised.append(refused.value)
    texts = "\n".join(
        "".join(traceback.format_exception(error)) + repr(vars(error)) for error in raised
    )
    for text in (texts, caplog.text, everything_stored(rows)):
        for secret in (sandbox.key, "_secret_1", "whsec_test"):
            assert secret not in text


def once() -> AbstractContextManager[Any]:
    """Calls are not tried again."""
    return patch.object(policy, "MOST_ATTEMPTS", 1)


async def every(
    ten: Ten, connection: Stripe, requests: dict[str, UUID], leave: str = ""
) -> dict[str, Any]:
    """All ten at once; exceptions as values."""
    chosen = [case for case in ten.cases if case.method != leave]
    answers = await asyncio.gather(
        *(case(connection, requests[case.method]) for case in chosen), return_exceptions=True
    )
    return {case.method: answer for case, answer in zip(chosen, answers, strict=True)}


async def lost(connection: Stripe, sandbox: Sandbox, rows: Rows, case: Case) -> UUID:
    """A request that was carried out a day ago, and whose answer never came."""
    request = uuid4()
    sandbox.fault("reset_after", method=case.verb, path=case.path, times=1)
    with once(), pytest.raises(OutcomeUnknown) as told:
        await case(connection, request)
    assert told.value.code == "no_answer"
    sandbox.clock(advance=25 * 3_600)
    rows(
        "update integration_requests set sent_at = sent_at - interval '25 hours',"
        " created_at = created_at - interval '25 hours' where id = %s",
        request,
    )
    return request


def status_of(rows: Rows, intent: str) -> str:
    sql = "select status from stripe_payments where stripe_payment_intent_id = %s"
    return rows(sql, intent)[0][0]
