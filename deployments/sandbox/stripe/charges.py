"""Charges: one attempt each to take money. https://docs.stripe.com/api/charges"""

from __future__ import annotations

from typing import Any

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.balance import fee_of, new_transaction, post
from deployments.sandbox.stripe.tables import Object

DECLINES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}


# What a charge shows of the payment method.
KEPT = {
    "card": (
        "brand",
        "checks",
        "country",
        "exp_month",
        "exp_year",
        "fingerprint",
        "funding",
        "last4",
    ),
    "us_bank_account": (
        "account_holder_type",
        "account_type",
        "bank_name",
        "fingerprint",
        "last4",
        "routing_number",
    ),
}
COPIED = (
    "amount",
    "currency",
    "customer",
    "description",
    "metadata",
    "receipt_email",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)


def new_charge(account: Account, intent: Object, method: Object) -> Object:
    """A charge of the whole intent that has succeeded and is captured."""
    charge = account.blank("charge", **{name: intent[name] for name in COPIED})
    charge.update(
        amount_captured=intent["amount"],
        billing_details=method["billing_details"],
        outcome=outcome("authorized", "Payment complete."),
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details=_details(method),
        receipt_url=f"https://pay.stripe.com/receipts/payment/{charge['id']}",
    )
    return charge


def outcome(kind: str, message: str, reason: str | None = None) -> Object:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": (
            "approved_by_network" if kind == "authorized" else "declined_by_network"
        ),
        "reason": reason,
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": message,
        "type": kind,
    }


def settled(account: Account, charge: Object, amount: int) -> Object:
    """The charge with its money on the balance."""
    kind = "charge" if charge["payment_method_details"]["type"] == "card" else "payment"
    transaction = new_transaction(
        account,
        kind,
        amount,
        charge["currency"],
        charge["id"],
        fee_of(amount),
        charge["description"],
    )
    return charge | {
        "balance_transaction": post(account, transaction),
        "captured": True,
        "amount_captured": amount,
        "paid": True,
        "status": "succeeded",
    }


def declined(charge: Object, code: str, decline_code: str | None) -> Object:
    message = decline_message(code, decline_code)
    return charge | {
        "amount_captured": 0,
        "captured": False,
        "failure_code": code,
        "failure_message": message,
        "outcome": outcome("issuer_declined", message, decline_code or code),
        "paid": False,
        "receipt_url": None,
        "status": "failed",
    }


def decline_message(code: str, decline_code: str | None) -> str:
    return DECLINES.get(decline_code or "") or DECLINES.get(code) or "Your card was declined."


def _details(method: Object) -> dict[str, Any]:
    kind = method["type"]
    details = {name: method[kind][name] for name in KEPT.get(kind, ())}
    if kind == "card":
        details |= {
            "installments": None,
            "mandate": None,
            "network": details["brand"],
            "network_transaction_id": "726108151410610",
            "three_d_secure": None,
            "wallet": None,
        }
    return {"type": kind, kind: details}
