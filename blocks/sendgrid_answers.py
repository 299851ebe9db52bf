"""What SendGrid's answers mean, by what to do next.

https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/responses
"""

import re
from time import time
from typing import Any

import orjson

from atlvs.errors import IntegrationError, OutcomeUnknown, Rejected, Unauthorized, Unavailable
from blocks.wire import LONGEST_PAUSE, Answer

ADDRESS = re.compile(r"[^\s<>\[\](),;:'\"]+(?:@|%40)[^\s<>\[\](),;:'\"]+")


def accepted(answer: Answer) -> str:
    """The id of a request to send that was taken; raises what it was refused with."""
    if answer.status == 202:
        return answer.headers.get("X-Message-Id") or ""
    if answer.status < 300:
        raise OutcomeUnknown("sendgrid", "the answer is not SendGrid's.", code="no_answer")
    raise refusal(answer, reading=False)


def refusal(answer: Answer, *, reading: bool) -> IntegrationError:
    """An error answer, by what to do next. What a proxy says does not tell what SendGrid did."""
    status, errors = answer.status, errors_in(answer)
    first = errors[0] if errors else {}
    text = masked(str(first.get("message") or f"answered {status}."))[:500]
    field, code = first.get("field"), CODES.get(status)
    if status in (401, 403):
        code = "credits_used_up" if "credits" in text.lower() else code
        return Unauthorized("sendgrid", text, code=code, field=field)
    if status in (429, 503):
        return Unavailable("sendgrid", text, code=code, retry_after=wait_told(answer))
    if status >= 500 or status < 400 or not errors:
        kind = Unavailable if reading else OutcomeUnknown
        return kind("sendgrid", text, code="no_answer")
    return Rejected("sendgrid", text, code=code, field=field)


CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    413: "too_large",
    429: "rate_limited",
}


def errors_in(answer: Answer) -> list[dict[str, Any]]:
    """What SendGrid says is wrong; empty when the answer is not in its envelope."""
    try:
        parsed = orjson.loads(answer.body)
        errors = parsed.get("errors") or ([parsed] if "message" in parsed else [])
        return [one for one in errors if isinstance(one, dict)]
    except (orjson.JSONDecodeError, AttributeError, TypeError):
        return []


def wait_told(answer: Answer) -> float | None:
    """Seconds until the window of the limit ends. SendGrid tells when that is, not how long."""
    reset = answer.headers.get("X-RateLimit-Reset") or ""
    if not re.fullmatch(r"[0-9]{1,12}", reset):
        return None
    return min(max(0.1, int(reset) - time()), LONGEST_PAUSE)


def masked(text: str) -> str:
    """Text without e-mail addresses, which SendGrid repeats in what it says."""
    return ADDRESS.sub("(address)", text)


def mend_for(error: IntegrationError) -> str:
    """What a person does about it."""
    match error:
        case Unauthorized() if error.code == "credits_used_up":
            return "Buy more credits, or wait for the next month: https://app.sendgrid.com/account/billing"
        case Unauthorized():
            return (
                "Give the key the right at https://app.sendgrid.com/settings/api_keys, or set "
                "SENDGRID_API_KEY to another key."
            )
        case Rejected() if error.code in ("account_taken", "account_differs"):
            return "Use another connection name."
        case Unavailable():
            return "Try again later; https://status.sendgrid.com tells more."
        case _:
            return "See the message."
