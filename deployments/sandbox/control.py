"""Controls under `/_sandbox`: seed, clock, faults, latency, limits, logs, webhooks.

JSON in, JSON out. No authentication: the sandbox listens on loopback only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

from deployments.sandbox.wire import Answer, Request, json_answer

if TYPE_CHECKING:
    from deployments.sandbox.app import Sandbox

Given = dict[str, Any]
# The request to a control, for those to whom its method, or where the sandbox was found, matters.
asked: ContextVar[Request] = ContextVar("asked")


class Controls:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.routes: dict[tuple[str, str], Callable[[Given], Any]] = {
            ("GET", ""): self.show,
            ("POST", "reset"): self.reset,
            ("GET", "clock"): self.show_clock,
            ("POST", "clock"): self.set_clock,
            ("GET", "faults"): self.show_faults,
            ("POST", "faults"): self.add_faults,
            ("DELETE", "faults"): self.clear_faults,
            ("POST", "latency"): self.set_latency,
            ("POST", "limits"): self.set_limits,
            ("GET", "requests"): self.show_requests,
            ("POST", "requests"): self.set_recording,
            ("DELETE", "requests"): self.clear_requests,
            ("GET", "stats"): self.show_stats,
            ("GET", "webhooks"): self.show_webhooks,
            ("POST", "webhooks"): self.set_webhooks,
            ("DELETE", "webhooks"): self.clear_webhooks,
            ("POST", "webhooks/flush"): self.flush_webhooks,
        }

    async def answer(self, request: Request) -> Answer:
        path = request.path.strip("/")
        asked.set(request)
        try:
            given = _given(request)
            route = self.routes.get((request.method, path)) or self._provider_control(path, given)
            if route is None:
                return json_answer({"error": f"no control {request.method} {path}"}, 404)
            content = route(given)
            if inspect.isawaitable(content):
                content = await content
        except (KeyError, TypeError, ValueError, LookupError) as error:
            return json_answer({"error": f"{type(error).__name__}: {error}"}, 400)
        if isinstance(content, bytes):
            return Answer(200, content, {"content-type": "application/json"})
        return json_answer(content)

    def _provider_control(self, path: str, given: Given) -> Callable[[Given], Any] | None:
        name, _, rest = path.partition("/")
        action, _, identifier = rest.partition("/")
        provider = self.sandbox.providers.get(name)
        if provider is None or action not in provider.controls:
            return None
        if identifier:
            given["id"] = identifier
        return provider.controls[action]

    def show(self, given: Given) -> Given:
        return {
            "providers": sorted(self.sandbox.providers),
            "clock": self.sandbox.world.clock.shown(),
            "controls": sorted(f"{method} /_sandbox/{path}" for method, path in self.routes),
        }

    def reset(self, given: Given) -> Given:
        self.sandbox.reset()
        return {"reset": True}

    def show_clock(self, given: Given) -> Given:
        return self.sandbox.world.clock.shown()

    def set_clock(self, given: Given) -> Given:
        clock = self.sandbox.world.clock
        if given.get("real"):
            clock.be_real()
        if "now" in given:
            clock.set(given["now"], frozen=bool(given.get("frozen")))
        if "advance" in given:
            clock.advance(float(given["advance"]))
        for provider in self.sandbox.providers.values():
            provider.clock_moved()
        return clock.shown()

    def show_faults(self, given: Given) -> list[Given]:
        return [rule.shown() for rule in self.sandbox.faults.rules]

    def add_faults(self, given: Given) -> list[Given]:
        self.sandbox.faults.add(given.get("rules", [given]))
        return self.show_faults(given)

    def clear_faults(self, given: Given) -> list[Given]:
        self.sandbox.faults.clear(int(given.get("rng", 1)))
        return []

    def set_latency(self, given: Given) -> Given:
        self.sandbox.latency[given["provider"]] = float(given["seconds"])
        return dict(self.sandbox.latency)

    def set_limits(self, given: Given) -> Given:
        """{"provider", "off": true | "default": true | lane: per second …, "caller"?}."""
        limits = self.sandbox.providers[given.pop("provider")].limits
        caller = given.pop("caller", None)
        if given.pop("default", False):
            limits.clear()
        if given.pop("off", False):
            given = {"reads": None, "writes": None, "search": None}
        for lane, rate in given.items():
            limits.set(lane, None if rate is None else float(rate), caller)
        return {f"{who or '*'} {lane}": rate for (who, lane), rate in limits.rates.items()}

    def show_requests(self, given: Given) -> list[Given]:
        return self.sandbox.journal.shown(given)

    def set_recording(self, given: Given) -> Given:
        self.sandbox.journal.recording = bool(given["recording"])
        return {"recording": self.sandbox.journal.recording}

    def clear_requests(self, given: Given) -> Given:
        self.sandbox.journal.clear()
        return {"cleared": True}

    def show_stats(self, given: Given) -> Given:
        return self.sandbox.journal.stats()

    def show_webhooks(self, given: Given) -> Given:
        dispatcher = self.sandbox.world.dispatcher
        account = given.get("account")
        return {
            "waiting": sum(account in (None, e.account) for _, _, e in dispatcher.waiting),
            "attempts": [a for a in dispatcher.log if account in (None, a["account"])],
        }

    def set_webhooks(self, given: Given) -> Given:
        dispatcher = self.sandbox.world.dispatcher
        dispatcher.set_policy(given)
        return {
            name: getattr(dispatcher.policy, name) for name in type(dispatcher.policy).__slots__
        }

    def clear_webhooks(self, given: Given) -> Given:
        self.sandbox.world.dispatcher.clear()
        return {"cleared": True}

    async def flush_webhooks(self, given: Given) -> list[Given]:
        return await self.sandbox.world.dispatcher.flush(**given)


def _given(request: Request) -> Given:
    given: Given = dict(parse_qsl(request.query.decode()))
    if request.body:
        body = orjson.loads(request.body)
        given |= body if isinstance(body, dict) else {"rules": body}
    return given
