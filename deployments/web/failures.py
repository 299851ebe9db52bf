"""Errors as answers: `{"error": {"code", "message", "field"?}}` with the fitting status."""

import logging
import math
import re
import traceback
from collections.abc import Mapping
from uuid import uuid4

import orjson

from atlvs.errors import (
    IntegrationError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Unauthorized,
    Unavailable,
)

logger = logging.getLogger(__name__)
SECRETS = re.compile(
    r"(?i)\b(?:sk|rk|whsec|atlvs|atlvssig)_\w+|\b(?:bearer|basic) \S+|\bxox[a-z.]+-[\w-]+|\bSG\.[\w.-]+"
    r"|hooks\.slack\.com/\S+"
)
LATER = 5.0  # seconds, where an error does not say how long to wait
STATUS_OF = {  # other refusals: 422
    "resource_missing": 404,
    "idempotency_mismatch": 409,
    "key_reused": 409,
}


class Failure(Exception):
    """A request that ends with an error answer."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The envelope."""
        told = {"code": self.code, "message": self.message, "field": self.field}
        return orjson.dumps({"error": {name: value for name, value in told.items() if value}})


def not_found(message: str) -> Failure:
    """There is no such thing, or it is not yours."""
    return Failure(404, "not_found", message)


def later(message: str, seconds: float | None, code: str = "unavailable") -> Failure:
    """The same request may work after a while."""
    wait = max(1, math.ceil(LATER if seconds is None else seconds))
    return Failure(503, code, message, headers={"retry-after": str(wait)})


def failure_of(error: IntegrationError | Misconfigured) -> Failure:
    """What the caller of a service is told."""
    match error:
        case Rejected():
            status = STATUS_OF.get(error.code or "", 422)
            return Failure(status, error.code or "rejected", error.message, error.field)
        case Unauthorized():
            text = f"{error.message} A person must reconnect {error.provider}."
            return Failure(502, "provider_unauthorized", text)
        case OutcomeUnknown():
            text = f"{error.message} It may have happened: ask again with the same Idempotency-Key."
            return Failure(504, "outcome_unknown", text)
        case Unavailable():
            return later(error.message, error.retry_after, error.code or "unavailable")
        case _:
            return Failure(503, "not_configured", str(error), headers={"retry-after": "60"})


def unexpected(error: BaseException, doing: str) -> Failure:
    """A fault of ours: told by an id only, the rest is in the log."""
    fault = uuid4().hex[:12]
    told = SECRETS.sub("(secret)", "".join(traceback.format_exception(error)))
    logger.error("%s failed (%s)\n%s", doing, fault, told)
    return Failure(500, "internal", f"Something failed here; it is logged as {fault}.")
