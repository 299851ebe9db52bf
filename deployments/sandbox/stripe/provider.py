"""The door: who calls, in which version, how often, with which key, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from deployments.sandbox.faults import Rule
from deployments.sandbox.provider import Control, Provider, World
from deployments.sandbox.stripe.account import Account
from deployments.sandbox.stripe.acts import Steering
from deployments.sandbox.stripe.call import Call
from deployments.sandbox.stripe.errors import Refused
from deployments.sandbox.stripe.expand import expand
from deployments.sandbox.stripe.forms import decode
from deployments.sandbox.stripe.ids import new_request_id
from deployments.sandbox.stripe.keys import Caller, caller_of
from deployments.sandbox.stripe.parameters import VERSION, checked
from deployments.sandbox.stripe.replays import Replays
from deployments.sandbox.stripe.routes import ROUTES, Found, find
from deployments.sandbox.wire import Answer, Request

# Requests a second. https://docs.stripe.com/rate-limits
DOCUMENTED = {
    (False, "reads"): 25.0,
    (False, "writes"): 25.0,
    (True, "reads"): 100.0,
    (True, "writes"): 100.0,
    (False, "search"): 20.0,
    (True, "search"): 20.0,
}
FORM = "application/x-www-form-urlencoded"


class StripeSandbox(Provider):
    name = "stripe"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.accounts: dict[tuple[str, bool], Account] = {}
        self.steering = Steering(self)

    def reset(self) -> None:
        self.accounts.clear()

    def account(self, identifier: str, *, livemode: bool = False) -> Account:
        known = self.accounts.get((identifier, livemode))
        if known is None:
            known = Account(identifier, livemode=livemode, world=self.world)
            self.accounts[identifier, livemode] = known
        return known

    def account_of(self, key: str) -> Account:
        caller = caller_of({"authorization": f"Bearer {key}"})
        return self.account(caller.account, livemode=caller.livemode)

    def clock_moved(self) -> None:
        for account in list(self.accounts.values()):
            account.catch_up()

    @property
    def controls(self) -> Mapping[str, Control]:
        return self.steering.controls

    def note(self, request: Request) -> None:
        noted = request.noted
        noted.request_id = noted.request_id or new_request_id()
        noted.idempotency_key = request.headers.get("idempotency-key")
        with suppress(Refused):
            noted.account = caller_of(request.headers).account
        if noted.params is None:
            noted.params = {}
            with suppress(Refused):
                noted.params = decode(b"&".join(filter(None, (request.query, request.body))))

    def failure(self, request: Request, rule: Rule) -> Answer:
        kind, code, message = FAILURES.get(
            rule.status, ("api_error", None, "An unknown error occurred")
        )
        refusal = Refused(rule.status, message, kind=kind, code=code)
        answer = self._refusal(request, refusal)
        if rule.body is not None:
            answer.body = (
                rule.body.encode() if isinstance(rule.body, str) else orjson.dumps(rule.body)
            )
        answer.headers |= {name.lower(): value for name, value in rule.headers.items()}
        return answer

    async def answer(self, request: Request) -> Answer:
        request.noted.request_id = new_request_id()
        try:
            caller = caller_of(request.headers)
            found = self._admit(request, caller)
            self.note(request)
            account = self.account(caller.account, livemode=caller.livemode)
            call = self._call(request, found, account)
            key = request.headers.get("idempotency-key")
            if request.method == "POST" and key:
                return await self._once(request, found, call, key)
            return await self._run(request, found, call)
        except Refused as refusal:
            self.note(request)
            return self._refusal(request, refusal)

    def _admit(self, request: Request, caller: Caller) -> Found:
        version = request.headers.get("stripe-version", VERSION)
        if version != VERSION:
            raise Refused(400, f"Invalid Stripe API version: {version}")
        found = find(request.method, request.path)
        if found is None:
            raise Refused(
                404,
                f"Unrecognized request URL ({request.method}: {request.path}). Please see "
                "https://stripe.com/docs or we can help at https://support.stripe.com/.",
            )
        lane = (
            "search"
            if request.path.endswith("/search")
            else ("reads" if request.method == "GET" else "writes")
        )
        who = f"{caller.account}/{'live' if caller.livemode else 'test'}"
        if not self.limits.allows(who, lane, DOCUMENTED[caller.livemode, lane]):
            kind, code, message = FAILURES[429]
            raise Refused(429, message, kind=kind, code=code)
        caller.require(request.method, request.path)
        return found

    def _call(self, request: Request, found: Found, account: Account) -> Call:
        sent = request.headers.get("content-type", FORM).partition(";")[0].strip()
        if request.body and sent != FORM:
            raise Refused(
                400,
                "Invalid request (check that your POST content type is "
                "application/x-www-form-urlencoded). If you have any questions, we can help at "
                "https://support.stripe.com/.",
            )
        params = checked(found.operation, request.noted.params)
        key = request.headers.get("idempotency-key")
        return Call(account, params, found.path, request.noted.request_id, key)

    async def _once(self, request: Request, found: Found, call: Call, key: str) -> Answer:
        """Run it, unless this key has an answer already."""
        replays = Replays(call.account)
        asked = [found.operation, request.path, request.noted.params]
        replay = replays.begin(key, asked, call.request_id or "")
        if replay.answer is not None:
            headers = self._headers(request) | {
                "idempotent-replayed": "true",
                "original-request": replay.request_id,
            }
            return Answer(replay.answer.status, replay.answer.body, headers)
        try:
            answer = await self._run(request, found, call)
        except BaseException:
            replays.forget(key)
            raise
        replay.answer = Answer(answer.status, bytes(memoryview(answer.body)), answer.headers)
        return answer

    async def _run(self, request: Request, found: Found, call: Call) -> Answer:
        if request.fault and request.fault.kind == "slow":
            await asyncio.sleep(request.fault.seconds)
        try:
            call.account.catch_up()
            run = ROUTES.get(found.operation)
            if run is None:
                raise Refused(
                    501, f"The sandbox does not simulate {found.operation}.", kind="api_error"
                )
            answer = Answer(200, _encoded(call, run(call)), self._headers(request))
        except Refused as refusal:
            answer = self._refusal(request, refusal)
        if request.fault and request.fault.kind == "500_after":
            return self.failure(request, request.fault)
        return answer

    def _refusal(self, request: Request, refusal: Refused) -> Answer:
        link = f"https://dashboard.stripe.com/test/logs/{request.noted.request_id}"
        error = refusal.error | {"request_log_url": link}
        return Answer(refusal.status, orjson.dumps({"error": error}), self._headers(request))

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "request-id": request.noted.request_id or "",
            "stripe-version": VERSION,
        }
        if key := request.noted.idempotency_key:
            headers["idempotency-key"] = key
        return headers


FAILURES: dict[int, tuple[str, str | None, str]] = {
    429: (
        "invalid_request_error",
        "rate_limit",
        "Request rate limit exceeded. Learn more about rate limits here "
        "https://stripe.com/docs/rate-limits.",
    ),
    409: (
        "invalid_request_error",
        "idempotency_key_in_use",
        "There is currently another in-progress request using this Idempotent Key.",
    ),
    401: ("invalid_request_error", None, "Invalid API Key provided"),
    403: ("invalid_request_error", None, "The provided key does not have the required permissions"),
    404: ("invalid_request_error", "resource_missing", "No such object"),
    400: ("invalid_request_error", None, "Invalid request"),
}


def _encoded(call: Call, content: Any) -> bytes:
    wanted: list[str] = call.params.get("expand", [])
    if isinstance(content, bytes) and (not wanted or content.startswith(b'{"object":"list"')):
        return content
    thing = orjson.loads(content) if isinstance(content, bytes) else content
    for path in wanted:
        expand(call.account, thing, path)
    return orjson.dumps(thing)
