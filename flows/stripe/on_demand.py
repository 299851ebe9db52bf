"""What analysts start by hand. Each run is one request: running it again does nothing twice."""

from typing import Any, Literal
from uuid import UUID

from prefect import flow
from prefect.runtime import flow_run
from pydantic import BaseModel, Field

from blocks.stripe import Stripe
from flows.report import mask_email, reported
from flows.stripe.sync import Connection
from tasks.policy import step
from tasks.stripe import service
from tasks.stripe.customer import read_customer


def this_run() -> UUID:
    """The request of this flow run: the same when Prefect tries it again."""
    return UUID(flow_run.id)


@flow(name="stripe-sync-customer", persist_result=False)
async def sync_one_customer(customer_id: str, connection: Connection = "default") -> dict[str, Any]:
    """Read one customer with payments, refunds, invoices and subscriptions anew.

    Args:
        customer_id: Stripe's id of the customer, starts with cus_.
        connection: Name of the saved Stripe connection.
    """
    async with reported(f"Stripe customer {customer_id}", "stripe-sync-customer") as report:
        async with Stripe.opened(connection) as stripe:
            for stream, counts in (await read_customer(stripe, customer_id)).items():
                report.count(stream, counts)
            report.calls_of(stripe)
        return report.summary


@flow(name="stripe-refund-payment", persist_result=False)
async def refund(
    payment_intent_id: str,
    amount: int | None = None,
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] = "requested_by_customer",
    connection: Connection = "default",
) -> dict[str, Any]:
    """Give a customer money back. Running this very run again does not refund twice.

    Args:
        payment_intent_id: Stripe's id of the payment, starts with pi_.
        amount: How much, in the smallest unit of the currency (1250 is 12.50 USD); empty for all.
        reason: What Stripe shall note.
        connection: Name of the saved Stripe connection.
    """
    async with reported(f"Refund of {payment_intent_id}", "stripe-refund") as report:
        async with Stripe.opened(connection) as stripe:
            made = await service.refund_payment(
                stripe, this_run(), payment_intent_id, amount, reason
            )
            report.facts |= {name: made[name] for name in ("id", "status", "amount", "currency")}
            report.calls_of(stripe)
        return report.summary


class Item(BaseModel):
    """One line of an invoice."""

    description: str = Field(title="Description")
    amount: int = Field(
        title="Amount of one unit", description="In the smallest unit: 1250 is 12.50 USD."
    )
    quantity: int = Field(1, title="Quantity", ge=1)


@flow(name="stripe-send-invoice", persist_result=False)
async def invoice_customer(
    customer_id: str,
    items: list[Item],
    currency: str = "usd",
    days_until_due: int = 30,
    invoice_id: UUID | None = None,
    connection: Connection = "default",
) -> dict[str, Any]:
    """Make an invoice in Stripe and let Stripe mail it to the customer.

    Args:
        customer_id: Stripe's id of the customer, starts with cus_.
        items: The lines.
        currency: Three letters.
        days_until_due: When it is due.
        invoice_id: Our own invoice that it stands for, if there is one.
        connection: Name of the saved Stripe connection.
    """
    async with reported(f"Invoice for {customer_id}", "stripe-invoice") as report:
        async with Stripe.opened(connection) as stripe:
            made = await service.create_invoice(
                stripe,
                this_run(),
                customer_id,
                [item.model_dump() for item in items],
                currency,
                days_until_due,
                invoice_id,
            )
            sent = await service.send_invoice(stripe, step(this_run(), "send"), made["id"])
            report.facts |= {name: sent[name] for name in ("id", "number", "status", "amount_due")}
            report.facts["to"] = mask_email(sent.get("customer_email"))
            report.calls_of(stripe)
        return report.summary


class Line(BaseModel):
    """What is sold."""

    name: str = Field(title="Name on the page")
    amount: int = Field(
        title="Price of one", description="In the smallest unit: 1250 is 12.50 USD.", gt=0
    )
    quantity: int = Field(1, title="Quantity", ge=1)
    currency: str = Field("usd", title="Currency", pattern="^[a-z]{3}$")

    def line_item(self) -> dict[str, Any]:
        """As Stripe wants it."""
        return {
            "quantity": self.quantity,
            "price_data": {
                "currency": self.currency,
                "unit_amount": self.amount,
                "product_data": {"name": self.name},
            },
        }


@flow(name="stripe-checkout-link", persist_result=False)
async def create_checkout_link(
    lines: list[Line],
    success_url: str,
    cancel_url: str,
    source_type: Literal["registration", "invoice"] | None = None,
    source_id: UUID | None = None,
    connection: Connection = "default",
) -> dict[str, Any]:
    """Make a page on which somebody can pay, and show its link.

    Args:
        lines: What is sold.
        success_url: Where the customer goes after paying.
        cancel_url: Where the customer goes otherwise.
        source_type: What the payment is for.
        source_id: Our id of it.
        connection: Name of the saved Stripe connection.
    """
    metadata = {"source_type": source_type, "source_id": str(source_id)} if source_id else {}
    async with reported("Checkout link", "stripe-checkout-link") as report:
        async with Stripe.opened(connection) as stripe:
            made = await service.create_checkout_session(
                stripe,
                this_run(),
                [line.line_item() for line in lines],
                success_url,
                cancel_url,
                metadata={name: value for name, value in metadata.items() if value},
            )
            report.facts |= {"id": made["id"], "link": made["url"]}
            report.calls_of(stripe)
        return report.summary
