"""Invoices as objects: their lines, totals and states.

draft → open → paid · void · uncollectible
https://docs.stripe.com/invoicing/overview
"""

from __future__ import annotations

import copy
from decimal import Decimal

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.charging import new_intent
from deployments.sandbox.stripe.errors import unexpected_state
from deployments.sandbox.stripe.lists import list_of
from deployments.sandbox.stripe.tables import Object

DAY = 86_400
SHOWN_LINES = 10


def new_invoice(account: Account, customer: Object, currency: str, reason: str) -> Object:
    identifier, now = account.new_id("invoice"), account.now()
    account.hidden[identifier] = {"lines": [], "days_until_due": None}
    return {
        "id": identifier,
        "object": "invoice",
        "account_country": "US",
        "account_name": account.id.removeprefix("acct_"),
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": None,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": False,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": now,
        "currency": currency,
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": list_of([], f"/v1/invoices/{identifier}/lines"),
        "livemode": account.livemode,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": None,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": now,
        "period_start": now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_details": None,
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": None,
        "threshold_reason": None,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
    }


def new_line(account: Account, invoice: Object, amount: int, description: str | None) -> Object:
    now = account.now()
    return {
        "id": account.new_id("line_item"),
        "object": "line_item",
        "amount": amount,
        "currency": invoice["currency"],
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": account.livemode,
        "metadata": {},
        "parent": None,
        "period": {"end": now, "start": now},
        "pretax_credit_amounts": [],
        "pricing": None,
        "quantity": 1,
        "quantity_decimal": "1",
        "subscription": None,
        "subtotal": amount,
        "taxes": [],
    }


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
    return copy.deepcopy(account.hidden[invoice["id"]]["lines"])


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
    return {
        "id": account.new_id("invoice_payment"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "created": account.now(),
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": account.livemode,
        "payment": {"payment_intent": intent, "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
