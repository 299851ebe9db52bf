"""Disputes: the cardholder's bank takes the money back. https://docs.stripe.com/api/disputes"""

from __future__ import annotations

from deployments.sandbox.stripe.balance import DAY, new_transaction, post
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import unexpected_state
from deployments.sandbox.stripe.tables import Object

FEE = 1_500
EVIDENCE = """access_activity_log billing_address cancellation_policy
    cancellation_policy_disclosure cancellation_rebuttal customer_communication
    customer_email_address customer_name customer_purchase_ip customer_signature
    duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id
    product_description receipt refund_policy refund_policy_disclosure refund_refusal_explanation
    service_date service_documentation shipping_address shipping_carrier shipping_date
    shipping_documentation shipping_tracking_number uncategorized_file uncategorized_text""".split()


def open_dispute(call: Call, charge_id: str, reason: str = "fraudulent") -> Object:
    account = call.account
    charge = account.get("charge", charge_id)
    if charge["disputed"] or charge["status"] != "succeeded":
        raise unexpected_state("This charge cannot be disputed.", "charge_disputed")
    now = account.now()
    dispute: Object = {
        "id": account.new_id("dispute"),
        "object": "dispute",
        "amount": charge["amount"] - charge["amount_refunded"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": now + 9 * DAY,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "livemode": account.livemode,
        "metadata": {},
        "network_reason_code": "10.4",
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": "visa",
                "case_type": "chargeback",
                "network": "visa",
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": reason,
        "status": "needs_response",
    }
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
