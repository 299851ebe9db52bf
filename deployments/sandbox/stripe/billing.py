"""Invoices as objects: their lines, totals and states.

draft → open → paid · void · uncollectible
https://docs.stripe.com/invoicing/overview
"""

from __future__ import annotations

from decimal import Decimal

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.charging import new_intent
from deployments.sandbox.stripe.errors import unexpected_state
from deployments.sandbox.stripe.lists import list_of
from deployments.sandbox.stripe.tables import Object, copied

DAY = 86_400
SHOWN_LINES = 10
COPIED = ("address", "email", "name", "phone", "shipping", "tax_exempt")


def new_invoice(account: Account, customer: Object, currency: str, reason: str) -> Object:
    invoice = account.blank("invoice", billing_reason=reason, currency=currency)
    invoice.update(
        account_name=account.id.removeprefix("acct_"),
        customer=customer["id"],
        **{f"customer_{name}": customer[name] for name in COPIED},
    )
    invoice["lines"]["url"] = f"/v1/invoices/{invoice['id']}/lines"
    account.hidden[invoice["id"]] = {"lines": [], "days_until_due": None}
    return invoice


def pricing(price: Object) -> Object:
    return {
        "type": "price_details",
        "price_details": {"price": price["id"], "product": price["product"]},
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def times(unit_amount: str, quantity: int | str) -> int:
    return int((Decimal(unit_amount) * Decimal(quantity)).to_integral_value())


def set_lines(account: Account, invoice: Object, lines: list[Object]) -> Object:
    """Give the invoice its lines, and sums that follow from them."""
    account.hidden[invoice["id"]]["lines"] = lines
    invoice["lines"] = list_of(
        lines[:SHOWN_LINES], invoice["lines"]["url"], more=len(lines) > SHOWN_LINES
    )
    total = sum(line["amount"] for line in lines)
    due = max(0, total)
    invoice.update(
        subtotal=total,
        subtotal_excluding_tax=total,
        total=total,
        total_excluding_tax=total,
        amount_due=due,
        amount_remaining=due - invoice["amount_paid"],
    )
    return invoice


def lines_of(account: Account, invoice: Object) -> list[Object]:
    return copied(account.hidden[invoice["id"]]["lines"])


def require_draft(invoice: Object) -> None:
    if invoice["status"] != "draft":
        raise unexpected_state(
            f"Invoice {invoice['id']} is no longer editable: its status is {invoice['status']}.",
            "invoice_not_editable",
        )


def finalize(call: Call, before: Object) -> Object:
    """Number it, ask for the money; nothing to pay is paid already."""
    account = call.account
    if before["status"] != "draft":
        raise unexpected_state(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
            "invoice_not_editable",
        )
    if not account.hidden[before["id"]]["lines"]:
        raise unexpected_state("Nothing to invoice for customer", "invoice_no_customer_line_items")
    now = account.now()
    page = f"https://invoice.stripe.com/i/{account.id}/{before['id']}"
    after = before | {
        "number": before["number"] or _next_number(account, before["customer"]),
        "status": "open",
        "effective_at": before["effective_at"] or now,
        "ending_balance": 0,
        "automatically_finalizes_at": None,
        "hosted_invoice_url": page,
        "invoice_pdf": f"{page}/pdf?s=ap",
        "status_transitions": before["status_transitions"] | {"finalized_at": now},
    }
    days = account.hidden[before["id"]]["days_until_due"]
    if after["due_date"] is None and days is not None:
        after["due_date"] = now + days * DAY
    call.update(before, after, "invoice.finalized", "invoice.updated")
    return _request_payment(call, after) if after["amount_due"] else mark_paid(call, after)


def mark_paid(call: Call, before: Object, *events: str) -> Object:
    """Everything is paid. `invoice.paid` always tells; `payment_succeeded` only of a payment."""
    after = before | {
        "status": "paid",
        "amount_remaining": 0,
        "attempted": True,
        "auto_advance": False,
        "next_payment_attempt": None,
        "status_transitions": before["status_transitions"] | {"paid_at": call.account.now()},
    }
    return call.update(before, after, "invoice.updated", "invoice.paid", *events)


def default_payment(account: Account, invoice: Object) -> Object | None:
    """The invoice's own open or paid payment by payment intent."""
    for payment in account.linked("invoice_payment", "invoice", invoice["id"]):
        if payment["is_default"]:
            return payment
    return None


def _next_number(account: Account, customer: str) -> str:
    owner = account.find("customer", customer)
    if owner is None:
        return f"{customer[-8:].upper()}-0001"
    sequence = owner["next_invoice_sequence"]
    account.put(owner | {"next_invoice_sequence": sequence + 1})
    return f"{owner['invoice_prefix']}-{sequence:04d}"


def _request_payment(call: Call, invoice: Object) -> Object:
    account = call.account
    intent = new_intent(account, invoice["amount_due"], invoice["currency"], invoice["customer"])
    intent.update(
        description=f"Payment for Invoice {invoice['number']}",
        setup_future_usage="off_session" if invoice["parent"] else None,
    )
    call.create(intent, "payment_intent.created")
    account.put(new_invoice_payment(account, invoice, intent["id"]))
    return invoice


def new_invoice_payment(account: Account, invoice: Object, intent: str) -> Object:
    return account.blank(
        "invoice_payment",
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        payment={"payment_intent": intent, "type": "payment_intent"},
    )
