"""Phone numbers and other addresses, by their form."""

from __future__ import annotations

import re

E164 = re.compile(r"\+[1-9]\d{6,14}")
# North America: area codes and exchanges start with 2 to 9. Test numbers are +1500555000x.
NANP = re.compile(r"\+1(?:[2-9]\d{2}[2-9]\d{6}|5005550\d{3})")
SHORT_CODE = re.compile(r"\d{5,6}")
ALPHANUMERIC = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 &+_-]{1,11}")
CHANNEL = re.compile(r"[a-z]+:")
TOLL_FREE = re.compile(r"\+1(?:800|833|844|855|866|877|888)")
# Twilio blanks the end of the number in its own refusals.
KEPT = 4


def is_phone(text: str) -> bool:
    return (NANP if text.startswith("+1") else E164).fullmatch(text) is not None


def masked(text: str) -> str:
    return text[:-KEPT] + "XXXX" if len(text) > KEPT else text


def kind_of(address: str) -> str:
    if SHORT_CODE.fullmatch(address):
        return "short_code"
    if TOLL_FREE.match(address):
        return "toll_free"
    return "long_code" if address.startswith("+") else "alphanumeric"


def formatted(number: str) -> str:
    """+14155552671 as (415) 555-2671; others as they are."""
    if not NANP.fullmatch(number):
        return number
    return f"({number[2:5]}) {number[5:8]}-{number[8:]}"
