"""Stripe's service interface: payments, customers, subscriptions, invoices, checkout.

Each write takes the id of its request: the same id does it once, however often it is called. Amounts
are integers in the currency's minor unit. What Stripe answers is returned as plain JSON, and is in
the mirror tables before the call returns. https://docs.stripe.com/api
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from prefect import Task
from pydantic import Field

from atlvs.db.engine import database
from atlvs.errors import Rejected
from blocks.stripe import Stripe
from tasks.policy import call, step
from tasks.stripe.changes import keep
from tasks.stripe.writing import MARK, in_state, made_by, marked, without_none, write

Json = dict[str, Any]
Metadata = dict[str, str]
Amount = Annotated[int, Field(gt=0, strict=True, description="In the currency's minor unit.")]
Currency = Annotated[str, Field(pattern="^[A-Za-z]{3}$", description="Three-letter ISO code.")]


def identifier(prefix: str) -> Any:
    """The form of one of Stripe's ids, so that an id can never become part of another path."""
    return Field(pattern=f"^{prefix}_[A-Za-z0-9_]+$", max_length=255)


PaymentIntentId = Annotated[str, identifier("pi")]
CustomerId = Annotated[str, identifier("cus")]
SubscriptionId = Annotated[str, identifier("sub")]
InvoiceId = Annotated[str, identifier("in")]


@call("stripe")
async def create_payment_intent(
    connection: Stripe,
    request: UUID,
    amount: Amount,
    currency: Currency,
    metadata: Metadata | None = None,
    customer_id: CustomerId | None = None,
) -> Json:
    """Begin a payment. `source_type` and `source_id` in the metadata tell what is paid for."""
    parameters = without_none(
        amount=amount,
        currency=currency.lower(),
        customer=customer_id,
        automatic_payment_methods={"enabled": True},
        metadata=marked(metadata, request),
    )
    find = made_by(connection, request, "/v1/payment_intents", **without_none(customer=customer_id))
    made = await write(connection, request, "/v1/payment_intents", parameters, find=find)
    return await keep(connection, made.object, made.known_at)


@call("stripe")
async def confirm_payment(
    connection: Stripe,
    request: UUID,
    payment_intent_id: PaymentIntentId,
    payment_method: str | None = None,
    return_url: str | None = None,
) -> Json:
    """Confirm a payment from the server. Without a return URL only methods that need none are used."""
    path = f"/v1/payment_intents/{payment_intent_id}"
    parameters = without_none(payment_method=payment_method, return_url=return_url)
    find = in_state(
        connection, path, "succeeded", "processing", "requires_action", "requires_capture"
    )
    confirmed = await write(connection, request, f"{path}/confirm", parameters, find=find)
    return await keep(connection, confirmed.object, confirmed.known_at)


@call("stripe")
async def refund_payment(
    connection: Stripe,
    request: UUID,
    payment_intent_id: PaymentIntentId,
    amount: Amount | None = None,
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None,
    metadata: Metadata | None = None,
) -> Json:
    """Refund all that is left of a payment, or `amount` of it."""
    parameters = without_none(
        payment_intent=payment_intent_id,
        amount=amount,
        reason=reason,
        metadata=marked(metadata, request),
    )
    find = made_by(connection, request, "/v1/refunds", payment_intent=payment_intent_id)
    made = await write(connection, request, "/v1/refunds", parameters, find=find)
    if charge := made.object.get("charge"):  # what it has been refunded in all stands there
        asked_at = await database().now()
        await keep(connection, await connection.get(f"/v1/charges/{charge}"), asked_at)
    return await keep(connection, made.object, made.known_at)


@call("stripe")
async def create_customer(
    connection: Stripe,
    request: UUID,
    email: Annotated[str, Field(max_length=512)],
    name: Annotated[str, Field(max_length=256)],
    metadata: Metadata | None = None,
) -> Json:
    """Make a customer. `contact_id` or `company_id` in the metadata links it; else its e-mail does."""
    parameters = {"email": email, "name": name, "metadata": marked(metadata, request)}
    find = made_by(connection, request, "/v1/customers", email=email)
    made = await write(connection, request, "/v1/customers", parameters, find=find)
    return await keep(connection, made.object, made.known_at)


