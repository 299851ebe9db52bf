"""Invoices, the operations. https://docs.stripe.com/api/invoices"""

from __future__ import annotations

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.billing import (
    default_payment,
    finalize,
    lines_of,
    mark_paid,
    new_invoice,
    require_draft,
    set_lines,
)
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.collecting import collect, method_for
from deployments.sandbox.stripe.errors import Refused, required, unexpected_state
from deployments.sandbox.stripe.fields import assign, merge_metadata
from deployments.sandbox.stripe.invoice_items import line_of
from deployments.sandbox.stripe.money import check_currency
from deployments.sandbox.stripe.payment_intents import declined_error
from deployments.sandbox.stripe.payment_methods import resolve
from deployments.sandbox.stripe.tables import Object, copied

GIVEN = (
    "auto_advance",
    "automatically_finalizes_at",
    "collection_method",
    "custom_fields",
    "default_payment_method",
    "description",
    "due_date",
    "effective_at",
    "footer",
    "number",
    "statement_descriptor",
)
# What may still be changed when the invoice is no longer a draft.
LATER = frozenset({"auto_advance", "metadata", "expand", "default_payment_method"})
HOUR = 3_600


def create_invoice(call: Call) -> Object:
    account, params = call.account, call.params
    if not params.get("customer"):
        raise required("customer")
    customer = account.get("customer", params["customer"], "customer")
    currency = check_currency(params.get("currency") or customer["currency"] or "usd")
    _check_due(params, params.get("collection_method"))
    invoice = new_invoice(account, customer, currency, "manual")
    _apply(call, invoice)
    if params.get("pending_invoice_items_behavior") == "include":
        take_pending_items(account, invoice)
    call.create(invoice, "invoice.created")
    _plan_finalization(call, invoice)
    return invoice


def update_invoice(call: Call) -> Object:
    before = call.account.get("invoice", call.path["invoice"])
    if call.params.keys() - LATER:
        require_draft(before)
    after = copied(before)
    _apply(call, after)
    return call.update(before, after, "invoice.updated")


def delete_invoice(call: Call) -> Object:
    account = call.account
    invoice = account.get("invoice", call.path["invoice"])
    if invoice["status"] != "draft" or invoice["parent"]:
        raise unexpected_state(
            "You can only delete draft invoices that are not of a subscription.",
            "invoice_not_editable",
        )
    for item in account.linked("invoiceitem", "invoice", invoice["id"]):
        account.put(item | {"invoice": None})
    stub = {"id": invoice["id"], "object": "invoice", "deleted": True}
    account.tables["invoice"].delete(invoice["id"], stub)
    call.emit("invoice.deleted", invoice)
    return stub


def finalize_invoice(call: Call) -> Object:
    before = call.account.get("invoice", call.path["invoice"])
    if "auto_advance" in call.params:
        before["auto_advance"] = call.params["auto_advance"]
    return finalize(call, before)


def send_invoice(call: Call) -> Object:
    """In test mode no mail leaves, but the event is there."""
    invoice = call.account.get("invoice", call.path["invoice"])
    if invoice["collection_method"] != "send_invoice":
        raise unexpected_state(
            "You can only manually send an invoice if its collection method is 'send_invoice'.",
            "invoice_not_editable",
        )
    if invoice["status"] == "draft":
        invoice = finalize(call, invoice)
    if invoice["status"] != "open":
        raise unexpected_state(
            f"You cannot send an invoice that is {invoice['status']}.", "invoice_not_editable"
        )
    call.emit("invoice.sent", invoice)
    return invoice


def pay_invoice(call: Call) -> Object:
    account, params = call.account, call.params
    invoice = account.get("invoice", call.path["invoice"])
    if invoice["status"] == "draft":
        invoice = finalize(call, invoice)
    if invoice["status"] == "paid":
        raise unexpected_state("Invoice is already paid", "invoice_already_paid")
    if invoice["status"] != "open":
        raise unexpected_state(
            f"This invoice is {invoice['status']}, so it cannot be paid.", "invoice_not_editable"
        )
    if params.get("paid_out_of_band"):
        return pay_outside(call, invoice)
    if given := params.get("payment_method"):
        method = resolve(call, given)["id"]
    else:
        method = method_for(call, invoice)
    if method is None:
        raise unexpected_state(
            "There is no `default_payment_method` set on this Customer or Invoice. Please set a "
            "default payment method or pass one.",
            "resource_missing",
        )
    intent = collect(call, invoice, method)
    if error := intent["last_payment_error"]:
        raise declined_error(intent, error)
    return account.get("invoice", invoice["id"])


def pay_outside(call: Call, before: Object) -> Object:
    """Paid by cash or bank transfer: the payment intent is given up."""
    _give_up_payment(call, before, "abandoned")
    due = before["amount_due"]
    after = before | {"amount_paid": due, "amount_paid_off_stripe": due}
    call.account.put(after)
    return mark_paid(call, after)


