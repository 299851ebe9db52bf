"""The seed's ten methods of Stripe's service interface, ready to be called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from sandbox_client import Sandbox
from stripe_fixtures import Caller
from stripe_mirror import (
    events,
)

from atlvs.errors import OutcomeUnknown
from blocks.stripe import Stripe
from tasks import policy
from tasks.stripe import service

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
        self.cases = [
            *self._payments(),
            *self._customers(),
            *self._subscriptions(),
            *self._invoices(),
            *self._checkout(),
        ]

    def __getitem__(self, method: str) -> Case:
        return next(case for case in self.cases if case.method == method)

    def _payments(self) -> Iterator[Case]:
        paid, waiting = self.call.payment(5_000)["id"], self.intent()
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

    def _customers(self) -> Iterator[Case]:
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

    def _subscriptions(self) -> Iterator[Case]:
        subscription = self._subscription()
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

    def _invoices(self) -> Iterator[Case]:
        invoice = self._invoice()
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

    def _checkout(self) -> Iterator[Case]:
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

    def intent(self) -> str:
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
