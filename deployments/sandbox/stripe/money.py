"""Currencies and the least that can be charged. https://docs.stripe.com/currencies"""

from __future__ import annotations

from deployments.sandbox.stripe.errors import Refused

# fmt: off
CURRENCIES = frozenset([
    "usd", "aed", "afn", "all", "amd", "ang", "aoa", "ars", "aud", "awg", "azn", "bam", "bbd",
    "bdt", "bgn", "bhd", "bif", "bmd", "bnd", "bob", "brl", "bsd", "bwp", "byn", "bzd", "cad",
    "cdf", "chf", "clp", "cny", "cop", "crc", "cve", "czk", "djf", "dkk", "dop", "dzd", "egp",
    "etb", "eur", "fjd", "fkp", "gbp", "gel", "gip", "gmd", "gnf", "gtq", "gyd", "hkd", "hnl",
    "htg", "huf", "idr", "ils", "inr", "isk", "jmd", "jod", "jpy", "kes", "kgs", "khr", "kmf",
    "krw", "kwd", "kyd", "kzt", "lak", "lbp", "lkr", "lrd", "lsl", "mad", "mdl", "mga", "mkd",
    "mmk", "mnt", "mop", "mur", "mvr", "mwk", "mxn", "myr", "mzn", "nad", "ngn", "nio", "nok",
    "npr", "nzd", "omr", "pab", "pen", "pgk", "php", "pkr", "pln", "pyg", "qar", "ron", "rsd",
    "rub", "rwf", "sar", "sbd", "scr", "sek", "sgd", "shp", "sle", "sos", "srd", "std", "szl",
    "thb", "tjs", "tnd", "top", "try", "ttd", "twd", "tzs", "uah", "ugx", "uyu", "uzs", "vnd",
    "vuv", "wst", "xaf", "xcd", "xcg", "xof", "xpf", "yer", "zar", "zmw",
])
# fmt: on
LEAST = {
    "usd": 50,
    "aed": 200,
    "aud": 50,
    "brl": 50,
    "cad": 50,
    "chf": 50,
    "czk": 1500,
    "dkk": 250,
    "eur": 50,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
    "inr": 50,
    "jpy": 50,
    "mxn": 1000,
    "myr": 200,
    "nok": 300,
    "nzd": 50,
    "pln": 200,
    "ron": 200,
    "sek": 300,
    "sgd": 50,
    "thb": 1000,
}  # fmt: skip
MOST = 99_999_999
THREE_DECIMALS = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
WHOLE_UNITS = frozenset({"isk", "ugx"})


def check_currency(given: str) -> str:
    currency = given.lower()
    if currency not in CURRENCIES:
        raise Refused(
            400,
            f"Invalid currency: {given}. Stripe currently supports these "
            f"currencies: {', '.join(sorted(CURRENCIES))}",
            param="currency",
        )
    return currency


def check_amount(amount: int, currency: str, param: str = "amount") -> int:
    if amount < 1:
        raise Refused(
            400,
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param=param,
        )
    if amount < LEAST.get(currency, 1):
        raise Refused(
            400,
            f"Amount must be at least {LEAST[currency]} {currency} in its smallest unit.",
            code="amount_too_small",
            param=param,
        )
    if amount > MOST and currency not in ("idr", "vnd", "krw", "cop", "huf", "inr"):
        raise Refused(
            400, "Amount must be no more than 999,999.99.", code="amount_too_large", param=param
        )
    _check_last_digits(amount, currency, param)
    return amount


def _check_last_digits(amount: int, currency: str, param: str) -> None:
    step = 10 if currency in THREE_DECIMALS else 100 if currency in WHOLE_UNITS else 1
    if amount % step:
        raise Refused(
            400,
            f"Invalid {currency} amount: it must be divisible by {step}.",
            code="invalid_charge_amount",
            param=param,
        )
