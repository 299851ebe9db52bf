"""The wire: one connection's HTTP. Paced by the shared limit, every exchange in the audit.

Errors are told apart here by what may have happened: a connection that never opened is Unavailable,
a request that left and got no answer is OutcomeUnknown (or Unavailable where asking again is harmless).
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from time import monotonic, time
from urllib.parse import unquote, urlsplit
from uuid import UUID
from weakref import WeakKeyDictionary

import aiohttp

from atlvs.db.calls import Call, lease_slots, pause_slots, write_calls
from atlvs.db.engine import database
from atlvs.errors import OutcomeUnknown, Unavailable
from atlvs.records import Connection

log = logging.getLogger(__name__)
TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
LEASE_SECONDS = 0.25  # how far ahead a busy process reserves slots
FLUSH = 500
KEPT = 20 * FLUSH  # calls that wait for our database, until the oldest are given up
REQUEST_IDS = ("Request-Id", "X-Message-Id", "Twilio-Request-Id", "X-Slack-Req-Id")
ADDRESS = re.compile(r"[^/@]+@[^/]+")  # an e-mail address in a path is not for the audit
LONGEST_PAUSE = 86_400.0  # seconds that we take from a Retry-After

# What is being done, for the audit; how long the caller is ready to wait for a slot.
operation: ContextVar[str] = ContextVar("operation", default="")
request_id: ContextVar[UUID | None] = ContextVar("request_id", default=None)
patience: ContextVar[float] = ContextVar("patience", default=300.0)

_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()


def session() -> aiohttp.ClientSession:
    """One HTTP session per event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _sessions or _sessions[loop].closed:
        connector = aiohttp.TCPConnector(limit=128, limit_per_host=64)
        _sessions[loop] = aiohttp.ClientSession(
            connector=connector,
            timeout=TIMEOUT,
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
    return _sessions[loop]


async def close_session() -> None:
    """Close this loop's session; the next call opens another."""
    opened = _sessions.pop(asyncio.get_running_loop(), None)
    if opened:
        await opened.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, unparsed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Pacer:
    """Hands out slots of one bucket, leased from the database in growing blocks while busy."""

    connection: Connection
    bucket: str
    per_second: float
    _slots: deque[float] = field(default_factory=deque[float])
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _block: int = 1
    _leased_at: float = 0.0

    async def wait(self) -> float:
        """Wait for the next slot; returns the seconds waited. Unavailable beyond the caller's patience."""
        began = monotonic()
        async with self._lock:
            if not self._slots:
                await self._lease()
            delay = self._slots[0] - monotonic()
            if delay > patience.get():  # the slot stays for whoever asks next
                raise Unavailable(
                    self.connection.provider,
                    "the limit of calls is used up for now.",
                    retry_after=delay,
                )
            self._slots.popleft()
        if delay > 0:
            await asyncio.sleep(delay)
        return monotonic() - began

    async def pause(self, seconds: float) -> None:
        """The provider asked everybody to wait."""
        self._slots.clear()
        await pause_slots(self.connection, self.bucket, seconds)

    async def _lease(self) -> None:
        idle = (monotonic() - self._leased_at) / (2 * LEASE_SECONDS)
        most = max(1, int(self.per_second * LEASE_SECONDS))
        self._block = min(most, self._block * 2) if idle < 1 else max(1, int(self._block / idle))
        wait = await lease_slots(self.connection, self.bucket, self._block, self.per_second)
        self._leased_at = monotonic()
        first = self._leased_at + wait
        self._slots.extend(first + number / self.per_second for number in range(self._block))


@dataclass
class Wire:
    """The calls of one connection in this process."""

    connection: Connection
    limits: dict[str, float]
    calls: list[Call] = field(default_factory=list[Call])
    waited: float = 0.0
    made: int = 0
    refused: int = 0
    _unwritten: int = 0  # of `calls`: those that our database did not take yet

    def __post_init__(self) -> None:
        self._pacers = {
            bucket: Pacer(self.connection, bucket, rate) for bucket, rate in self.limits.items()
        }

    async def turn(self, bucket: str, per_second: float | None = None) -> float:
        """Wait for a slot of a bucket, made with this rate if it is new; returns the seconds waited."""
        if bucket not in self._pacers:
            if per_second is None:
                raise LookupError(f"no limit is known for {bucket}")
            self._pacers[bucket] = Pacer(self.connection, bucket, per_second)
        return await self._pacers[bucket].wait()

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: str | bytes | None = None,
        bucket: str,
        paced: bool = False,
    ) -> Answer:
        """Send one request when its turn has come, and write down that it was sent.

        `paced`: the caller has taken its `turn`, and keeps a row of its own for what it sends, so
        that the audit may be written later, with others.
        """
        waited = 0.0 if paced else await self.turn(bucket)
        began, started = monotonic(), datetime.now(UTC)
        self.made, self.waited = self.made + 1, self.waited + waited
        try:
            answer = await self._send(method, url, headers, body)
        except BaseException as error:
            outcome = "unavailable" if isinstance(error, Unavailable) else "unknown"
            self._note(method, url, None, outcome, started, monotonic() - began, waited)
            raise
        outcome = outcome_of(answer.status)
        self._note(method, url, answer, outcome, started, monotonic() - began, waited)
        if answer.status == 429:
            self.refused += 1
            with afterwards("A pause was not told to other processes"):
                await self._pacers[bucket].pause(told_to_wait(answer.headers))
        if len(self.calls) - self._unwritten >= FLUSH or not (method == "GET" or paced):
            await self.flush()
        return answer

    async def flush(self) -> None:
        """Write the noted calls to the audit. Raises nothing; while our database is away, they wait for
        the next flush."""
        calls, self.calls, self._unwritten = self.calls, [], 0
        if not calls:
            return
        with afterwards("Calls were not written to the audit"):
            try:
                async with database().org(self.connection.org_id) as tx:
                    await write_calls(tx, self.connection, calls)
            except (Unavailable, asyncio.CancelledError):
                self.calls = (calls + self.calls)[-KEPT:]
                self._unwritten = len(self.calls)
                raise

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: str | bytes | None
    ) -> Answer:
        provider = self.connection.provider
        data = body.encode() if isinstance(body, str) else body  # aiohttp takes longer to do it
        try:
            async with session().request(
                method, url, headers=headers, data=data, allow_redirects=False
            ) as response:
                return Answer(response.status, response.headers, await response.read())
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            aiohttp.InvalidURL,
        ) as error:
            raise Unavailable(
                provider, "the connection was refused or could not be opened."
            ) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            text = f"no answer to {method} {urlsplit(url).path} ({type(error).__name__})."
            kind = Unavailable if method == "GET" else OutcomeUnknown
            raise kind(provider, text, code="no_answer") from error

    def _note(
        self,
        method: str,
        url: str,
        answer: Answer | None,
        outcome: str,
        started: datetime,
        took: float,
        waited: float,
    ) -> None:
        path = path_of(url)
        self.calls.append(
            Call(
                operation=operation.get() or f"{method} {path}",
                method=method,
                path=path,
                request_id=request_id.get(),
                provider_request_id=_their_id(answer) if answer else None,
                status=answer.status if answer else None,
                outcome=outcome,
                records=None,
                started_at=started,
                duration_ms=took * 1000,
                waited_ms=waited * 1000,
            )
        )