def void_invoice(call: Call) -> Object:
    before = call.account.get("invoice", call.path["invoice"])
    if before["status"] not in ("open", "uncollectible"):
        raise unexpected_state(
            f"You can only pass in open invoices. This invoice is {before['status']}.",
            "invoice_not_editable",
        )
    return void(call, before)


def void(call: Call, before: Object) -> Object:
    _give_up_payment(call, before, "void_invoice")
    return _end(call, before, "void", "voided_at", "invoice.voided")


def mark_uncollectible(call: Call) -> Object:
    before = call.account.get("invoice", call.path["invoice"])
    if before["status"] != "open":
        raise unexpected_state(
            f"You can only pass in open invoices. This invoice is {before['status']}.",
            "invoice_not_editable",
        )
    return _end(
        call, before, "uncollectible", "marked_uncollectible_at", "invoice.marked_uncollectible"
    )


def take_pending_items(account: Account, invoice: Object) -> None:
    """Move the customer's items that wait for an invoice onto this one."""
    lines = lines_of(account, invoice)
    waiting = account.linked("invoiceitem", "customer", invoice["customer"])
    for item in reversed(waiting):
        if item["invoice"] is None and item["currency"] == invoice["currency"]:
            item = account.put(item | {"invoice": invoice["id"]})
            lines.append(line_of(account, invoice, item))
    set_lines(account, invoice, lines)


def _apply(call: Call, invoice: Object) -> None:
    account, params = call.account, call.params
    assign(invoice, params, GIVEN)
    merge_metadata(invoice, params)
    if method := params.get("default_payment_method"):
        account.get("payment_method", method, "default_payment_method")
    if "days_until_due" in params:
        account.hidden[invoice["id"]]["days_until_due"] = params["days_until_due"]
    if identifier := params.get("subscription"):
        subscription = account.get("subscription", identifier, "subscription")
        invoice["parent"] = parent_of(subscription)


def parent_of(subscription: Object) -> Object:
    return {
        "quote_details": None,
        "subscription_details": {
            "metadata": subscription["metadata"],
            "subscription": subscription["id"],
            "subscription_proration_date": None,
        },
        "type": "subscription_details",
    }


def _check_due(params: Object, collection: str | None) -> None:
    dated = "days_until_due" in params or "due_date" in params
    if collection == "send_invoice" and not dated:
        raise Refused(
            400,
            "If invoice collection method is 'send_invoice', you must also specify a due_date "
            "or days_until_due.",
            code="parameter_missing",
            param="days_until_due",
        )
    if collection != "send_invoice" and dated:
        raise Refused(
            400,
            "You can only set a due date if the collection method is 'send_invoice'.",
            param="days_until_due" if "days_until_due" in params else "due_date",
        )


def _plan_finalization(call: Call, invoice: Object) -> None:
    """`auto_advance` finalizes a draft after an hour, and collects or sends it."""
    if invoice["auto_advance"]:
        moment = invoice["automatically_finalizes_at"] or call.account.now() + HOUR
        call.account.put(invoice | {"automatically_finalizes_at": moment})
        call.account.at(moment, lambda: advance(Call(call.account), invoice["id"]))


def advance(call: Call, identifier: str) -> None:
    invoice = call.account.find("invoice", identifier)
    if invoice is None or invoice["status"] != "draft" or not invoice["auto_advance"]:
        return
    if not call.account.hidden[identifier]["lines"]:
        return
    invoice = finalize(call, invoice)
    if invoice["status"] != "open":
        return
    if invoice["collection_method"] == "send_invoice":
        call.emit("invoice.sent", invoice)
    else:
        collect(call, invoice, method_for(call, invoice))


def _give_up_payment(call: Call, invoice: Object, reason: str) -> None:
    account = call.account
    payment = default_payment(account, invoice)
    if payment is None or payment["status"] != "open":
        return
    now = account.now()
    transitions = payment["status_transitions"] | {"canceled_at": now}
    account.put(payment | {"status": "canceled", "status_transitions": transitions})
    intent = account.get("payment_intent", payment["payment"]["payment_intent"])
    canceled = intent | {
        "status": "canceled",
        "canceled_at": now,
        "cancellation_reason": reason,
        "next_action": None,
    }
    call.update(intent, canceled, "payment_intent.canceled")


def _end(call: Call, before: Object, status: str, moment: str, event: str) -> Object:
    after = before | {
        "status": status,
        "auto_advance": False,
        "next_payment_attempt": None,
        "status_transitions": before["status_transitions"] | {moment: call.account.now()},
    }
    return call.update(before, after, "invoice.updated", event)
