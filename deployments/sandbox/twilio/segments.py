"""How many segments a text takes on the air.

https://www.twilio.com/docs/glossary/what-sms-character-limit
"""

from __future__ import annotations

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")
GSM7 = BASIC | EXTENSION
SMART = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201b": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\u2026": "...",
        "\u00a0": " ",
        "\u2028": "\n",
        "\t": " ",
        "`": "'",
        "\u2022": "-",
    }
)


def smart_encoded(text: str) -> str:
    """With GSM-7 characters in place of those that only look better."""
    return text.translate(SMART)


def segments_of(text: str) -> int:
    if text.isascii() and len(text) <= 160 and BASIC.issuperset(text):
        return 1
    if GSM7.issuperset(text):
        return _parts([2 if each in EXTENSION else 1 for each in text], 160, 153)
    return _parts([2 if ord(each) > 0xFFFF else 1 for each in text], 70, 67)


def _parts(costs: list[int], alone: int, together: int) -> int:
    """A character that costs two units is never torn apart."""
    if sum(costs) <= alone:
        return 1
    parts, used = 1, 0
    for cost in costs:
        if used + cost > together:
            parts, used = parts + 1, 0
        used += cost
    return parts