@lru_cache(maxsize=256)
def path_of(url: str) -> str:
    """What the audit shows of an address."""
    # PostgreSQL takes no NUL, and what is written with this call would be lost too.
    return ADDRESS.sub("***", unquote(urlsplit(url).path)).replace("\0", "")


@contextmanager
def afterwards(trouble: str) -> Generator[None]:
    """What is written down once a provider has answered: when it fails, that is logged, and the answer
    stays. An error instead of it would say that nothing happened, and it would be done again."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # whatever it is, the answer counts more
        log.warning("%s: %s.", trouble, type(error).__name__)


def _their_id(answer: Answer) -> str | None:
    return next((answer.headers[name] for name in REQUEST_IDS if name in answer.headers), None)


def outcome_of(status: int) -> str:
    """A status as the audit's word."""
    if status < 400:
        return "ok"
    if status in (401, 403):
        return "unauthorized"
    return "unavailable" if status == 429 or status >= 500 else "rejected"


def told_to_wait(headers: Mapping[str, str]) -> float:
    """Seconds that a 429 asks for: Retry-After, else until X-RateLimit-Reset, else one."""
    reset = headers.get("X-RateLimit-Reset") or ""
    until = float(reset) - time() if re.fullmatch(r"[0-9]{1,12}", reset) else 1.0
    return retry_after(headers) or min(max(until, 0.1), LONGEST_PAUSE)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds in a Retry-After header, or until its date; at most a day. None when absent or gone by."""
    text = headers.get("Retry-After") or headers.get("retry-after") or ""
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        return min(float(text), LONGEST_PAUSE)
    try:
        until = parsedate_to_datetime(text)
        seconds = until.replace(tzinfo=until.tzinfo or UTC).timestamp() - time()
    except (ValueError, OverflowError):
        return None
    return min(seconds, LONGEST_PAUSE) if seconds > 0 else None