@call("stripe")
async def update_customer(
    connection: Stripe, request: UUID, customer_id: CustomerId, data: Json
) -> Json:
    """Change fields of a customer by Stripe's names. Metadata merges; an empty text removes."""
    path = f"/v1/customers/{customer_id}"
    parameters = {**data, "metadata": marked(data.get("metadata"), request)}

    async def find(_since: datetime) -> Json | None:
        found = await connection.get(path)
        return found if (found.get("metadata") or {}).get(MARK) == str(request) else None

    updated = await write(connection, request, path, parameters, find=find)
    return await keep(connection, updated.object, updated.known_at)


@call("stripe")
async def create_subscription(
    connection: Stripe,
    request: UUID,
    customer_id: CustomerId,
    price_id: Annotated[str, identifier("price")],
    metadata: Metadata | None = None,
) -> Json:
    """Subscribe a customer to a price. It is incomplete until the first payment is confirmed."""
    parameters = {
        "customer": customer_id,
        "items": [{"price": price_id}],
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "expand": ["latest_invoice.confirmation_secret", "pending_setup_intent"],
        "metadata": marked(metadata, request),
    }
    find = made_by(connection, request, "/v1/subscriptions", customer=customer_id, status="all")
    made = await write(connection, request, "/v1/subscriptions", parameters, find=find)
    return await keep(connection, made.object, made.known_at)


@call("stripe")
async def cancel_subscription(
    connection: Stripe,
    request: UUID,
    subscription_id: SubscriptionId,
    at_period_end: bool = False,
) -> Json:
    """End a subscription now, or when the paid period ends."""
    path = f"/v1/subscriptions/{subscription_id}"
    if at_period_end:
        parameters = {"cancel_at_period_end": True, "metadata": marked(None, request)}
        cancelled = await write(connection, request, path, parameters, find=_never)
    else:
        find = in_state(connection, path, "canceled")
        cancelled = await write(connection, request, path, {}, find=find, method="delete")
    return await keep(connection, cancelled.object, cancelled.known_at)


@call("stripe")
async def create_invoice(
    connection: Stripe,
    request: UUID,
    customer_id: CustomerId,
    items: Annotated[list[Json], Field(min_length=1, max_length=250)],
    currency: Currency = "usd",
    days_until_due: Annotated[int, Field(ge=0, le=365)] = 30,
    invoice_id: UUID | None = None,
) -> Json:
    """Make and finalize an invoice. Items: `{"description", "amount", "quantity"?}` with the amount of
    one unit, or `{"price", "quantity"?}`; `invoice_id` is ours that it stands for."""
    metadata = {"invoice_id": str(invoice_id)} if invoice_id else None
    find = made_by(connection, request, "/v1/invoices", customer=customer_id)
    draft = await write(
        connection,
        request,
        "/v1/invoices",
        {
            "customer": customer_id,
            "collection_method": "send_invoice",
            "days_until_due": days_until_due,
            "auto_advance": False,
            "currency": currency.lower(),
            "metadata": marked(metadata, request),
        },
        find=find,
    )
    for number, item in enumerate(items):
        await _add_item(connection, step(request, f"item {number}"), draft.object, item)
    path = f"/v1/invoices/{draft.object['id']}"
    final = await write(
        connection,
        step(request, "finalize"),
        f"{path}/finalize",
        {},
        find=in_state(connection, path, "open", "paid"),
        name="finalize_invoice",
    )
    return await keep(connection, final.object, final.known_at)


@call("stripe")
async def send_invoice(connection: Stripe, request: UUID, invoice_id: InvoiceId) -> Json:
    """Let Stripe mail an open invoice. A lost outcome is not repeated: nobody wants two mails."""
    path = f"/v1/invoices/{invoice_id}/send"
    sent = await write(connection, request, path, {}, find=None)
    return await keep(connection, sent.object, sent.known_at)


