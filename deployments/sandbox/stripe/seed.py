"""Seeding: an account with a past, the same every time.

    {"key": "sk_test_demo", "customers": 1000, "payments_per_customer": 1.5, "refunds": 0.05,
     "subscriptions": 0.2, "invoices": 0.1, "products": 5, "days": 90, "skew": 0.0,
     "declines": 0.03, "currency": "usd", "metadata": {}, "emit_events": false, "rng": 1}

Shares are of the customers; of the payments for refunds and declines. `skew` above 0 crowds the
creation times toward today. Everything after the customers is made by the same operations that
callers use, at its own time in the past.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused
from deployments.sandbox.stripe.ids import Ids
from deployments.sandbox.stripe.invoice_items import create_invoice_item
from deployments.sandbox.stripe.invoices import create_invoice, pay_invoice, send_invoice
from deployments.sandbox.stripe.payment_intents import create_payment_intent
from deployments.sandbox.stripe.payment_methods import attach_to, resolve
from deployments.sandbox.stripe.products import create_price, create_product
from deployments.sandbox.stripe.refunds import create_refund
from deployments.sandbox.stripe.subscriptions import create_subscription
from deployments.sandbox.stripe.tables import Object

DAY = 86_400
DEFAULTS: dict[str, Any] = {
    "customers": 0,
    "payments_per_customer": 0.0,
    "refunds": 0.0,
    "subscriptions": 0.0,
    "invoices": 0.0,
    "products": 0,
    "days": 90,
    "skew": 0.0,
    "declines": 0.03,
    "currency": "usd",
    "metadata": {},
    "emit_events": False,
    "rng": 1,
}
# fmt: off
FIRST = [
    "Ada", "Ben", "Chloe", "Dev", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jamal", "Kira",
    "Leo", "Maya", "Nils", "Olga", "Priya", "Quinn", "Rosa", "Sam", "Tariq", "Uma", "Vera",
    "Wen", "Ximena", "Yusuf", "Zoe",
]
LAST = [
    "Abbott", "Brandt", "Castillo", "Dubois", "Eriksen", "Fischer", "Garcia", "Hughes",
    "Ivanov", "Jensen", "Kaur", "Lindqvist", "Moreau", "Nakamura", "Okafor", "Petrov", "Quispe",
    "Rossi", "Silva", "Tanaka", "Ueda", "Vargas", "Weber", "Xu", "Yilmaz", "Zimmer",
]
# fmt: on
CITIES = (
    ("Austin", "TX", "78701"),
    ("Denver", "CO", "80202"),
    ("Miami", "FL", "33130"),
    ("Nashville", "TN", "37201"),
    ("Portland", "OR", "97205"),
    ("San Diego", "CA", "92101"),
)  # fmt: skip
SHOWS = ("Main Stage", "VIP", "Backline", "Workshop", "Camping", "Parking", "Artist Relations")


def sow(account: Account, given: dict[str, Any]) -> dict[str, int]:
    """Answers how many objects of each type it made."""
    wanted = DEFAULTS | {name: value for name, value in given.items() if name != "key"}
    if unknown := wanted.keys() - DEFAULTS.keys():
        raise ValueError(f"unknown seed option: {', '.join(sorted(unknown))}")
    before = counts(account)
    with _sowing(account, wanted):
        Field(account, wanted).sow()
    return {kind: n - before[kind] for kind, n in counts(account).items() if n != before[kind]}


def counts(account: Account) -> dict[str, int]:
    return {kind: len(table) for kind, table in account.tables.items()}


@contextmanager
def _sowing(account: Account, wanted: dict[str, Any]) -> Iterator[None]:
    """Repeatable ids, and no events unless they are wanted."""
    ids = account.ids
    account.ids = Ids(f"{account.name}/{wanted['rng']}/{account.sown}")
    account.sown += 1
    account.muted = not wanted["emit_events"]
    try:
        yield
        account.moment = None
        account.catch_up()
    finally:
        account.moment = None
        account.ids, account.muted = ids, False


class Field:
    """One seeding: the account, the wishes, and one source of chance."""

    def __init__(self, account: Account, wanted: dict[str, Any]) -> None:
        self.account = account
        self.wanted = wanted
        self.rng = random.Random(wanted["rng"])  # noqa: S311  repeatable samples
        self.now = account.now()
        self.prices: list[str] = []

    def sow(self) -> None:
        for number in range(int(self.wanted["products"])):
            self._product(number)
        table = self.account.tables["customer"]
        known = set(table.raw)
        table.put_many(self._customer(n) for n in range(int(self.wanted["customers"])))
        if not self._goes_on():
            return
        new = [customer for customer in reversed(table.all()) if customer["id"] not in known]
        if self.wanted["emit_events"]:
            for customer in new:
                self.account.moment = customer["created"]
                Call(self.account).emit("customer.created", customer)
        for customer in new:
            self._history(customer)

    def _goes_on(self) -> bool:
        more = ("payments_per_customer", "subscriptions", "invoices", "emit_events")
        return any(self.wanted[name] for name in more)

    def _history(self, customer: Object) -> None:
        often = float(self.wanted["payments_per_customer"])
        for _ in range(int(often) + (self.rng.random() < often % 1)):
            self._payment(customer)
        if self.rng.random() < self.wanted["subscriptions"]:
            self._subscription(customer)
        if self.rng.random() < self.wanted["invoices"]:
            self._invoice(customer)

    def _age(self, least: int = 0) -> int:
        """Seconds ago, at least so many."""
        span = max(0.0, self.wanted["days"] * DAY - least)
        return least + int(span * self.rng.random() ** (1.0 + self.wanted["skew"]))

    def _after(self, customer: Object) -> int:
        """A moment between the customer's creation and now."""
        span = self.now - customer["created"]
        return customer["created"] + int(span * self.rng.random())

    def _call(self, moment: int, path: Object | None = None, **params: Any) -> Call:
        self.account.moment = moment
        return Call(self.account, params, path or {})

    def _customer(self, number: int) -> Object:
        rng = self.rng
        first, last, show = rng.choice(FIRST), rng.choice(LAST), rng.choice(SHOWS)
        name, where = f"{first} {last}", self._address(number)
        customer = self.account.blank("customer", created=self.now - self._age())
        customer.update(
            address=where,
            business_name=f"{last} {show} Productions",
            currency=self.wanted["currency"],
            description=f"Registered for {show}",
            email=f"{first}.{last}.{number}@example.com".lower(),
            individual_name=name,
            invoice_prefix=customer["id"][-8:].upper(),
            metadata={
                "contact_id": f"contact-{number}",
                "badge": show,
                "source": "registration",
                "marketing_opt_in": "true" if number % 3 else "false",
                **self.wanted["metadata"],
            },
            name=name,
            phone=f"+1512555{number % 10_000:04d}",
            preferred_locales=["en-US"],
            shipping={"address": where, "name": name, "phone": None},
        )
        return customer

    def _address(self, number: int) -> Object:
        city, state, postal_code = self.rng.choice(CITIES)
        return {
            "city": city,
            "country": "US",
            "line1": f"{100 + number % 900} Festival Way",
            "line2": f"Gate {number % 40}",
            "postal_code": postal_code,
            "state": state,
        }

    def _product(self, number: int) -> None:
        moment = self.now - self.wanted["days"] * DAY
        name = f"{SHOWS[number % len(SHOWS)]} pass {number + 1}"
        product = create_product(self._call(moment, name=name, metadata=self.wanted["metadata"]))
        amount = self.rng.randrange(1_500, 30_000, 500)
        common = {"product": product["id"], "currency": self.wanted["currency"]}
        create_price(self._call(moment, **common, unit_amount=amount))
        monthly = self._call(
            moment, **common, unit_amount=amount // 5, recurring={"interval": "month"}
        )
        self.prices.append(create_price(monthly)["id"])

    def _payment(self, customer: Object) -> None:
        moment = self._after(customer)
        declined = self.rng.random() < self.wanted["declines"]
        call = self._call(
            moment,
            amount=self.rng.randrange(1_500, 60_000, 50),
            currency=self.wanted["currency"],
            customer=customer["id"],
            description=f"{self.rng.choice(SHOWS)} registration",
            metadata=dict(self.wanted["metadata"]),
            payment_method="pm_card_chargeDeclined" if declined else "pm_card_visa",
            receipt_email=customer["email"],
            confirm=True,
            automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
        )
        with suppress(Refused):
            intent = create_payment_intent(call)
            if self.rng.random() < self.wanted["refunds"]:
                self._refund(intent, moment)

    def _refund(self, intent: Object, moment: int) -> None:
        later = moment + int((self.now - moment) * self.rng.random())
        part = {} if self.rng.random() < 0.5 else {"amount": intent["amount"] // 2}
        create_refund(self._call(later, payment_intent=intent["id"], **part))

    def _subscription(self, customer: Object) -> None:
        if not self.prices:
            self._product(0)
        moment = self._after(customer)
        call = self._call(moment)
        method = attach_to(call, resolve(call, "pm_card_visa")["id"], customer["id"])
        create_subscription(
            self._call(
                moment,
                customer=customer["id"],
                items=[{"price": self.rng.choice(self.prices)}],
                default_payment_method=method["id"],
                metadata=dict(self.wanted["metadata"]),
            )
        )

    def _invoice(self, customer: Object) -> None:
        moment = self._after(customer)
        metadata = dict(self.wanted["metadata"])
        given = {"collection_method": "send_invoice", "days_until_due": 30, "metadata": metadata}
        invoice = create_invoice(self._call(moment, customer=customer["id"], **given))
        for _ in range(self.rng.randrange(1, 4)):
            line = {
                "customer": customer["id"],
                "invoice": invoice["id"],
                "amount": self.rng.randrange(5_000, 200_000, 500),
                "description": f"{self.rng.choice(SHOWS)} crew and equipment",
            }
            create_invoice_item(self._call(moment, **line))
        path = {"invoice": invoice["id"]}
        send_invoice(self._call(moment, path))
        if self.rng.random() < 0.6:
            pay_invoice(self._call(moment, path, payment_method="pm_card_visa"))
