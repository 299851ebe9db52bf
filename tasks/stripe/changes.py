"""From a hint to the truth: fetch what an event is about, and store it as it is now.

An event's payload is a snapshot of its moment, in the version of its endpoint. We take only ids from
it, ask for the objects at our pinned version, and let a freshness guard refuse older answers.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from atlvs.db import stripe as mirror
from atlvs.db.engine import Transaction, database
from atlvs.db.inbox import Waiting
from atlvs.errors import Rejected, Unavailable
from atlvs.records import Connection, Counts
from blocks.stripe import EVENT_TYPES, Stripe
from tasks.stripe.rows import id_of, rows_from

Json = dict[str, Any]
Wanted = tuple[str, str]  # (kind, id)

# kind → (path, query) of one object
WHERE: dict[str, tuple[str, str]] = {
    "customer": ("/v1/customers/{}", ""),
    "product": ("/v1/products/{}", ""),
    "price": ("/v1/prices/{}", ""),
    "payment_intent": ("/v1/payment_intents/{}", "expand[]=latest_charge.balance_transaction"),
    "charge": ("/v1/charges/{}", "expand[]=balance_transaction"),
    "refund": ("/v1/refunds/{}", "expand[]=balance_transaction"),
    "dispute": ("/v1/disputes/{}", ""),
    "invoice": ("/v1/invoices/{}", "expand[]=payments"),
    "invoice_payment": ("/v1/invoice_payments/{}", ""),
    "subscription": ("/v1/subscriptions/{}", ""),
    "checkout.session": ("/v1/checkout/sessions/{}", ""),
    "payout": ("/v1/payouts/{}", ""),
    "balance_transaction": ("/v1/balance_transactions/{}", ""),
    # lists that belong to one object
    "refunds of": (
        "/v1/refunds?limit=100&expand[]=data.balance_transaction&payment_intent={}",
        "",
    ),
    "invoices of": (
        "/v1/invoice_payments?limit=100&payment[type]=payment_intent&payment[payment_intent]={}",
        "",
    ),
}
# What else to ask for, read off the object itself.
BESIDE: dict[str, Callable[[Json], Iterable[tuple[str, str | None]]]] = {
    "charge": lambda one: [
        ("payment_intent", id_of(one.get("payment_intent"))),
        ("refunds of", id_of(one.get("payment_intent")) if one.get("amount_refunded") else None),
    ],
    "refund": lambda one: [("charge", id_of(one.get("charge")))],
    "dispute": lambda one: [("charge", id_of(one.get("charge")))],
    "payout": lambda one: [("balance_transaction", id_of(one.get("balance_transaction")))],
    "invoice_payment": lambda one: [("invoice", id_of(one.get("invoice")))],
    "checkout.session": lambda one: [
        ("payment_intent", id_of(one.get("payment_intent"))),
        ("subscription", id_of(one.get("subscription"))),
    ],
    "payment_intent": lambda one: [
        (
            "invoices of",
            one["id"] if one["status"] == "succeeded" and not _source_told(one) else None,
        )
    ],
}


@dataclass
class Changes:
    """Objects as they are now, by kind, with the moment before they were asked for."""

    objects: dict[str, dict[str, Json]] = field(default_factory=dict)
    asked_at: dict[Wanted, datetime] = field(default_factory=dict)
    deleted: dict[str, set[str]] = field(default_factory=dict)

    def add(self, one: Json, asked_at: datetime) -> None:
        """Take an object, and the mirrored objects expanded in it, each as if asked for alone."""
        kind = one["object"]
        if one.get("deleted"):
            self.deleted.setdefault(kind, set()).add(one["id"])
        elif kind in mirror.MIRRORS:
            self.objects.setdefault(kind, {})[one["id"]] = self._collapsed(one, asked_at)
            self.asked_at[kind, one["id"]] = asked_at

    def update(self, other: "Changes") -> None:
        """Take over what another found, unless it is known from later."""
        for (kind, key), asked_at in other.asked_at.items():
            known = self.asked_at.get((kind, key))
            if known is None or known <= asked_at:
                self.objects.setdefault(kind, {})[key] = other.objects[kind][key]
                self.asked_at[kind, key] = asked_at
        for kind, gone in other.deleted.items():
            self.deleted.setdefault(kind, set()).update(gone)

    def _collapsed(self, one: Json, asked_at: datetime) -> Json:
        flat = dict(one)
        for name, value in one.items():
            if not isinstance(value, dict):
                continue
            if value.get("object") in mirror.MIRRORS and "id" in value:
                self.add(value, asked_at)
                flat[name] = value["id"]
        for part in one.get("balance_transactions") or ():  # of a dispute, always whole
            self.add(part, asked_at)
        if isinstance(one.get("payments"), dict):  # only there when expanded
            for payment in flat.pop("payments")["data"]:
                self.add(payment, asked_at)
        return flat


async def fetch_changes(connection: Stripe, events: Sequence[Waiting]) -> Changes | None:
    """The current state of all that these events of one lane are about; None if we mirror none of it."""
    known = [event for event in events if event.type in EVENT_TYPES]
    if not known:
        return None
    changes, asked = Changes(), set[Wanted]()
    waiting = [subject for event in known if (subject := _subject(event))]
    while waiting:
        wanted = waiting.pop()
        if wanted not in asked:
            asked.add(wanted)
            waiting += await _fetch(connection, wanted, changes)
    return changes


async def apply_changes(
    tx: Transaction, connection: Connection, changes: Changes
) -> dict[str, Counts]:
    """Store what was fetched and what it means for the platform, in one transaction."""
    rows = {
        kind: [
            row
            for key, one in found.items()
            for row in rows_from(kind, [one], changes.asked_at[kind, key])
        ]
        for kind, found in sorted(changes.objects.items())
    }
    deleted = {
        kind: sorted(gone) for kind, gone in changes.deleted.items() if kind in mirror.MIRRORS
    }
    return await mirror.store(tx, connection, rows, deleted)


async def keep(connection: Stripe, one: Json, known_at: datetime) -> Json:
    """Store an object that a write returned, unless it is known from later; and return it."""
    whose, changes = connection.connection, Changes()
    changes.add(one, known_at)
    async with database().org(whose.org_id, source="stripe", events_since=whose.created_at) as tx:
        await apply_changes(tx, whose, changes)
    return one


def _subject(event: Waiting) -> Wanted | None:
    one = event.payload["data"]["object"]
    kind, key = one.get("object"), one.get("id")
    return (kind, key) if kind in WHERE and isinstance(key, str) else None


async def _fetch(connection: Stripe, wanted: Wanted, changes: Changes) -> list[Wanted]:
    """Ask for one object (or list) and return what else is to be asked for."""
    kind, key = wanted
    path, query = WHERE[kind]
    asked_at = await database().now()
    try:
        found = await _answer(connection, path.format(quote(key, safe="")), query)
    except Rejected as error:
        if error.code != "resource_missing":
            raise
        changes.deleted.setdefault(kind, set()).add(key)
        return []
    if found.get("object") == "list":
        for one in found["data"]:
            changes.add(one, asked_at)
        return [("invoice", id) for one in found["data"] if (id := id_of(one.get("invoice")))]
    changes.add(found, asked_at)
    if found.get("deleted"):
        return []
    return [(other, id) for other, id in BESIDE.get(kind, _nothing)(found) if id]


async def _answer(connection: Stripe, path: str, query: str) -> Json:
    """An object; Rejected when the answer about this one is unusable while others arrive."""
    try:
        return await connection.get(path, query)
    except Unavailable as error:
        if error.code not in (None, "no_answer") or error.retry_after is not None:
            raise
        await connection.get("/v1/account")
        text = f"{error.message} Other answers arrive."
        raise Rejected("stripe", text, code="unusable") from error


def _nothing(_one: Json) -> Iterable[tuple[str, str | None]]:
    return ()


def _source_told(one: Json) -> bool:
    return bool((one.get("metadata") or {}).get("source_id"))
