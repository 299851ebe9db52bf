"""Phone numbers as E.164, whatever people typed."""

import re

import phonenumbers

E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def e164(text: str, region: str) -> str | None:
    """The number as +E.164; None when it cannot be one. `region` is for numbers without a country code.

    One number has one form, so that whoever refuses is recognized: a zero that is dialled only within
    the country goes. What looks like +E.164 and fits no known plan is taken as it is: whether anybody
    answers there, the network knows.
    """
    as_it_is = text if E164.fullmatch(text) else None
    if "\0" in text or len(text) > 60:
        return None
    try:
        number = phonenumbers.parse(text, region.upper())
    except phonenumbers.NumberParseException:
        return as_it_is
    if number.extension or not phonenumbers.is_possible_number(number):
        return as_it_is
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
