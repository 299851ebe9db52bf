"""How many segments a text takes on the air: what Twilio bills, and what a sender's pace counts.

https://www.twilio.com/docs/glossary/what-sms-character-limit
"""

import re

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = "\f^{}\\[~]|€"  # an escape before each of them
GSM7 = re.compile(f"[{re.escape(BASIC + EXTENDED)}]*")
ESCAPED = re.compile(f"[{re.escape(EXTENDED)}]")


def is_gsm7(text: str) -> bool:
    """Whether it needs seven bits a character. One other character makes all of them sixteen."""
    return GSM7.fullmatch(text) is not None


def segments(text: str) -> int:
    """Segments of a text, with smart encoding off."""
    if is_gsm7(text):
        return _parts(text, 160, 153, len(text) + len(ESCAPED.findall(text)), EXTENDED)
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    return _parts(text, 70, 67, units, "")


def _parts(text: str, alone: int, together: int, units: int, doubled: str) -> int:
    """A character of two units is never torn apart, which can leave one unit of a part empty."""
    if units <= alone:
        return 1
    if units == len(text):
        return -(-units // together)
    parts, used = 1, 0
    for each in text:
        cost = 2 if each in doubled or each > "\uffff" else 1
        if used + cost > together:
            parts, used = parts + 1, 0
        used += cost
    return parts
