"""One customer with all that belongs to it, read anew."""

from typing import Any
from urllib.parse import urlencode

from atlvs.db.engine import database
from atlvs.records import Counts
from blocks.stripe import Stripe
from tasks.policy import call
from tasks.stripe.changes import Changes, apply_changes

LISTS = (
    ("/v1/payment_intents", {}),
    ("/v1/charges", {}),
    ("/v1/invoices", {}),
    ("/v1/subscriptions", {"status": "all"}),
    ("/v1/checkout/sessions", {}),
)


@call("stripe")
async def read_customer(connection: Stripe, customer_id: str) -> dict[str, Counts]:
    """Fetch and store a customer, its payments, charges, refunds, invoices and subscriptions."""
    changes = Changes()
    asked_at = await database().now()
    changes.add(await connection.get(f"/v1/customers/{customer_id}"), asked_at)
    for path, query in LISTS:
        await _add_list(connection, path, {"customer": customer_id, **query}, changes)
    for charge in list(changes.objects.get("charge", {}).values()):
        if charge.get("amount_refunded"):
            await _add_list(connection, "/v1/refunds", {"charge": charge["id"]}, changes)
    for invoice in list(changes.objects.get("invoice", {})):
        await _add_list(connection, "/v1/invoice_payments", {"invoice": invoice}, changes)
    whose = connection.connection
    async with database().org(whose.org_id, source="stripe", events_since=whose.created_at) as tx:
        return await apply_changes(tx, whose, changes)


async def _add_list(connection: Stripe, path: str, query: dict[str, Any], changes: Changes) -> None:
    after: dict[str, str] = {}
    while True:
        asked_at = await database().now()
        page = await connection.get(path, urlencode(query | {"limit": 100} | after))
        for one in page["data"]:
            changes.add(one, asked_at)
        if not page["has_more"]:
            return
        after = {"starting_after": page["data"][-1]["id"]}
