"""Posting to addresses that somebody outside gave us: never redirected, and never into our own network.

The check is made where the connection is opened, on the address that it is opened to: a name that
resolves to something else a moment later leads nowhere (rebinding), whoever resolved it.
"""

import asyncio
import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.resolver import AsyncResolver

from atlvs.errors import OutcomeUnknown, Rejected, Unavailable
from atlvs.hooks import TIMEOUT
from atlvs.settings import settings
from atlvs.targets import checked_target, is_loopback, is_public

READ = 4_096  # of an answer; more is nobody's business
READING = 5.0  # seconds for that much: the status is known by then
INTERIM = 10  # answers of status 1xx before the answer
KEEP_ALIVE = 4.0  # seconds; many servers close after 5, and a post that meets that is in doubt
RESOLVING = 5.0  # seconds that a subscriber waits for somebody's name server
NOT_PUBLIC = "the target leads to an address that is not on the public internet."

_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()


@dataclass(frozen=True)
class Answered:
    """What a target said."""

    status: int
    headers: Mapping[str, str]
    text: str  # how its answer begins


class _Forbidden(OSError):
    """The connection was about to be opened to an address where we do not go."""


class _Response(aiohttp.ClientResponse):
    """An answer that comes to the point: millions of interim ones would keep us busy till the timeout."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        protocol, left = connection.protocol, iter(range(INTERIM + 1))

        async def read() -> Any:
            if next(left, None) is None:
                raise aiohttp.ServerDisconnectedError("no answer but interim ones")
            return await type(protocol).read(protocol)

        protocol.read = read
        try:
            return await super().start(connection)
        finally:
            del protocol.read


async def send(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
    """One request. Rejected: we do not go there. Unavailable: no connection could be opened.
    OutcomeUnknown: it went out and no answer came."""
    checked_target(url, loopback=settings().hooks_loopback)
    try:
        async with _session().request(
            method, url, data=body, headers=headers, allow_redirects=False
        ) as answer:
            return Answered(answer.status, answer.headers, await _begins(answer))
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, _Forbidden):
            raise Rejected("hooks", NOT_PUBLIC, code="target_refused") from None
        raise Unavailable("hooks", _why(error), code="no_connection") from None
    except (aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
        raise Unavailable("hooks", _why(error), code="no_connection") from None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise OutcomeUnknown("hooks", f"no answer ({type(error).__name__}).") from None


async def resolved(host: str) -> None:
    """Rejected when a name leads into a private network now; a name that is not known yet may pass."""
    if settings().hooks_loopback and is_loopback(host):
        return
    try:
        async with asyncio.timeout(RESOLVING):
            found = await _session().connector._resolver.resolve(host, 443, socket.AF_UNSPEC)  # pyright: ignore
    except OSError:  # a TimeoutError too
        return
    if not all(is_public(one["host"]) for one in found):
        raise Rejected("hooks", NOT_PUBLIC, code="target_refused", field="target_url")


def open_session(resolver: AbstractResolver | None = None) -> aiohttp.ClientSession:
    """A session that goes to public addresses only. Names are resolved without threads: somebody's
    slow name server holds nobody else up."""
    connector = aiohttp.TCPConnector(
        limit=256,
        resolver=resolver or AsyncResolver(),
        socket_factory=_guarded,
        ttl_dns_cache=10,
        keepalive_timeout=KEEP_ALIVE,
    )
    return aiohttp.ClientSession(
        connector=connector,
        response_class=_Response,
        timeout=aiohttp.ClientTimeout(total=TIMEOUT, sock_connect=10),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "ATLVS-Hooks/1"},
    )


async def close_targets() -> None:
    """Close this loop's session; the next post opens another."""
    opened = _sessions.pop(asyncio.get_running_loop(), None)
    if opened:
        resolver = opened.connector._resolver  # pyright: ignore
        await opened.close()
        await resolver.close()


def _session() -> aiohttp.ClientSession:
    loop = asyncio.get_running_loop()
    if loop not in _sessions or _sessions[loop].closed:
        _sessions[loop] = open_session()
    return _sessions[loop]


def _guarded(info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, address = info
    host = str(address[0])
    if not (is_public(host) or settings().hooks_loopback and is_loopback(host)):
        raise _Forbidden(errno.EACCES, "not a public address")
    return socket.socket(family, kind, protocol)


async def _begins(answer: aiohttp.ClientResponse) -> str:
    """How the answer begins. Its status is known: what goes wrong from here on changes nothing."""
    found = b""
    try:
        async with asyncio.timeout(READING):
            while len(found) < READ and (chunk := await answer.content.read(READ - len(found))):
                found += chunk
        if not answer.content.at_eof():
            answer.close()
    except (aiohttp.ClientError, TimeoutError):
        answer.close()
    return found.decode(errors="replace").replace("\x00", "")


def _why(error: Exception) -> str:
    """The kind of trouble; the error's own text would name the address."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the target's host name is not known."
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "the target's certificate is not valid."
    return "the target refused the connection, or it could not be opened."
