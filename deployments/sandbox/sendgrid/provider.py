"""The door: who calls, with which rights, how often, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from time import time
from typing import Any
from urllib.parse import parse_qsl

import orjson

from deployments.sandbox.faults import Rule
from deployments.sandbox.provider import Control, Provider, World
from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.acts import Steering
from deployments.sandbox.sendgrid.agenda import Agenda
from deployments.sandbox.sendgrid.call import Call
from deployments.sandbox.sendgrid.errors import (
    FAILURES,
    Refused,
    bad_request,
    forbidden,
    mail_error,
    refusal,
)
from deployments.sandbox.sendgrid.ids import Ids
from deployments.sandbox.sendgrid.keys import Grant, key_of, name_in, wrong_key
from deployments.sandbox.sendgrid.rates import Quota, Rates
from deployments.sandbox.sendgrid.routes import Found, find
from deployments.sandbox.wire import Answer, Request

SEND = "/v3/mail/send"


class SendGridSandbox(Provider):
    """Accounts are made when their key is first used.

    A fault of kind `status` with a 2xx on mail/send is a mail that is accepted and then lost:
    answered like any other, and never heard of again.
    """

    name = "sendgrid"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.agenda = Agenda(world.clock)
        self.rates = Rates(self.limits)
        self.accounts: dict[str, Account] = {}
        self.grants: dict[str, Grant] = {}
        self.lost = Ids("lost")
        self.steering = Steering(self)

    def reset(self) -> None:
        for account in self.accounts.values():
            account.outbox.close()
        self.agenda.clear()
        self.accounts.clear()
        self.grants.clear()
        self.rates.windows.clear()

    def account(self, name: str) -> Account:
        if name not in self.accounts:
            self.accounts[name] = Account(name, self.world, self.agenda)
        return self.accounts[name]

    def grant(self, key: str) -> Grant:
        if key not in self.grants:
            self.grants[key] = Grant(name_in(key))
        return self.grants[key]

    def clock_moved(self) -> None:
        self.agenda.catch_up()
        for account in self.accounts.values():
            account.outbox.settle()

    @property
    def controls(self) -> Mapping[str, Control]:
        return self.steering.controls

    def note(self, request: Request) -> None:
        noted = request.noted
        with suppress(Refused):
            noted.account = self.grant(key_of(request.headers)).account
        noted.params = dict(parse_qsl(request.query.decode("latin-1")))
        if request.path == SEND:
            # A thousand addresses a line would make the log the largest thing here.
            noted.params["bytes"] = len(request.body)
        elif request.body:
            with suppress(orjson.JSONDecodeError):
                noted.params["body"] = orjson.loads(request.body)

    def failure(self, request: Request, rule: Rule) -> Answer:
        quota = Quota(600, 599, int(time()) + 1)
        if 200 <= rule.status < 300:
            headers = {"x-message-id": self.lost.message()} if request.path == SEND else {}
            return Answer(rule.status, b"", quota.headers | headers | rule.headers)
        reason = FAILURES.get(rule.status, "internal server error")
        if rule.status == 429:
            quota = Quota(600, 0, int(time() + max(1.0, rule.seconds)))
        answer = _told(Refused(rule.status, {"field": None, "message": reason}), quota.headers)
        if rule.body is not None:
            text = isinstance(rule.body, str)
            answer.body = rule.body.encode() if text else orjson.dumps(rule.body)
        answer.headers |= {name.lower(): value for name, value in rule.headers.items()}
        return answer

    async def answer(self, request: Request) -> Answer:
        if request.fault and request.fault.kind == "slow":
            await asyncio.sleep(request.fault.seconds)
        self.agenda.catch_up()
        self.note(request)
        quota: dict[str, str] = {}
        try:
            grant = self._caller(request)
            found = find(request.method, request.path)
            taken = self.rates.take(grant.account, found.route.lane)
            quota = taken.headers
            if not taken.allowed:
                raise refusal(429, "too many requests")
            answer = self._run(self._call(request, found, grant), found, quota)
        except Refused as refused:
            answer = _told(refused, quota)
        if request.fault and request.fault.kind == "500_after":
            return self.failure(request, request.fault)
        return answer

    def _caller(self, request: Request) -> Grant:
        key = key_of(request.headers)
        with suppress(Refused):
            if not (grant := self.grant(key)).revoked:
                return grant
        raise wrong_key() if request.path == SEND else refusal(401, "authorization required")

    def _call(self, request: Request, found: Found, grant: Grant) -> Call:
        if not grant.allows(found.route.scope):
            raise forbidden()
        account = self.account(grant.account)
        if subuser := request.headers.get("on-behalf-of"):
            if subuser not in account.subusers:
                raise forbidden()
            account = self.account(f"{grant.account}/{subuser}")
        query = dict(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True))
        body = _decoded(request) if request.body or request.path == SEND else None
        return Call(account, found.path, query, request.body, body, grant.scopes)

    def _run(self, call: Call, found: Found, quota: dict[str, str]) -> Answer:
        status, content = found.route.endpoint(call)
        call.account.outbox.settle()
        headers = quota | call.headers
        if content is None:
            return Answer(status, b"", headers)
        return Answer(status, orjson.dumps(content), headers | {"content-type": "application/json"})


def _decoded(request: Request) -> Any:
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != "application/json":
        raise Refused(415, mail_error("Content-Type should be application/json."))
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        try:
            request.body.decode()
        except UnicodeDecodeError:
            raise Refused(415, mail_error("Invalid UTF8 in request")) from error
        raise bad_request() from error


def _told(refused: Refused, quota: dict[str, str]) -> Answer:
    body = orjson.dumps({"errors": refused.errors})
    return Answer(refused.status, body, quota | {"content-type": "application/json"})
