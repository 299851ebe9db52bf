"""Refusals, in Stripe's error envelope.

https://docs.stripe.com/api/errors
"""

from __future__ import annotations

from typing import Any

INVALID = "invalid_request_error"


class Refused(Exception):
    """An answer other than 200. Raised before the endpoint ran, it is not kept for replays."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, Any] = {"type": kind, "message": message}
        if code:
            self.error["code"] = code
            self.error["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
        if param:
            self.error["param"] = param
        self.error.update(more)


def missing(what: str, identifier: str, param: str = "id", status: int = 404) -> Refused:
    return Refused(status, f"No such {what}: '{identifier}'", code="resource_missing", param=param)


def unexpected_state(message: str, code: str, **more: Any) -> Refused:
    return Refused(400, message, code=code, **more)


def required(param: str) -> Refused:
    return Refused(400, f"Missing required param: {param}.", code="parameter_missing", param=param)
