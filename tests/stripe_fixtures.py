"""Stripe in tests: the SDK and plain HTTP against the sandbox, every answer held to the description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import stripe
from sandbox_client import Sandbox
from stripe import StripeClient
from stripe_description import check_answer
from webhook_listener import Listener

stripe.enable_telemetry = False
NO_REDIRECTS: dict[str, Any] = {
    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}
}


class Judged(stripe.RequestsClient):
    """The SDK's HTTP client, which holds every answer against the description."""

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        body, status, answered = super().request(method, url, headers, post_data)
        check_answer(method, "/v1/" + url.split("/stripe/v1/")[1], status, body)
        assert answered["Request-Id"].startswith("req_")
        return body, status, answered


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[StripeClient]:
    yield StripeClient(
        sandbox.key, base_addresses={"api": sandbox.base("stripe")}, http_client=Judged()
    )
    sandbox.check_requests()


def event_types(client: StripeClient) -> list[str]:
    """Oldest first."""
    return [e.type for e in client.v1.events.list({"limit": 100}).data][::-1]


@pytest.fixture
def customer(client: StripeClient) -> stripe.Customer:
    return client.v1.customers.create({"email": "ada@example.com", "name": "Ada Weber"})


@pytest.fixture
def payer(client: StripeClient, customer: stripe.Customer) -> stripe.Customer:
    """A customer with a card that is charged by default."""
    method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    settings: Any = {"invoice_settings": {"default_payment_method": method.id}}
    return client.v1.customers.update(customer.id, settings)


@pytest.fixture
def monthly(client: StripeClient) -> stripe.Price:
    product = client.v1.products.create({"name": "Crew plan"})
    return client.v1.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 2_000,
            "recurring": {"interval": "month"},
        }
    )


@pytest.fixture
def session(client: StripeClient) -> stripe.checkout.Session:
    return client.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [
                {
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": 2_500,
                        "product_data": {"name": "VIP pass"},
                    },
                    "quantity": 2,
                }
            ],
            "success_url": "https://example.com/ok?cs={CHECKOUT_SESSION_ID}",
            "client_reference_id": "registration-1",
            "metadata": {"a": "b"},
            "payment_intent_data": {"metadata": {"registration": "1"}},
        }
    )


def new_intent(client: StripeClient, **given: Any) -> stripe.PaymentIntent:
    params: Any = {"currency": "usd", **NO_REDIRECTS, **given}
    return client.v1.payment_intents.create(params)


def paid(client: StripeClient, method: str = "pm_card_visa", **given: Any) -> stripe.PaymentIntent:
    return new_intent(
        client, **{"amount": 5_000, "confirm": True, "payment_method": method, **given}
    )


def draft(client: StripeClient, customer: str, amount: int = 12_000) -> stripe.Invoice:
    invoice = client.v1.invoices.create(
        {
            "customer": customer,
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "auto_advance": False,
        }
    )
    client.v1.invoice_items.create(
        {"customer": customer, "invoice": invoice.id, "amount": amount, "description": "Stage crew"}
    )
    return client.v1.invoices.retrieve(str(invoice.id))


class Caller:
    """Plain HTTP with a key; every answer is held against the description."""

    def __init__(self, sandbox: Sandbox, key: str | None = None) -> None:
        self.base = sandbox.base("stripe")
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {sandbox.key if key is None else key}"

    def __call__(
        self, method: str, path: str, given: Any = None, **headers: str
    ) -> requests.Response:
        sent = {"params": given} if method == "GET" else {"data": given}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.session.request(method, self.base + path, headers=named, timeout=30, **sent)
        if answer.status_code != 404 and "payouts" not in path:
            check_answer(method, path, answer.status_code, answer.content)
        return answer

    def customer(self, **given: str) -> dict[str, Any]:
        return self("POST", "/v1/customers", given or {"email": "ada@example.com"}).json()

    def payment(self, amount: int = 1_000, method: str = "pm_card_visa") -> dict[str, Any]:
        given = {
            "amount": amount,
            "currency": "usd",
            "confirm": "true",
            "payment_method": method,
            "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never",
        }
        return self("POST", "/v1/payment_intents", given).json()

    def event_types(self) -> list[str]:
        listed = self("GET", "/v1/events", {"limit": 100}).json()["data"]
        return [each["type"] for each in reversed(listed)]


@pytest.fixture
def call(sandbox: Sandbox) -> Caller:
    return Caller(sandbox)


def error_of(answer: requests.Response) -> tuple[int, str | None, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error.get("code"), error.get("param")


@pytest.fixture
def endpoint(call: Caller, listener: Listener) -> dict[str, Any]:
    given = {"url": listener.url, "enabled_events[]": "*", "api_version": "2026-10-28.endive"}
    return call("POST", "/v1/webhook_endpoints", given).json()


def events_in(received: list[tuple[bytes, dict[str, str]]]) -> list[dict[str, Any]]:
    return [json.loads(body) for body, _ in received]
