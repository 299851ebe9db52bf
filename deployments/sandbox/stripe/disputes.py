"""Disputes: the cardholder's bank takes the money back. https://docs.stripe.com/api/disputes"""

from __future__ import annotations

from deployments.sandbox.stripe.balance import DAY, new_transaction, post
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import unexpected_state
from deployments.sandbox.stripe.tables import Object

FEE = 1_500


def open_dispute(call: Call, charge_id: str, reason: str = "fraudulent") -> Object:
    account = call.account
    charge = account.get("charge", charge_id)
    if charge["disputed"] or charge["status"] != "succeeded":
        raise unexpected_state("This charge cannot be disputed.", "charge_disputed")
    dispute = account.blank(
        "dispute",
        amount=charge["amount"] - charge["amount_refunded"],
        charge=charge["id"],
        currency=charge["currency"],
        payment_intent=charge["payment_intent"],
        reason=reason,
    )
    dispute["evidence_details"]["due_by"] = account.now() + 9 * DAY
    _move(call, dispute, -dispute["amount"], FEE, "Chargeback withdrawal for " + charge["id"])
    call.update(charge, charge | {"disputed": True}, "charge.updated")
    call.create(dispute, "charge.dispute.created")
    call.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def close_dispute(call: Call, identifier: str, *, won: bool = False) -> Object:
    before = call.account.get("dispute", identifier)
    if before["status"] in ("won", "lost"):
        raise unexpected_state("This dispute is already closed.", "dispute_closed")
    after = before | {
        "status": "won" if won else "lost",
        "balance_transactions": list(before["balance_transactions"]),
    }
    if won:
        _move(call, after, after["amount"], 0, "Chargeback reversal for " + after["charge"])
        charge = call.account.get("charge", after["charge"])
        call.update(charge, charge | {"disputed": False}, "charge.updated")
    call.update(before, after, "charge.dispute.closed")
    if won:
        call.emit("charge.dispute.funds_reinstated", after)
    return after


def _move(call: Call, dispute: Object, amount: int, fee: int, why: str) -> None:
    transaction = new_transaction(
        call.account, "adjustment", amount, dispute["currency"], dispute["id"], fee, why
    )
    post(call.account, transaction)
    dispute["balance_transactions"].append(transaction)
