"""What mail/send demands of its personalizations.

https://www.twilio.com/docs/sendgrid/for-developers/sending-email/personalizations
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from deployments.sandbox.sendgrid.errors import Error, mail_error

Object = dict[str, Any]
ADDRESS = re.compile(
    r"^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])$",
    re.IGNORECASE | re.ASCII,
)
MOST = 1_000
MOST_BYTES = 10_000
TO = ("to", "cc", "bcc")
EXAMPLE = (
    'e.g. {"email": "example@example.com"} or {"email": "example@example.com", '
    '"name": "Example Recipient"}'
)


def check_personalizations(body: Object, errors: list[Error]) -> None:
    given = body.get("personalizations")
    if not given:
        errors.append(
            mail_error(
                "The personalizations field is required and must have at least one "
                "personalization.",
                "personalizations",
                "-Personalizations-Errors",
            )
        )
        return
    if len(given) > MOST:
        errors.append(
            mail_error(
                "The personalization block is limited to 1000 personalizations per API request. "
                f"You have provided {len(given)} personalizations. Please consider splitting this "
                "into multiple requests and resending your request.",
                "personalizations",
                "message.personalizations",
            )
        )
    seen: set[str] = set()
    for number, personalization in enumerate(given):
        _check_addresses(personalization, number, seen, errors)
        _check_texts(body, personalization, number, errors)
    _check_total(given, errors)


def is_address(email: Any) -> bool:
    return isinstance(email, str) and len(email) <= 320 and ADDRESS.match(email) is not None


def _check_addresses(
    personalization: Object, number: int, seen: set[str], errors: list[Error]
) -> None:
    at = f"personalizations.{number}"
    if not personalization.get("to"):
        errors.append(
            mail_error(
                "The to array is required for all personalization objects, and must have at "
                "least one email object with a valid email address.",
                f"{at}.to",
                "message.personalizations.to",
            )
        )
    here: set[str] = set()
    for field in TO:
        for place, recipient in enumerate(personalization.get(field, ())):
            email = recipient.get("email")
            if not is_address(email):
                errors.append(_not_an_address(f"{at}.{field}.{place}.email", field))
                continue
            if (lowered := email.lower()) in here:
                errors.append(_twice_in_block(email, at, field))
            elif lowered in seen:
                errors.append(_twice_in_array(email))
            here.add(lowered)
    seen |= here


def _not_an_address(at: str, field: str) -> Error:
    return mail_error("Does not contain a valid address.", at, f"message.personalizations.{field}")


def _twice_in_block(email: str, at: str, field: str) -> Error:
    return mail_error(
        "Each email address in the personalization block should be unique between to, cc, and "
        f"bcc. We found the first duplicate instance of [{email}] in the {at}.{field} field.",
        at,
        "message.recipient-errors",
    )


def _twice_in_array(email: str) -> Error:
    return mail_error(
        "Each unique email address in the personalizations array should only be included once. "
        f"You have included [{email}] more than once.",
        "personalizations",
        "message.personalizations",
    )


def _check_texts(body: Object, personalization: Object, number: int, errors: list[Error]) -> None:
    at = f"personalizations.{number}"
    if personalization.get("subject") == "":
        errors.append(
            mail_error(
                "The subject of your email must be a string at least one character in length.",
                f"{at}.subject",
                "message.personalizations.subject",
            )
        )
    own = personalization.get("custom_args")
    shared = body.get("custom_args")
    if (own or shared) and _size({**(shared or {}), **(own or {})}) > MOST_BYTES:
        errors.append(
            mail_error(
                "The combined size of both global and personalization custom arguments may not "
                "exceed 10,000 bytes per personalization.",
                f"{at}.custom_args",
                "message.personalizations.custom_args",
            )
        )
    substitutions = personalization.get("substitutions")
    if substitutions and (len(substitutions) > 10_000 or _size(substitutions) > MOST_BYTES):
        errors.append(
            mail_error(
                "You are limited to 10,000 substitutions.",
                f"{at}.substitutions",
                "message.personalizations.substitutions",
            )
        )


def _size(texts: dict[str, str]) -> int:
    return len(orjson.dumps(texts))


def _check_total(given: list[Object], errors: list[Error]) -> None:
    if sum(len(each.get(field, ())) for each in given for field in TO) > MOST:
        errors.append(
            mail_error(
                "There is a limit of 1000 total recipients (to + cc + bcc) per request.",
                "personalizations",
                "message.personalizations",
            )
        )
