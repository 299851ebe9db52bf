"""Pages for people: rendered here, in HTML only, with nothing that a browser could run.

Who opens one came by a link in a message and has no account: the link is a secret, so a page is never
stored, never framed, tells no other site where it was, and no log line or metric has its address.
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException

from atlvs.errors import Misconfigured, Unavailable
from deployments.web.asgi import Gone, Message, read_body
from deployments.web.failures import Failure, later, unexpected

logger = logging.getLogger(__name__)
MOST_BYTES = 100_000
MOST_FIELDS = 300
PATIENCE = 20.0  # seconds for a whole page; a body may take ten of them
TROUBLE = {
    400: ("This did not work", "The form did not arrive whole. Go back and send it again."),
    404: (
        "This link does not work",
        "It may be incomplete, or no longer valid. Open the newest message that you got, and use the "
        "link in there.",
    ),
    413: ("This did not work", "The form is too large. Open the link in your message again."),
    503: ("Not available right now", "Nothing was changed. Please try again in a few minutes."),
    500: ("Something failed here", "Please try again in a few minutes."),
}


@dataclass(frozen=True)
class Page:
    """A template with what stands in it."""

    template: str
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    status: int = 200


def trouble(status: int) -> Page:
    """A page that says what went wrong, and what to do."""
    title, text = TROUBLE.get(status, TROUBLE[500])
    return Page("message.html", {"title": title, "text": text}, status)


def shown(work: Callable[[Request], Awaitable[Page]]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint of a page: every end of it is a page too."""

    async def endpoint(request: Request) -> Response:
        try:
            async with asyncio.timeout(PATIENCE):
                return rendered(await work(request))
        except Failure as failure:
            return rendered(trouble(failure.status), failure.headers)
        except (Unavailable, Misconfigured, TimeoutError) as error:
            logger.warning("A page cannot be shown: %s", error or "time is up")
            failure = later("", getattr(error, "retry_after", None))
            return rendered(trouble(503), failure.headers)
        except Exception as error:  # noqa: BLE001  # the edge of the process: every end is an answer
            unexpected(error, f"The page of {work.__name__}")
            return rendered(trouble(500))

    return endpoint


def rendered(page: Page, headers: dict[str, str] | None = None) -> Response:
    """The answer with a page."""
    text = _environment().get_template(page.template).render(page.values)
    return Response(text, page.status, _headers() | (headers or {}), "text/html; charset=utf-8")


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, as browsers and mail programs send it."""
    try:
        body = await read_body(request.scope, request.receive, MOST_BYTES)
    except Gone:
        raise Failure(400, "incomplete", "The body did not arrive.") from None

    async def again() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    whole = Request(request.scope, again)
    try:
        form = await whole.form(max_files=0, max_fields=MOST_FIELDS)
    except (HTTPException, ValueError, LookupError):  # no such character set
        raise Failure(400, "malformed", "The form cannot be read.") from None
    return {name: value for name, value in form.items() if isinstance(value, str)}


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("deployments.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["style"] = Markup(_style(made))  # noqa: S704  # our own file
    return made


def _style(environment: Environment) -> str:
    assert environment.loader  # noqa: S101
    return environment.loader.get_source(environment, "pages.css")[0]


@cache
def _headers() -> dict[str, str]:
    style = b64encode(sha256(str(_environment().globals["style"]).encode()).digest()).decode()
    return {
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "content-security-policy": (
            f"default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none';"
            " frame-ancestors 'none'"
        ),
        "x-frame-options": "DENY",
        "x-content-type-options": "nosniff",
        "x-robots-tag": "noindex, nofollow",
    }
