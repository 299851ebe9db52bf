"""The doors: `/hooks/standard/{account}/{token}` of Zaps, `/receive/{name}` of anybody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import orjson

from deployments.sandbox.faults import Rule
from deployments.sandbox.provider import Control, Provider, World
from deployments.sandbox.wire import Answer, Request
from deployments.sandbox.zapier.answers import answer_for, is_accepting, refusal, success
from deployments.sandbox.zapier.arrivals import Arrival, Journal, Payload, as_text
from deployments.sandbox.zapier.controls import Steering
from deployments.sandbox.zapier.player import Player
from deployments.sandbox.zapier.rates import Pace
from deployments.sandbox.zapier.targets import Target, Targets

LARGEST = 10 * 1024 * 1024


class ZapierSandbox(Provider):
    name = "zapier"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.limits: Pace = Pace()
        self.journal = Journal()
        self.targets = Targets()
        self.player = Player(self.targets)
        self.steering = Steering(self)

    def reset(self) -> None:
        self.journal.clear()
        self.targets.clear()
        self.player.clear()

    @property
    def controls(self) -> Mapping[str, Control]:
        return self.steering.controls

    def note(self, request: Request) -> None:
        request.noted.account = request.path

    def failure(self, request: Request, rule: Rule) -> Answer:
        answer = refusal(rule.status, "as it was told to")
        if rule.body is not None:
            plain = isinstance(rule.body, str)
            answer.body = rule.body.encode() if plain else orjson.dumps(rule.body)
        if rule.status == 429:
            answer.headers["retry-after"] = "1"
        answer.headers |= {name.lower(): value for name, value in rule.headers.items()}
        return answer

    async def answer(self, request: Request) -> Answer:
        self.note(request)
        fault = request.fault
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        target = self.targets.find(request.path)
        if target is None:
            return refusal(404, f"There is nothing at {request.path}.")
        arrival = self.journal.arrival(target.path, request.method, request.headers, request.body)
        answer = self._taken(target, request, arrival)
        if fault is not None and fault.kind != "slow":
            arrival.answered = fault.kind == "500_after"
        if fault is not None and fault.kind == "500_after":
            return self.failure(request, fault)
        return answer

    def _taken(self, target: Target, request: Request, arrival: Arrival) -> Answer:
        arrival.verified = target.verified(request.headers, request.body, time.time())
        payload: Payload | None = None
        if request.method == "DELETE" and not target.receives:
            answer = _paused(target)
        elif request.method != "POST":
            answer = refusal(405, "Hooks are posted here.")
        else:
            payload = _read(request.body)
            arrival.read(payload or {})
            answer = self._refused(target, request, payload)
            answer = answer or self._behaved(target, arrival)
        arrival.status = answer.status
        target.keep(arrival, _ids(payload or {}))
        if arrival.accepted and target.zap is not None:
            self.player.hooked(target.zap, payload or {})
        return answer

    def _refused(self, target: Target, request: Request, payload: Payload | None) -> Answer | None:
        if len(request.body) > LARGEST:
            return refusal(413, "A hook has at most 10 MB.")
        if not target.on:
            return refusal(410, "The Zap is off.")
        if not target.receives and (seconds := self.limits.wait(target.path)):
            return refusal(429, "Too many hooks.", retry_after=str(seconds))
        if payload is None:
            return refusal(400, "A hook is a JSON object or an array of them.")
        return None

    def _behaved(self, target: Target, arrival: Arrival) -> Answer:
        behaviour = target.next(self.targets.usual.get(target.account))
        arrival.behaviour = behaviour.kind
        if target.strict and not arrival.verified:
            return refusal(401, "The signature is wrong.")
        arrival.accepted = is_accepting(behaviour)
        return answer_for(behaviour, arrival, target.receives)


def _paused(target: Target) -> Answer:
    """A reverse unsubscribe: the Zap is paused, its target gone."""
    target.on = False
    if target.zap is not None:
        target.zap.state = "paused"
    return success(receives=False)


def _read(body: bytes) -> Payload | None:
    """An object or an array, or nothing."""
    if len(body) > LARGEST:
        return None
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return payload if isinstance(payload, dict | list) else None


def _ids(payload: Payload) -> list[str | None]:
    each = [payload] if isinstance(payload, dict) else payload
    return [as_text(one.get("id")) for one in each if isinstance(one, dict)]
