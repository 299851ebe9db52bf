"""The door: who calls, how many at once, and what comes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import orjson

from deployments.sandbox.faults import Rule
from deployments.sandbox.provider import Control, Provider, World
from deployments.sandbox.twilio.account import Account
from deployments.sandbox.twilio.acts import Steering
from deployments.sandbox.twilio.agenda import Agenda
from deployments.sandbox.twilio.errors import MESSAGES, Refused, unauthenticated
from deployments.sandbox.twilio.forms import Form, form_of
from deployments.sandbox.twilio.ids import new_sid
from deployments.sandbox.twilio.keys import Caller, caller_of, credentials_in
from deployments.sandbox.twilio.routes import FOR_TESTS, Ask, Found, fetch_account, find
from deployments.sandbox.wire import Answer, Request

# Twilio counts requests in flight and names no rate; this is what its hundred in flight come to
# at a tenth of a second each. https://www.twilio.com/docs/api/errors/20429
PER_SECOND = 1000.0
CODES = {401: 20003, 403: 20403, 404: 20404, 405: 20004, 429: 20429, 500: 20500, 503: 20503}


class TwilioSandbox(Provider):
    name = "twilio"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.accounts: dict[str, Account] = {}
        self.agenda = Agenda(world.clock)
        self.steering = Steering(self)

    def reset(self) -> None:
        self.accounts.clear()
        self.agenda.clear()

    def clock_moved(self) -> None:
        self.agenda.catch_up()
        self.agenda.arm()

    @property
    def controls(self) -> Mapping[str, Control]:
        return self.steering.controls

    def note(self, request: Request) -> None:
        self._note(request, form_of(request))

    def _note(self, request: Request, form: Form) -> None:
        noted = request.noted
        noted.request_id = noted.request_id or new_sid("RQ")
        noted.params = form.shown()
        given = credentials_in(request.headers)
        if noted.account is None and given is not None:
            noted.account = given[0]

    def failure(self, request: Request, rule: Rule) -> Answer:
        code = CODES.get(rule.status, 20500)
        message = MESSAGES[code].format(value=request.path)
        answer = self._refusal(request, Refused(code, status=rule.status, message=message))
        if rule.body is not None:
            plain = isinstance(rule.body, str)
            answer.body = rule.body.encode() if plain else orjson.dumps(rule.body)
            answer.headers["content-type"] = "text/html" if plain else "application/json"
        answer.headers |= {name.lower(): value for name, value in rule.headers.items()}
        return answer

    async def answer(self, request: Request) -> Answer:
        request.noted.request_id = new_sid("RQ")
        self.agenda.arm()
        form = form_of(request)
        try:
            caller = caller_of(request.headers, self.accounts)
            request.noted.account = caller.account.sid
            found = find(request.method, request.path)
            account = self._admit(caller, found)
            request.noted.account = account.sid
            return await self._in_flight(request, found, account, form)
        except Refused as refusal:
            return self._refusal(request, refusal)
        finally:
            self._note(request, form)

    def _admit(self, caller: Caller, found: Found) -> Account:
        account = self.accounts.get(found.account or caller.account.sid)
        if account is None or caller.account.sid not in (account.sid, account.owner):
            raise unauthenticated()
        if found.operation is fetch_account:
            if not caller.main:
                raise unauthenticated()
        elif account.status != "active":
            raise Refused(20403, account.sid, status=403)
        if account.test and found.operation not in FOR_TESTS:
            raise Refused(20008, status=403)
        return account

    async def _in_flight(
        self, request: Request, found: Found, account: Account, form: Form
    ) -> Answer:
        lane = "reads" if request.method == "GET" else "writes"
        if account.in_flight >= account.settings.concurrency or not self.limits.allows(
            account.sid, lane, PER_SECOND
        ):
            raise Refused(20429, status=429)
        account.in_flight += 1
        try:
            started = time.monotonic()
            await self._dawdle(request, account)
            answer = self._run(request, found, account, form)
            answer.headers["twilio-request-duration"] = f"{time.monotonic() - started:.3f}"
            return answer
        finally:
            account.in_flight -= 1

    async def _dawdle(self, request: Request, account: Account) -> None:
        fault = request.fault
        seconds = fault.seconds if fault is not None and fault.kind == "slow" else 0.0
        if seconds := seconds + account.settings.answer_seconds:
            await asyncio.sleep(seconds)

    def _run(self, request: Request, found: Found, account: Account, form: Form) -> Answer:
        base = f"http://{request.headers.get('host', '')}/{self.name}"
        ask = Ask(account, self.accounts, form, request.path, base, found.sid)
        status, content = found.operation(ask)
        if request.fault is not None and request.fault.kind == "500_after":
            return self.failure(request, request.fault)
        return self._answer(request, status, content)

    def _refusal(self, request: Request, refusal: Refused) -> Answer:
        answer = self._answer(request, refusal.status, refusal.envelope)
        if request.path.startswith("/2010") and not request.path.endswith(".json"):
            answer.body = refusal.xml
            answer.headers["content-type"] = "application/xml"
        if refusal.status == 401:
            answer.headers["www-authenticate"] = 'Basic realm="Twilio API"'
        return answer

    def _answer(self, request: Request, status: int, content: Any) -> Answer:
        account = self.accounts.get(request.noted.account or "")
        headers = {
            "content-type": "application/json;charset=utf-8",
            "twilio-request-id": request.noted.request_id or new_sid("RQ"),
            "twilio-concurrent-requests": str(account.in_flight if account else 0),
            "x-home-region": "us1",
            "x-api-domain": "api.twilio.com",
        }
        return Answer(status, b"" if content is None else orjson.dumps(content), headers)
