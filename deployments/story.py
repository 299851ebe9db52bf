"""What the demo does, step by step: the sandbox's side, the platform's side, and both compared."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from atlvs.db import api_keys, inbox, records
from atlvs.db import stripe as mirror
from atlvs.db.engine import database
from atlvs.db.organizations import the_organization
from atlvs.errors import Unavailable
from blocks.base import DEFAULT
from blocks.stripe import Stripe
from blocks.wire import session
from deployments.commands.output import console, step, table
from deployments.sandbox_control import SandboxControl
from deployments.supervise import Product
from deployments.telling import Telling
from deployments.zapping import Zapping
from flows.stripe import full_sync, incremental_sync
from tasks.connections import keep_fields

KEY = "sk_test_demo"
NINE = (
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "invoice.paid",
    "invoice.payment_failed",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "charge.refunded",
    "checkout.session.completed",
)
SEED = {
    "customers": 300,
    "payments_per_customer": 2,
    "subscriptions": 0.2,
    "invoices": 0.2,
    "refunds": 0.1,
    "products": 6,
}
Json = dict[str, Any]


class Story:
    """What the demo does, step by step."""

    def __init__(self, sandbox: str, product: Product, *, other_demos: bool = False) -> None:
        self.control, self.product = SandboxControl(sandbox), product
        self.other_demos = other_demos
        self.others: dict[str, int] = {}  # records of former sandboxes, which Stripe never deletes
        self.org_id = UUID(int=0)
        self.key = ""

    async def tell(self) -> None:
        """All of it."""
        self.org_id = await the_organization()
        self.key, _ = await api_keys.create(self.org_id, "demo", ("services",))
        await self._first_sync()
        await self._changes_without_webhooks()
        step("Connecting Slack, SendGrid and Twilio, so that people hear of it")
        telling = Telling(self.control, self.org_id)
        await telling.connect()
        await self._webhooks()
        step("A reminder to the guests of an event: tried first, then asked for twice, sent once")
        await telling.tell()
        step(
            "Two Zaps: one makes contacts of a web form, which is sent twice; one listens to contacts"
        )
        await Zapping(self.control, self.org_id, self.product.web_url or "").tell()
        step("Reading everything once more: what is known stays untouched")
        report("Full sync", await full_sync())
        await self._compare()
        await self._save_connection()

    async def _save_connection(self) -> None:
        """For commands in another terminal: Prefect may have the block of a former sandbox."""
        async with Stripe.opened(DEFAULT) as stripe:
            await keep_fields(stripe, Stripe.from_environment())

    async def _first_sync(self) -> None:
        seeded = await self.control.post("stripe/seed", {"key": KEY, **SEED})
        step(f"Stripe's sandbox has {sum(seeded.values()):,} objects; reading all of them")
        await self.control.post("limits", {"provider": "stripe", "reads": 100, "writes": 100})
        report("Full sync", await full_sync())
        if self.other_demos:
            sides = await self._both_sides()
            self.others = {row["table"]: row["ATLVS"] - row["Stripe"] for row in sides}

    async def _changes_without_webhooks(self) -> None:
        step("Changing things in Stripe while no webhook arrives; reading what changed")
        await self.control.post("webhooks", {"paused": True})
        customers = (await self._dump("customer"))[:40]
        for customer in customers[:30]:
            changes = {"name": f"{customer['name']} (new)"}
            await self._act("update_customer", customer["id"], changes=changes)
        for customer in customers[30:32]:
            await self._act("delete_customer", customer["id"])
        report("Incremental sync", await incremental_sync())

    async def _webhooks(self) -> None:
        step(
            "A registration, an invoice, a subscription; then the nine webhooks, twice and shuffled"
        )
        await self._trade()
        sent = await self.control.post(
            "webhooks/flush", {"types": list(NINE), "duplicate": 1, "shuffle": True}
        )
        await self.control.post("webhooks", {"paused": False})
        await self.control.post("webhooks/flush", {})
        await self._drained()
        _check_deliveries(sent)
        async with database().org(self.org_id) as tx:
            console.print(table("Domain events in the outbox", await records.told_events(tx)))
            console.print(table("The platform's own tables", await records.states(tx)))

    async def _trade(self) -> None:
        """What makes Stripe send all nine: partly through our service door, partly by customers."""
        async with database().org(self.org_id) as tx:
            event = await records.create_event(tx, self.org_id, "Summer festival")
            contact = await records.create_contact(
                tx, self.org_id, "Ada", "Lovelace", "ada@example.com"
            )
            registrations = [
                await records.create_registration(tx, self.org_id, event, contact, 4_500, "usd")
                for _ in range(3)
            ]
            invoice = await records.create_invoice(tx, self.org_id, contact, 90_000)
        ada = await self._call(
            "createCustomer",
            {"email": "ada@example.com", "name": "Ada Lovelace"},
        )
        paid, failed, checkout = registrations
        await self._pay(paid, ada["id"], refund=True)
        await self._pay(failed, ada["id"], method="pm_card_chargeDeclined")
        await self._checkout(checkout)
        made = await self._call(
            "createInvoice",
            {
                "customerId": ada["id"],
                "items": [{"description": "Stage", "amount": 90_000}],
                "invoiceId": str(invoice),
            },
        )
        await self._call("sendInvoice", {"invoiceId": made["id"]})
        await self._act("pay_invoice", made["id"])
        await self._subscribe(ada["id"])

    async def _pay(
        self,
        registration: UUID,
        customer: str,
        *,
        method: str = "pm_card_visa",
        refund: bool = False,
    ) -> None:
        intent = await self._call(
            "createPaymentIntent",
            {
                "amount": 4_500,
                "currency": "usd",
                "customerId": customer,
                "metadata": {"source_type": "registration", "source_id": str(registration)},
            },
        )
        # the customer's browser confirms, and shows a refused card itself
        await self.control.post(
            "stripe/act",
            {"key": KEY, "action": "confirm_payment", "id": intent["id"], "payment_method": method},
            refused_is_fine=True,
        )
        if refund:
            await self._call("refundPayment", {"paymentIntentId": intent["id"], "amount": 1_500})

    async def _checkout(self, registration: UUID) -> None:
        price = {"currency": "usd", "unit_amount": 4_500, "product_data": {"name": "Ticket"}}
        made = await self._call(
            "createCheckoutSession",
            {
                "lineItems": [{"quantity": 1, "price_data": price}],
                "successUrl": "https://example.com/thanks",
                "cancelUrl": "https://example.com/again",
                "metadata": {"source_type": "registration", "source_id": str(registration)},
            },
        )
        await self._act("pay_checkout", made["id"])

    async def _subscribe(self, customer: str) -> None:
        prices = await self._dump("price")
        price = next(one for one in prices if one["type"] == "recurring")
        made = await self._call(
            "createSubscription", {"customerId": customer, "priceId": price["id"]}
        )
        await self._act("pay_invoice", made["latest_invoice"]["id"])
        await self._act("fail_renewal", made["id"])
        await self._call("cancelSubscription", {"subscriptionId": made["id"]})

    async def _drained(self) -> None:
        for _ in range(300):
            if not (await inbox.backlog())["waiting"]:
                return
            await asyncio.sleep(0.1)
        raise Unavailable("drainer", "webhooks still wait after 30 s.")

    async def _compare(self) -> None:
        """Our tables against the sandbox's truth."""
        rows = await self._both_sides()
        console.print(table("Both sides", rows))
        differing = [
            row["table"]
            for row in rows
            if row["ATLVS"] - row["Stripe"] != self.others.get(row["table"], 0)
        ]
        if differing:
            raise Unavailable("demo", f"both sides differ in {', '.join(differing)}.")

    async def _both_sides(self) -> list[Json]:
        async with Stripe.opened(DEFAULT) as stripe, database().org(self.org_id) as tx:
            ours = await mirror.totals(tx, stripe.connection)
        rows: list[Json] = []
        for kind, one in mirror.MIRRORS.items():
            theirs = [each for each in await self._dump(kind) if not each.get("deleted")]
            row: Json = {"table": one.table, "Stripe": len(theirs), "ATLVS": ours[one.table]}
            if self.other_demos:
                row["of other demos"] = self.others.get(one.table, 0)
            rows.append(row)
        return rows

    async def _act(self, action: str, identifier: str, **given: Any) -> Json:
        wanted = {"key": KEY, "action": action, "id": identifier, **given}
        return await self.control.post("stripe/act", wanted)

    async def _dump(self, kind: str) -> list[Json]:
        return await self.control.get("stripe/dump", key=KEY, type=kind)

    async def _call(self, method: str, given: Json) -> Json:
        """Through the service door, as the platform's web application does."""
        async with session().post(
            f"{self.product.web_url}/api/services/stripe/{method}",
            json=given,
            headers={"Authorization": f"Bearer {self.key}", "Idempotency-Key": str(uuid4())},
            timeout=aiohttp.ClientTimeout(total=30),
        ) as answer:
            if answer.status != 200:
                raise Unavailable("web", f"{method}: {(await answer.text())[:300]}")
            return await answer.json()


def _check_deliveries(sent: Sequence[Json]) -> None:
    rows: list[Json] = []
    for kind in NINE:
        found = [one for one in sent if one["type"] == kind]
        rows.append(
            {
                "webhook": kind,
                "events": len({one["id"] for one in found}),
                "delivered": len(found),
                "answered 200": sum(one["status"] == 200 for one in found),
            }
        )
    console.print(table("Webhooks delivered", rows))
    for row in rows:
        if row["delivered"] < 2 or row["answered 200"] < row["delivered"]:
            raise Unavailable("sandbox", f"{row['webhook']} was not delivered twice and taken.")


def report(title: str, summary: Json) -> None:
    columns = ["stream", "read", "created", "updated", "unchanged", "deleted"]
    streams: dict[str, Json] = summary["streams"]
    rows: Sequence[Json] = [
        {"stream": name, **counts} for name, counts in streams.items() if counts["read"]
    ]
    console.print(
        table(f"{title}: {summary['calls']} calls in {summary['seconds']} s", rows, columns)
    )