@call("stripe")
async def create_checkout_session(
    connection: Stripe,
    request: UUID,
    line_items: Annotated[list[Json], Field(min_length=1, max_length=100)],
    success_url: Annotated[str, Field(max_length=5000)],
    cancel_url: Annotated[str, Field(max_length=5000)],
    mode: Literal["payment", "subscription"] = "payment",
    metadata: Metadata | None = None,
    customer_id: CustomerId | None = None,
) -> Json:
    """A page on which a customer pays. Line items: `{"price", "quantity"}` or
    `{"price_data": …, "quantity"}`. The metadata is copied to the payment or subscription."""
    mark = marked(metadata, request)
    # Stripe does not copy a session's metadata to what the session makes.
    inner = "payment_intent_data" if mode == "payment" else "subscription_data"
    parameters = without_none(
        mode=mode,
        line_items=line_items,
        success_url=success_url,
        cancel_url=cancel_url,
        customer=customer_id,
        client_reference_id=(metadata or {}).get("source_id"),
        metadata=mark,
        **{inner: {"metadata": mark}},
    )
    find = made_by(connection, request, "/v1/checkout/sessions")
    made = await write(connection, request, "/v1/checkout/sessions", parameters, find=find)
    return await keep(connection, made.object, made.known_at)


@call("stripe")
async def get_payment_intent(connection: Stripe, payment_intent_id: PaymentIntentId) -> Json:
    """A payment as Stripe has it now."""
    return await connection.get(f"/v1/payment_intents/{payment_intent_id}")


@call("stripe")
async def get_customer(connection: Stripe, customer_id: CustomerId) -> Json:
    """A customer as Stripe has it now."""
    return await connection.get(f"/v1/customers/{customer_id}")


@call("stripe")
async def get_subscription(connection: Stripe, subscription_id: SubscriptionId) -> Json:
    """A subscription as Stripe has it now."""
    return await connection.get(f"/v1/subscriptions/{subscription_id}")


@call("stripe")
async def get_invoice(connection: Stripe, invoice_id: InvoiceId) -> Json:
    """An invoice as Stripe has it now, with its payments."""
    return await connection.get(f"/v1/invoices/{invoice_id}", "expand[]=payments")


@call("stripe")
async def get_refund(connection: Stripe, refund_id: Annotated[str, identifier("(re|pyr)")]) -> Json:
    """A refund as Stripe has it now."""
    return await connection.get(f"/v1/refunds/{refund_id}")


@call("stripe")
async def get_checkout_session(
    connection: Stripe, session_id: Annotated[str, identifier("cs")]
) -> Json:
    """A checkout session as Stripe has it now."""
    return await connection.get(f"/v1/checkout/sessions/{session_id}")


@call("stripe")
async def get_publishable_key(connection: Stripe) -> Json:
    """The key that a browser uses."""
    if not connection.publishable_key:
        raise Rejected("stripe", "no publishable key is set.", code="not_configured")
    return {"publishable_key": connection.publishable_key}


async def _add_item(connection: Stripe, request: UUID, draft: Json, item: Json) -> None:
    known = {"description", "amount", "quantity", "price"}
    if unknown := set(item) - known:
        raise Rejected(
            "stripe", f"an item has no {', '.join(sorted(unknown))}.", code="invalid", field="items"
        )
    price, amount, quantity = item.get("price"), item.get("amount"), item.get("quantity")
    parameters = without_none(
        customer=draft["customer"],
        invoice=draft["id"],
        description=item.get("description"),
        quantity=quantity,
        pricing={"price": price} if price else None,
        amount=amount if quantity is None else None,
        unit_amount_decimal=str(amount) if quantity is not None and amount is not None else None,
        currency=None if price else draft["currency"],
        metadata=marked(None, request),
    )
    find = made_by(connection, request, "/v1/invoiceitems", invoice=draft["id"])
    await write(
        connection, request, "/v1/invoiceitems", parameters, find=find, name="add_invoice_item"
    )


async def _never(_since: datetime) -> None:
    """For writes that may simply be sent again: they set what is set already."""


SERVICE: dict[str, Task[..., Any]] = {
    one.name.removeprefix("stripe."): one
    for one in (
        create_payment_intent,
        confirm_payment,
        refund_payment,
        create_customer,
        update_customer,
        create_subscription,
        cancel_subscription,
        create_invoice,
        send_invoice,
        create_checkout_session,
        get_payment_intent,
        get_customer,
        get_subscription,
        get_invoice,
        get_refund,
        get_checkout_session,
        get_publishable_key,
    )
}
