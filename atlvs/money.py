"""Money as integers of the currency's minor unit, and what a minor unit is.

https://docs.stripe.com/currencies#zero-decimal
"""

from decimal import Decimal

ZERO_DECIMAL = frozenset(
    [
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    ]
)
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])


def decimals(currency: str) -> int:
    """Digits after the decimal point in the amounts that Stripe exchanges for a currency."""
    code = currency.lower()
    if code in ZERO_DECIMAL:
        return 0
    return 3 if code in THREE_DECIMAL else 2


def major(amount_minor: int, currency: str) -> Decimal:
    """The amount as people write it: `major(1250, "usd") == Decimal("12.50")`."""
    return Decimal(amount_minor).scaleb(-decimals(currency))


def readable(amount_minor: int, currency: str) -> str:
    """`12.50 USD`."""
    return f"{major(amount_minor, currency):,.{decimals(currency)}f} {currency.upper()}"
