"""Answers of targets: as Zapier gives them, and those that are none.

ok                 accepted
slow               accepted, and answered after `seconds`
status, gone       `status` with `headers`; 410
redirect           `status`, to `to`
close              not accepted; the connection is closed without a word
accept_then_close  accepted; the answer is lost
hang               not accepted; nothing comes, until the caller goes (or `seconds` are over)
huge               accepted, with an answer that never ends
garbage            not accepted; what comes is not HTTP
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import orjson

from deployments.sandbox.app import OwnWay, hang_up
from deployments.sandbox.wire import Answer, Scope, Send, json_answer, send_answer
from deployments.sandbox.zapier.behaviours import Behaviour

if TYPE_CHECKING:
    from deployments.sandbox.zapier.arrivals import Arrival

LONGEST = 600.0
LOOKING = 0.1
# The server hears a moment later that a connection is closed; until then it misses an answer.
NOTICED = 0.02
CHUNK = b" " * 65_536
GARBAGE = b"\x16\x03\x01\x00\xa5 this is not HTTP \r\n\r\n\x00\xff\xfe"


def success(receives: bool) -> Answer:
    """What a target says of a hook that it will run; a plain receiver says less."""
    if receives:
        return json_answer({"received": True})
    body = b'{"status":"success","id":"%s","attempt":"%s","request_id":"%s"}'
    ids = tuple(str(uuid.uuid4()).encode() for _ in range(3))
    return Answer(200, body % ids, {"content-type": "application/json"})


def refusal(status: int, message: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return json_answer({"status": "error", "message": message}, status, named)


class Ended(OwnWay):
    """An answer that depends on the connection; it says in the journal whether it got away."""

    def __init__(self, answer: Answer, arrival: Arrival, behaviour: Behaviour) -> None:
        super().__init__(answer.status, answer.body, answer.headers)
        self.arrival = arrival
        self.behaviour = behaviour
        arrival.answered = False


class Slow(Ended):
    async def go(self, scope: Scope, send: Send) -> None:
        await _stay(scope, self.behaviour.seconds)
        if not _gone(scope):
            self.arrival.answered = True
            await send_answer(send, self)


class Closed(Ended):
    async def go(self, scope: Scope, send: Send) -> None:
        await _drop(scope)


class Hanging(Ended):
    async def go(self, scope: Scope, send: Send) -> None:
        await _stay(scope, self.behaviour.seconds or LONGEST)
        await _drop(scope)


class Huge(Ended):
    async def go(self, scope: Scope, send: Send) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        self.arrival.answered = True
        await send({"type": "http.response.body", "body": b'{"status":', "more_body": True})
        while not _gone(scope):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            await asyncio.sleep(0.001)
        await asyncio.sleep(NOTICED)


class Garbage(Ended):
    async def go(self, scope: Scope, send: Send) -> None:
        transport: asyncio.Transport = scope["sandbox.transport"]
        transport.write(GARBAGE)
        transport.close()
        await asyncio.sleep(NOTICED)


OWN_WAYS: dict[str, type[Ended]] = {
    "slow": Slow,
    "close": Closed,
    "accept_then_close": Closed,
    "hang": Hanging,
    "huge": Huge,
    "garbage": Garbage,
}
WORDLESS = frozenset({"close", "accept_then_close", "hang", "garbage"})
REFUSING = frozenset({"close", "hang", "garbage", "redirect"})


def is_accepting(behaviour: Behaviour) -> bool:
    if behaviour.kind == "gone" or behaviour.kind in REFUSING:
        return False
    return behaviour.kind != "status" or behaviour.status < 300


def answer_for(behaviour: Behaviour, arrival: Arrival, receives: bool) -> Answer:
    answer = _plain(behaviour, receives)
    own_way = OWN_WAYS.get(behaviour.kind)
    if own_way is None:
        return answer
    if behaviour.kind in WORDLESS:
        answer.status = 0
    return own_way(answer, arrival, behaviour)


def _plain(behaviour: Behaviour, receives: bool) -> Answer:
    if behaviour.kind == "gone":
        return refusal(410, "The Zap is off.")
    if behaviour.kind == "redirect":
        return Answer(behaviour.status, b"", {"location": behaviour.to} | _lower(behaviour))
    answer = success(receives)
    if behaviour.kind == "status":
        answer.status = behaviour.status
        if behaviour.status >= 300:
            answer.body = orjson.dumps({"status": "error", "message": "as it was told to"})
    if behaviour.body is not None:
        answer.body = _encoded(behaviour.body)
    if answer.status in (204, 304):
        answer.body = b""
    answer.headers |= _lower(behaviour)
    return answer


def _lower(behaviour: Behaviour) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in behaviour.headers.items()}


def _encoded(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else orjson.dumps(body)


async def _drop(scope: Scope) -> None:
    hang_up(scope)
    await asyncio.sleep(NOTICED)


def _gone(scope: Scope) -> bool:
    return scope["sandbox.transport"].is_closing()


async def _stay(scope: Scope, seconds: float) -> None:
    """Wait, but not for somebody who went away."""
    loop = asyncio.get_running_loop()
    until = loop.time() + min(seconds, LONGEST)
    while (left := until - loop.time()) > 0 and not _gone(scope):
        await asyncio.sleep(min(left, LOOKING))
