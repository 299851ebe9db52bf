"""Ids, secrets and tokens that look like Stripe's."""

from __future__ import annotations

import random
import string
import uuid

ALPHABET = (string.ascii_letters + string.digits).encode()
LETTERS = bytes(ALPHABET[byte % len(ALPHABET)] for byte in range(256))

PREFIX = {
    "customer": "cus_",
    "payment_intent": "pi_",
    "charge": "ch_",
    "refund": "re_",
    "payment_method": "pm_",
    "product": "prod_",
    "price": "price_",
    "subscription": "sub_",
    "subscription_item": "si_",
    "invoice": "in_",
    "invoiceitem": "ii_",
    "line_item": "il_",
    "invoice_payment": "inpay_",
    "checkout.session": "cs_",
    "item": "li_",
    "dispute": "du_",
    "balance_transaction": "txn_",
    "payout": "po_",
    "credit_note": "cn_",
    "credit_note_line_item": "cnli_",
    "event": "evt_",
    "webhook_endpoint": "we_",
    "test_helpers.test_clock": "clock_",
}
SHORT = frozenset({"customer", "product", "subscription_item"})
TYPE_OF = {prefix: kind for kind, prefix in PREFIX.items()}


def type_of(identifier: str) -> str | None:
    """The type of object an id belongs to."""
    return TYPE_OF.get(identifier[: identifier.find("_") + 1])


class Ids:
    """A source of ids: seeded it repeats itself, so that seeds give the same objects."""

    def __init__(self, seed: int | str | None = None) -> None:
        self.rng = random.Random(seed)  # noqa: S311  names for simulated objects

    def word(self, length: int) -> str:
        return self.rng.randbytes(length).translate(LETTERS).decode()

    def new(self, kind: str, *, livemode: bool = False) -> str:
        prefix = PREFIX[kind]
        if kind == "checkout.session":
            return f"{prefix}{'live' if livemode else 'test'}_a1{self.word(56)}"
        return prefix + (self.word(14) if kind in SHORT else "1" + self.word(23))


def new_request_id() -> str:
    return "req_" + uuid.uuid4().hex[:14]
