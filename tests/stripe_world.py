"""A platform beside Stripe: what people do in both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from typing import Any
from uuid import UUID

from sandbox_client import Sandbox
from stripe_fixtures import Caller
from stripe_mirror import (
    deliver,
    events,
    mirrored,
)
from stripe_run import drain

from blocks.stripe import Stripe

Rows = Any
Json = dict[str, Any]
TWO = list(permutations(range(2)))
THREE = list(permutations(range(3)))


class World:
    """A platform with a contact, a registration and an invoice, and Stripe beside it."""

    def __init__(self, connection: Stripe, sandbox: Sandbox, rows: Rows, call: Caller) -> None:
        self.connection, self.sandbox, self.rows, self.call = connection, sandbox, rows, call
        org = connection.connection.org_id
        self.contact = self._new(
            "contacts (org_id, email, first_name) values (%s, 'Grace@Example.com', 'Grace')", org
        )
        event = self._new("events (org_id, name) values (%s, 'Summer night')", org)
        self.registration = self._new(
            "registrations (org_id, event_id, amount_cents) values (%s, %s, 5000)", org, event
        )
        self.invoice = self._new(
            "invoices (org_id, amount_cents, status) values (%s, 12000, 'sent')", org
        )
        rows("delete from integration_outbox")

    def _new(self, statement: str, *values: Any) -> UUID:
        return self.rows(f"insert into {statement} returning id", *values)[0][0]

    def pay(self, method: str = "pm_card_visa", amount: int = 5_000, **metadata: Any) -> Json:
        """Somebody pays for the registration."""
        about = metadata or {"source_type": "registration", "source_id": self.registration}
        given = {
            "amount": amount,
            "currency": "usd",
            "confirm": "true",
            "payment_method": method,
            "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never",
            **{f"metadata[{name}]": value for name, value in about.items()},
        }
        answer = self.call("POST", "/v1/payment_intents", given).json()
        return answer if "error" not in answer else answer["error"]["payment_intent"]

    def refund(self, intent: str, amount: int) -> Json:
        given = {"payment_intent": intent, "amount": amount}
        return self.call("POST", "/v1/refunds", given).json()

    def send_our_invoice(self) -> str:
        customer = self.call.customer()["id"]
        given = {
            "customer": customer,
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "metadata[invoice_id]": self.invoice,
        }
        made = self.call("POST", "/v1/invoices", given).json()["id"]
        line = {"customer": customer, "invoice": made, "amount": 12_000}
        self.call("POST", "/v1/invoiceitems", line)
        self.call("POST", f"/v1/invoices/{made}/finalize")
        return made

    def subscribe(self) -> Json:
        customer = self.call.customer()["id"]
        product = self.call("POST", "/v1/products", {"name": "Crew plan"}).json()["id"]
        monthly: Json = {"product": product, "currency": "usd", "unit_amount": 900}
        monthly["recurring[interval]"] = "month"
        price = self.call("POST", "/v1/prices", monthly).json()["id"]
        card = self.call(
            "POST", "/v1/payment_methods/pm_card_visa/attach", {"customer": customer}
        ).json()["id"]
        given = {"customer": customer, "items[0][price]": price, "default_payment_method": card}
        return self.call("POST", "/v1/subscriptions", given).json()

    def open_checkout(self) -> str:
        """A page on which somebody pays for the registration."""
        given = {
            "mode": "payment",
            "success_url": "https://example.com/ok",
            "client_reference_id": self.registration,
            "metadata[source_type]": "registration",
            "line_items[0][quantity]": 1,
            "line_items[0][price_data][currency]": "usd",
            "line_items[0][price_data][unit_amount]": 5_000,
            "line_items[0][price_data][product_data][name]": "VIP pass",
        }
        return self.call("POST", "/v1/checkout/sessions", given).json()["id"]

    async def hear(self, order: Sequence[int], *types: str) -> None:
        """The newest event of each type, in this order, each of them twice."""
        chosen = [events(self.sandbox, kind)[-1] for kind in types]
        for number in order:
            for _ in range(2):
                await deliver(self.connection, [chosen[number]])
                summary = await drain()
                assert summary["failed"] == summary["postponed"] == 0

    def told(self) -> Counter[str]:
        """What was told of changes that came from Stripe."""
        found = self.rows("select type from integration_outbox where source = 'stripe'")
        return Counter(kind for (kind,) in found)

    @property
    def registered(self) -> tuple[str, str]:
        return self.rows("select status, payment_status from registrations")[0]

    @property
    def payments(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "select amount_cents, refunded_cents, currency, status, method, registration_id, invoice_id"
            " from payments order by paid_at"
        )


def assert_current(world: World, identifier: str) -> None:
    """Our copy of one object is as Stripe has it now."""
    truth = world.sandbox.object(identifier)
    raw, _ = mirrored(world.rows, truth["object"])[identifier]
    assert raw == {name: value for name, value in truth.items() if name != "client_secret"}


async def everything_happens(sandbox: Sandbox, call: Caller) -> None:
    """Something of every kind: paid, refunded, disputed, subscribed, invoiced, paid out."""
    sandbox.clock(advance=-9 * 86_400)
    customer = call.customer(email="grace@example.com")["id"]
    paid, refunded, disputed = (call.payment(amount) for amount in (1_000, 2_000, 3_000))
    call("POST", "/v1/refunds", {"payment_intent": refunded["id"], "amount": 500})
    sandbox.act("open_dispute", disputed["id"])
    product = call("POST", "/v1/products", {"name": "Crew plan"}).json()["id"]
    once = {"product": product, "currency": "usd", "unit_amount": 900}
    price = call("POST", "/v1/prices", once | {"recurring[interval]": "month"}).json()["id"]
    subscribed = {"customer": customer, "items[0][price]": price}
    subscription = call(
        "POST", "/v1/subscriptions", subscribed | {"payment_behavior": "default_incomplete"}
    )
    sandbox.act("pay_invoice", subscription.json()["latest_invoice"])
    session = {
        "mode": "payment",
        "success_url": "https://example.com/ok",
        "line_items[0][quantity]": 2,
        "line_items[0][price]": call("POST", "/v1/prices", once).json()["id"],
    }
    sandbox.act("pay_checkout", call("POST", "/v1/checkout/sessions", session).json()["id"])
    call("POST", f"/v1/customers/{customer}", {"name": "Grace Hughes"})
    sandbox.clock(real=True)  # the money is there
    sandbox.act("payout")
    assert paid["status"] == "succeeded"
