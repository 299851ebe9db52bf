"""TwiML: fetched where the customer keeps it, and read out.

https://www.twilio.com/docs/voice/twiml
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import aiohttp

from deployments.sandbox.deliveries import is_loopback
from deployments.sandbox.twilio.callbacks import call_params, called_url, headers_for
from deployments.sandbox.twilio.ids import new_sid

if TYPE_CHECKING:
    from deployments.sandbox.twilio.account import Account
    from deployments.sandbox.twilio.calls import Call

    Said = Callable[[Account, Call, str | None], None]

TIMEOUT = aiohttp.ClientTimeout(total=15)
FETCHING: set[asyncio.Task[None]] = set()


def play(twiml: str) -> list[str] | None:
    """What is said or played, in order; None for what is no TwiML."""
    if "<!DOCTYPE" in twiml or "<!ENTITY" in twiml:
        return None
    try:
        document = ElementTree.fromstring(twiml)  # noqa: S314  entities are refused above
    except ElementTree.ParseError:
        return None
    if document.tag != "Response":
        return None
    return [(each.text or "").strip() for each in document.iter() if each.tag in ("Say", "Play")]


def fetch_twiml(account: Account, call: Call, url: str, said: Said) -> None:
    """Ask for the call's document, signed. An address off the machine is not asked."""
    if not is_loopback(urlsplit(url).hostname):
        said(account, call, "<Response/>")
        call.heard = [url]
        return
    task = asyncio.get_running_loop().create_task(_fetch(account, call, url, said))
    FETCHING.add(task)
    task.add_done_callback(FETCHING.discard)


async def _fetch(account: Account, call: Call, url: str, said: Said) -> None:
    params = call_params(account, call)
    headers = headers_for(account, url, params, new_sid(""))
    twiml: str | None = None
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.post(called_url(url), data=urlencode(params), headers=headers) as response,
        ):
            text = await response.text()
            twiml = text if response.status < 400 else None
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError):
        twiml = None
    said(account, call, twiml)
