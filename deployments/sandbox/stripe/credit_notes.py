"""Credit notes: less to pay on a finalized invoice. https://docs.stripe.com/api/credit_notes"""

from __future__ import annotations

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.billing import default_payment, mark_paid
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused, required, unexpected_state
from deployments.sandbox.stripe.fields import merge_metadata
from deployments.sandbox.stripe.lists import list_of
from deployments.sandbox.stripe.refunds import create_refund
from deployments.sandbox.stripe.tables import Object


def create_credit_note(call: Call) -> Object:
    account, params = call.account, call.params
    invoice = account.get("invoice", params["invoice"], "invoice")
    if invoice["status"] not in ("open", "paid", "uncollectible"):
        raise unexpected_state(
            f"Credit notes are for finalized invoices; this one is {invoice['status']}.",
            "invoice_not_editable",
        )
    note = _new_note(call, invoice, _amount(params))
    left = invoice["total"] - invoice["pre_payment_credit_notes_amount"]
    left -= invoice["post_payment_credit_notes_amount"]
    if not 0 < note["amount"] <= left:
        raise Refused(400, f"The credit has to be positive and at most {left}.", param="amount")
    if invoice["status"] == "paid":
        note["refunds"] = _refund(call, invoice, params.get("refund_amount", 0))
    call.create(note, "credit_note.created")
    _lower(call, invoice, note)
    return note


def _amount(params: Object) -> int:
    if "amount" in params:
        return params["amount"]
    amounts = [
        each.get("amount") or each.get("unit_amount", 0) * each.get("quantity", 1)
        for each in params.get("lines", [])
    ]
    if not amounts:
        raise required("amount")
    return sum(amounts)


def _refund(call: Call, invoice: Object, amount: int) -> list[Object]:
    payment = default_payment(call.account, invoice)
    if not amount or payment is None:
        return []
    given = {"payment_intent": payment["payment"]["payment_intent"], "amount": amount}
    refund = create_refund(Call(call.account, given, {}, call.request_id, call.idempotency_key))
    return [{"amount_refunded": amount, "refund": refund["id"], "type": "refund"}]


def _lower(call: Call, before: Object, note: Object) -> None:
    if note["type"] == "post_payment":
        sum_after = before["post_payment_credit_notes_amount"] + note["amount"]
        after = before | {"post_payment_credit_notes_amount": sum_after}
        call.update(before, after, "invoice.updated")
        return
    due = before["amount_due"] - note["amount"]
    after = before | {
        "pre_payment_credit_notes_amount": before["pre_payment_credit_notes_amount"]
        + note["amount"],
        "amount_due": due,
        "amount_remaining": due - before["amount_paid"],
    }
    call.update(before, after, "invoice.updated")
    if payment := default_payment(call.account, after):
        intent = call.account.get("payment_intent", payment["payment"]["payment_intent"])
        call.account.put(intent | {"amount": due})
        call.account.put(payment | {"amount_requested": due})
    if due == 0:
        mark_paid(call, after)


def _new_note(call: Call, invoice: Object, amount: int) -> Object:
    account, params = call.account, call.params
    paid = invoice["status"] == "paid"
    sums = ("amount", "subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax")
    note = account.blank("credit_note", **dict.fromkeys(sums, amount))
    note.update(
        currency=invoice["currency"],
        customer=invoice["customer"],
        effective_at=params.get("effective_at", account.now()),
        invoice=invoice["id"],
        lines=_lines(account, note["id"], amount, params.get("memo")),
        memo=params.get("memo"),
        number=f"{invoice['number']}-CN-{_count(account, invoice) + 1:02d}",
        out_of_band_amount=params.get("out_of_band_amount"),
        pdf=f"https://pay.stripe.com/credit_notes/{account.id}/{note['id']}/pdf",
        post_payment_amount=amount if paid else 0,
        pre_payment_amount=0 if paid else amount,
        reason=params.get("reason"),
        type="post_payment" if paid else "pre_payment",
    )
    merge_metadata(note, params)
    return note


def _count(account: Account, invoice: Object) -> int:
    return len(account.linked("credit_note", "invoice", invoice["id"]))


def _lines(account: Account, note: str, amount: int, memo: str | None) -> Object:
    line = account.blank(
        "credit_note_line_item",
        amount=amount,
        description=memo,
        unit_amount=amount,
        unit_amount_decimal=str(amount),
    )
    return list_of([line], f"/v1/credit_notes/{note}/lines")
