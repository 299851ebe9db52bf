"""Balance, its transactions, and payouts. https://docs.stripe.com/api/balance_transactions"""

from __future__ import annotations

from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.tables import Object

DAY = 86_400
SETTLES_AFTER = 2 * DAY
CATEGORY = {
    "charge": "charge",
    "payment": "charge",
    "refund": "refund",
    "refund_failure": "refund_failure",
    "adjustment": "dispute",
    "payout": "payout",
}


def fee_of(amount: int) -> int:
    return round(amount * 0.029) + 30


def new_transaction(
    account: Account,
    kind: str,
    amount: int,
    currency: str,
    source: str,
    fee: int = 0,
    description: str | None = None,
) -> Object:
    fees = {"amount": fee, "application": None, "currency": currency, "type": "stripe_fee"}
    return account.blank(
        "balance_transaction",
        amount=amount,
        available_on=account.now() + SETTLES_AFTER,
        currency=currency,
        description=description,
        fee=fee,
        fee_details=[fees | {"description": "Stripe processing fees"}] if fee else [],
        net=amount - fee,
        reporting_category=CATEGORY[kind],
        source=source,
        type=kind,
    )


def post(account: Account, transaction: Object) -> str:
    """Enter a transaction; it becomes available when the clock says so."""
    account.put(transaction)
    book(account, transaction)
    if transaction["status"] == "pending":
        identifier = transaction["id"]
        account.at(transaction["available_on"], lambda: _settle(account, identifier))
    return transaction["id"]


def book(account: Account, transaction: Object) -> None:
    funds = account.funds.setdefault(transaction["currency"], {"available": 0, "pending": 0})
    funds[transaction["status"]] += transaction["net"]


def _settle(account: Account, identifier: str) -> None:
    transaction = account.get("balance_transaction", identifier)
    funds = account.funds[transaction["currency"]]
    funds["pending"] -= transaction["net"]
    funds["available"] += transaction["net"]
    account.put(transaction | {"status": "available"})


def retrieve_balance(call: Call) -> Object:
    funds = call.account.funds or {"usd": {"available": 0, "pending": 0}}
    return {
        "object": "balance",
        "livemode": call.account.livemode,
        **{
            part: [
                {"amount": sums[part], "currency": currency, "source_types": {"card": sums[part]}}
                for currency, sums in sorted(funds.items())
            ]
            for part in ("available", "pending")
        },
    }


def pay_out(call: Call, amount: int, currency: str = "usd") -> Object:
    """Send money to the bank account. It arrives when the clock has moved two days."""
    account = call.account
    payout = account.blank(
        "payout",
        amount=amount,
        arrival_date=account.now() + 2 * DAY,
        currency=currency,
        destination="ba_1" + account.ids.word(23),
    )
    transaction = new_transaction(
        account, "payout", -amount, currency, payout["id"], description="STRIPE PAYOUT"
    )
    payout["balance_transaction"] = post(
        account, transaction | {"status": "available", "available_on": payout["arrival_date"]}
    )
    call.create(payout, "payout.created")
    account.at(payout["arrival_date"], lambda: arrive(Call(account), payout["id"]))
    return payout


def arrive(call: Call, identifier: str) -> Object:
    before = call.account.get("payout", identifier)
    if before["status"] != "in_transit":
        return before
    changes = {"status": "paid", "reconciliation_status": "completed"}
    return call.update(before, before | changes, "payout.updated", "payout.paid")


def fail_payout(call: Call, identifier: str) -> Object:
    before = call.account.get("payout", identifier)
    after = before | {
        "status": "failed",
        "failure_code": "account_closed",
        "failure_message": "The bank account has been closed.",
    }
    back = new_transaction(call.account, "payout", before["amount"], before["currency"], identifier)
    after["failure_balance_transaction"] = post(call.account, back)
    return call.update(before, after, "payout.updated", "payout.failed")
