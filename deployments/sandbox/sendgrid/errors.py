"""Refusals, in SendGrid's envelope: {"errors": [{"message", "field", "help"}]}.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors
"""

from __future__ import annotations

from typing import Any

HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html#"
Error = dict[str, Any]


class Refused(Exception):
    def __init__(self, status: int, *errors: Error) -> None:
        super().__init__(errors[0]["message"])
        self.status = status
        self.errors = list(errors)


def refusal(status: int, message: str, field: str | None = None) -> Refused:
    """As most endpoints say it: without a link."""
    return Refused(status, {"field": field, "message": message})


def mail_error(message: str, field: str | None = None, anchor: str | None = None) -> Error:
    """As mail/send says it: with a link into the table of errors."""
    return {"message": message, "field": field, "help": HELP + anchor if anchor else None}


def bad_request() -> Refused:
    return Refused(400, mail_error("Bad Request"))


def not_found(message: str = "not found") -> Refused:
    return refusal(404, message)


def forbidden() -> Refused:
    return refusal(403, "access forbidden")


FAILURES = {
    400: "invalid request",
    401: "authorization required",
    403: "access forbidden",
    404: "not found",
    405: "method not allowed",
    413: "content too large",
    429: "too many requests",
    500: "internal server error",
    503: "service unavailable",
    504: "gateway timeout",
}
