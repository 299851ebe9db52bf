"""The other side as a Zap knows it: an address, a key, perhaps a secret to sign calls with."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from yarl import URL

from deployments.sandbox.deliveries import is_loopback

TIMEOUT = aiohttp.ClientTimeout(total=30)
AT_ONCE = 200
LARGEST = 20 * 1024 * 1024


@dataclass(slots=True)
class Reply:
    """Status 0: no answer came, and `content` says what came instead."""

    status: int
    content: Any
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def wait(self) -> float | None:
        """How long to wait, where the product is too busy: its 429, and 503 with a time."""
        given = self.headers.get("retry-after", "")
        if self.status not in (429, 503) or (self.status == 503 and not given):
            return None
        return float(given) if given.isascii() and given.isdecimal() else 1.0


class Line:
    """One pool of connections, open while the sandbox's loop runs."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._opened: asyncio.Event | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def session(self) -> aiohttp.ClientSession:
        if self._keeper is None or self._keeper.done():
            self._opened = asyncio.Event()
            self._keeper = asyncio.create_task(self._keep(self._opened))
        assert self._opened is not None  # noqa: S101  made with the keeper
        await self._opened.wait()
        assert self._session is not None  # noqa: S101  opened by now
        return self._session

    async def _keep(self, opened: asyncio.Event) -> None:
        """Whoever ends the loop cancels its tasks, which closes the connections."""
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        async with aiohttp.ClientSession(timeout=TIMEOUT, connector=connector) as self._session:
            opened.set()
            await asyncio.Event().wait()


@dataclass(slots=True)
class Product:
    base: str
    api_key: str
    line: Line
    signing_secret: str | None = None

    def __post_init__(self) -> None:
        if not is_loopback(urlsplit(self.base).hostname):
            raise ValueError("api_base: the sandbox calls nothing but loopback")

    async def ask(
        self, method: str, path: str, content: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        url = URL(self.base.rstrip("/") + path)
        body = b"" if content is None else orjson.dumps(content)
        sent = self._headers(method, url.raw_path_qs, body) | (headers or {})
        session = await self.line.session()
        try:
            async with session.request(
                method, url, data=body or None, headers=sent, allow_redirects=False
            ) as answer:
                return await _reply(answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Reply(0, type(error).__name__)

    def _headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        headers = {
            "user-agent": "Zapier",
            "accept": "application/json",
            "authorization": f"Bearer {self.api_key}",
        }
        if body:
            headers["content-type"] = "application/json; charset=utf-8"
        if self.signing_secret:
            at = str(int(time.time()))
            headers["x-atlvs-timestamp"] = at
            headers["x-atlvs-signature"] = signature(self.signing_secret, at, method, path, body)
        return headers


def signature(secret: str, at: str, method: str, path: str, body: bytes) -> str:
    """Over time, method, path with query as sent, and the raw body."""
    signed = f"{at}.{method}.{path}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


async def _reply(answer: aiohttp.ClientResponse) -> Reply:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(65_536):
        body += chunk
        if len(body) > LARGEST:
            return Reply(0, "the answer is over 20 MB")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    try:
        content = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        content = body[:2000].decode("utf-8", "replace")
    return Reply(answer.status, content, headers)
