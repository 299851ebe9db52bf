"""Refunds. https://docs.stripe.com/api/refunds"""

from __future__ import annotations

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.balance import new_transaction, post
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused, required, unexpected_state
from deployments.sandbox.stripe.fields import merge_metadata, no_more_than_one
from deployments.sandbox.stripe.tables import Object, copied

UPDATED = ("refund.updated", "charge.refund.updated")


def new_refund(account: Account, charge: Object, amount: int) -> Object:
    same = ("currency", "customer", "payment_intent", "payment_method")
    return account.blank(
        "refund", amount=amount, charge=charge["id"], **{name: charge[name] for name in same}
    )


def create_refund(call: Call) -> Object:
    charge = _charge(call)
    amount = call.params.get("amount", charge["amount"] - charge["amount_refunded"])
    _check(charge, amount)
    refund = new_refund(call.account, charge, amount)
    refund["reason"] = call.params.get("reason")
    merge_metadata(refund, call.params)
    if charge["payment_method_details"]["type"] != "card":
        refund.update(
            status="pending",
            pending_reason="processing",
            destination_details={"type": "us_bank_transfer", "us_bank_transfer": {}},
        )
    transaction = new_transaction(
        call.account,
        "refund",
        -amount,
        refund["currency"],
        refund["id"],
        description=f"REFUND FOR CHARGE ({charge['description'] or charge['id']})",
    )
    refund["balance_transaction"] = post(call.account, transaction)
    call.account.put(_with_refunded(charge, charge["amount_refunded"] + amount))
    call.create(refund, "refund.created")
    call.emit("charge.refunded", call.account.get("charge", charge["id"]))
    return refund


def update_refund(call: Call) -> Object:
    before = call.account.get("refund", call.path["refund"])
    after = copied(before)
    merge_metadata(after, call.params)
    return call.update(before, after, *UPDATED)


def cancel_refund(call: Call) -> Object:
    before = call.account.get("refund", call.path["refund"])
    if before["status"] not in ("pending", "requires_action"):
        raise unexpected_state(
            f"This refund cannot be canceled because its status is {before['status']}.",
            "refund_unexpected_state",
        )
    return _undo(call, before, "canceled", *UPDATED)


def fail_refund(call: Call, identifier: str, reason: str = "expired_or_canceled_card") -> Object:
    """The bank sends the money back, maybe days later."""
    before = call.account.get("refund", identifier)
    if before["status"] not in ("pending", "succeeded"):
        return before
    return _undo(call, before | {"failure_reason": reason}, "failed", *UPDATED, "refund.failed")


def settle_refund(call: Call, identifier: str) -> Object:
    before = call.account.get("refund", identifier)
    after = before | {"status": "succeeded", "pending_reason": None}
    return call.update(before, after, *UPDATED)


def _undo(call: Call, before: Object, status: str, *events: str) -> Object:
    account = call.account
    back = new_transaction(
        account,
        "refund_failure",
        before["amount"],
        before["currency"],
        before["id"],
        description="REFUND FAILURE",
    )
    after = before | {"status": status, "failure_balance_transaction": post(account, back)}
    call.update(account.get("refund", before["id"]), after, *events)
    charge = account.get("charge", before["charge"])
    restored = _with_refunded(charge, charge["amount_refunded"] - before["amount"])
    call.update(charge, restored, "charge.updated")
    return after


def _charge(call: Call) -> Object:
    params = call.params
    no_more_than_one(params, "charge", "payment_intent")
    if identifier := params.get("charge"):
        return call.account.get("charge", identifier, "charge")
    if identifier := params.get("payment_intent"):
        intent = call.account.get("payment_intent", identifier, "payment_intent")
        if intent["status"] != "succeeded" and intent["latest_charge"] is None:
            raise unexpected_state(
                f"This PaymentIntent ({identifier}) does not have a successful charge to refund.",
                "payment_intent_unexpected_state",
                param="payment_intent",
            )
        return call.account.get("charge", intent["latest_charge"])
    raise required("payment_intent")


def _check(charge: Object, amount: int) -> None:
    left = charge["amount"] - charge["amount_refunded"]
    if charge["status"] != "succeeded":
        raise unexpected_state(
            "This charge did not succeed, so it cannot be refunded.", "charge_not_refundable"
        )
    if left == 0:
        raise unexpected_state(
            f"Charge {charge['id']} has already been refunded.", "charge_already_refunded"
        )
    if charge["disputed"]:
        raise unexpected_state(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            "charge_disputed",
        )
    if amount < 1:
        raise Refused(
            400, "Invalid positive integer", code="parameter_invalid_integer", param="amount"
        )
    if amount > left:
        raise Refused(
            400,
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            param="amount",
        )


def _with_refunded(charge: Object, amount: int) -> Object:
    return charge | {"amount_refunded": amount, "refunded": amount >= charge["amount"]}
