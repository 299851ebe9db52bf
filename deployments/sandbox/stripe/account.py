"""One account's objects in one mode, and what happens when one of them changes."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from deployments.sandbox.provider import World
from deployments.sandbox.stripe.errors import missing
from deployments.sandbox.stripe.ids import PREFIX, Ids
from deployments.sandbox.stripe.tables import Object, Table

# The links that lists filter by, as dotted paths.
INDEXED = {
    "customer": ("email",),
    "payment_intent": ("customer",),
    "charge": ("customer", "payment_intent", "transfer_group"),
    "refund": ("charge", "payment_intent"),
    "payment_method": ("customer",),
    "price": ("product", "lookup_key"),
    "subscription": ("customer",),
    "invoice": ("customer", "status", "parent.subscription_details.subscription"),
    "invoiceitem": ("customer", "invoice"),
    "invoice_payment": ("invoice", "payment.payment_intent"),
    "checkout.session": ("customer", "payment_intent", "subscription", "status"),
    "dispute": ("charge", "payment_intent"),
    "balance_transaction": ("source", "payout"),
    "credit_note": ("customer", "invoice"),
    "event": ("type",),
}
# Encoded, so that decoding makes a copy.
BLANKS: dict[str, bytes] = {
    kind: orjson.dumps(fields)
    for kind, fields in orjson.loads(Path(__file__).with_name("blanks.json").read_bytes()).items()
}
# What old accounts stay on until someone upgrades them: payloads of the Events API keep it.
DEFAULT_VERSION = "2025-09-30.clover"


class Account:
    def __init__(self, identifier: str, *, livemode: bool, world: World) -> None:
        self.id = identifier
        self.livemode = livemode
        self.world = world
        self.api_version = DEFAULT_VERSION
        self.email = "finance@" + identifier.removeprefix("acct_").lower() + ".example"
        self.ids = Ids()
        self.tables = {kind: Table(INDEXED.get(kind, ())) for kind in PREFIX}
        # What the API does not show, by object id: webhook secrets, the lines of a checkout.
        self.hidden: dict[str, Object] = {}
        self.replays: dict[str, Any] = {}
        self.agenda: list[tuple[int, int, Callable[[], object]]] = []
        self.funds: dict[str, dict[str, int]] = {}
        self.moment: int | None = None
        self.muted = False
        self.sown = 0
        # How long search does not know of a new or changed object, in seconds.
        self.search_lag = 2
        self._order = itertools.count()

    @property
    def name(self) -> str:
        return f"{self.id}/{'live' if self.livemode else 'test'}"

    def blank(self, kind: str, **fields: Any) -> Object:
        """A new object of its type, with an id and every field that the service shows."""
        thing: Object = orjson.loads(BLANKS[kind])
        thing["id"] = self.new_id(kind) if kind in PREFIX else ""
        for name in ("created", "date", "period_start", "period_end"):
            if name in thing:
                thing[name] = self.now()
        if "livemode" in thing:
            thing["livemode"] = self.livemode
        return thing | fields

    def now(self) -> int:
        return self.moment or self.world.clock.seconds()

    def new_id(self, kind: str) -> str:
        return self.ids.new(kind, livemode=self.livemode)

    def find(self, kind: str, identifier: str) -> Object | None:
        return self.tables[kind].get(identifier)

    def get(self, kind: str, identifier: str, param: str | None = None) -> Object:
        """The object; missing it is the caller's mistake in `param`, or in the path."""
        found = self.find(kind, identifier)
        if found is None:
            status = 404 if param is None else 400
            what = WORDS.get(kind, kind)
            raise missing(what, identifier, param or SINGULAR.get(kind, kind), status)
        return found

    def linked(self, kind: str, path: str, value: str) -> list[Object]:
        return self.tables[kind].linked(path, value)

    def put(self, thing: Object) -> Object:
        table = self.tables[thing["object"]]
        table.put(thing)
        table.changed[thing["id"]] = self.now()
        return thing

    def at(self, moment: int, act: Callable[[], object]) -> None:
        """Put something on the agenda, to happen when the clock says so."""
        heapq.heappush(self.agenda, (moment, next(self._order), act))

    def catch_up(self) -> None:
        """Do what fell due, each thing at its own time."""
        while self.agenda and self.agenda[0][0] <= self.world.clock.seconds():
            self.moment, _, act = heapq.heappop(self.agenda)
            try:
                act()
            finally:
                self.moment = None


SINGULAR = {"payment_intent": "intent", "checkout.session": "session"}
WORDS = {"payment_method": "PaymentMethod", "checkout.session": "checkout.session"}
