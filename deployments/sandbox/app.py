"""The ASGI app: each simulated service under `/{provider}`, the controls under `/_sandbox`."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import struct
from typing import Any

from deployments.sandbox.control import Controls
from deployments.sandbox.faults import AFTER, Faults, Rule
from deployments.sandbox.journal import Journal
from deployments.sandbox.provider import Provider, World
from deployments.sandbox.wire import (
    Answer,
    Receive,
    Request,
    Scope,
    Send,
    json_answer,
    read_request,
    send_answer,
)

# Closing with unread data or a zero linger makes the peer see ECONNRESET, not a clean end.
LINGER_ZERO = struct.pack("ii", 1, 0)


class Sandbox:
    """Simulated services over real sockets; state lives in this process and dies with it."""

    def __init__(self, providers: dict[str, Provider], world: World) -> None:
        self.providers = providers
        self.world = world
        self.faults = Faults()
        self.journal = Journal()
        self.latency: dict[str, float] = {}
        self.controls = Controls(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.world.dispatcher.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, name, *rest = scope["path"].split("/", 2)
        request = await read_request(scope, receive, "/" + "".join(rest))
        provider = self.providers.get(name)
        if name == "_sandbox":
            await send_answer(send, await self.controls.answer(request))
        elif provider is None:
            await send_answer(send, json_answer({"error": f"no service at /{name}"}, 404))
        else:
            await self._provide(provider, request, scope, send)

    async def _provide(
        self, provider: Provider, request: Request, scope: Scope, send: Send
    ) -> None:
        if seconds := self.latency.get(provider.name):
            await asyncio.sleep(seconds)
        rule = self.faults.pick(provider.name, request.method, request.path, request.body)
        if rule is not None and rule.kind not in AFTER and rule.kind != "slow":
            provider.note(request)
            answer = None if rule.kind == "reset" else provider.failure(request, rule)
        else:
            request.fault = rule
            answer = await provider.answer(request)
        self._note(provider, request, answer, rule)
        if answer is None or (rule is not None and rule.kind == "reset_after"):
            hang_up(scope)
        elif rule is not None and rule.kind == "truncate":
            await send_answer(send, answer, only=len(answer.body) // 2)
            await asyncio.sleep(0.01)
            hang_up(scope)
        elif isinstance(answer, OwnWay):
            await answer.go(scope, send)
        else:
            await send_answer(send, answer)

    def _note(
        self, provider: Provider, request: Request, answer: Answer | None, rule: Rule | None
    ) -> None:
        self.journal.note(
            provider.name,
            request,
            answer.status if answer else 0,
            self.world.clock.now(),
            rule.kind if rule else None,
        )

    def reset(self) -> None:
        """Forget everything: objects, log, faults, policies, the moved clock."""
        self.world.clock.be_real()
        self.world.dispatcher.clear()
        self.faults.clear()
        self.journal.clear()
        self.journal.recording = True
        self.latency.clear()
        for provider in self.providers.values():
            provider.limits.clear()
            provider.reset()


class OwnWay(Answer):
    """An answer that goes over the wire in a way of its own."""

    async def go(self, scope: Scope, send: Send) -> None:
        raise NotImplementedError


class HungUp(ConnectionError):
    """Ends a request whose connection was dropped on purpose."""


def hang_up(scope: Scope) -> None:
    """Drop the connection without an answer."""
    transport: asyncio.Transport | None = scope.get("sandbox.transport")
    if transport is None:
        raise HungUp
    with contextlib.suppress(OSError, AttributeError):
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO
        )
    transport.abort()


def create_app(providers: list[str] | None = None) -> Sandbox:
    from deployments.sandbox import PROVIDERS

    world = World()
    built: dict[str, Provider] = {}
    for name in providers or list(PROVIDERS):
        built[name] = _provider_class(PROVIDERS[name])(world)
    return Sandbox(built, world)


def _provider_class(dotted: str) -> Any:
    module, _, name = dotted.partition(":")
    return getattr(importlib.import_module(module), name)
