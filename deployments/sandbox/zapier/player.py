"""Plays Zaps: switched on and off at the product, run by hooks or by hand, replayed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from deployments.sandbox.zapier.arrivals import Payload
from deployments.sandbox.zapier.mapping import mapped
from deployments.sandbox.zapier.product import Line, Product, Reply
from deployments.sandbox.zapier.samples import compared
from deployments.sandbox.zapier.targets import Targets
from deployments.sandbox.zapier.zaps import Action, Object, Run, Runs, Zap

PATIENCE = 50
API = "/api/zapier"
ACTIONS = "/api/webhooks/zapier"


class Player:
    def __init__(self, targets: Targets) -> None:
        self.targets = targets
        self.line = Line()
        self.runs = Runs()
        self.zaps: dict[str, Zap] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def clear(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.zaps.clear()
        self.runs.clear()

    def zap(self, given: Mapping[str, Any]) -> Zap:
        """A new one, still off."""
        key, secret = given["api_key"], given.get("signing_secret")
        zap = Zap(
            id=str(given.get("zap_id") or uuid.uuid4().int % 10**9),
            account=str(given.get("account") or 1),
            product=Product(given["api_base"], key, self.line, secret),
            event=(given.get("trigger") or {}).get("event"),
            action=_action(given.get("action")),
            own_writes=(given.get("trigger") or {}).get("own_writes"),
        )
        if at_once := given.get("at_once"):
            zap.turns = asyncio.Semaphore(int(at_once))
        self.zaps[zap.id] = zap
        return zap

    async def switch_on(self, zap: Zap, base: str) -> None:
        """As Zapier does: is the connection good, and then: tell me of this event, there."""
        zap.error = None
        reply = await zap.product.ask("GET", f"{API}/me")
        if not self._went_well(zap, "me", reply):
            return
        zap.me, zap.connection = reply.content, "live"
        if zap.event is not None and not await self._subscribed(zap, base):
            return
        zap.state = "on"

    async def _subscribed(self, zap: Zap, base: str) -> bool:
        target = self.targets.new(zap.account)
        target.zap, zap.target = zap, target
        wanted = {"event": zap.event, "target_url": base + target.path, "zap_id": zap.id}
        if zap.own_writes is not None:
            wanted["own_writes"] = zap.own_writes
        reply = await zap.product.ask("POST", f"{API}/hooks", wanted)
        if not self._went_well(zap, "subscribe", reply) or not _is_subscription(zap, reply):
            target.on = False
            return False
        zap.subscription = reply.content
        if secret := reply.content.get("secret"):
            target.trust([secret])
        return True

    async def switch_off(self, zap: Zap, *, told: bool = True) -> None:
        """Whatever the product says to it. Untold, it learns so from the next hook's 410."""
        zap.state, zap.error = "off", None
        if told and zap.subscription is not None:
            reply = await zap.product.ask("DELETE", f"{API}/hooks/{zap.subscription['id']}")
            self._went_well(zap, "unsubscribe", reply)
        if zap.target is not None:
            zap.target.on = False
        zap.subscription = None

    def reconnect(self, zap: Zap, given: Mapping[str, Any]) -> None:
        """With another key, or another secret."""
        zap.product.api_key = given.get("api_key", zap.product.api_key)
        zap.product.signing_secret = given.get("signing_secret", zap.product.signing_secret)
        zap.connection = "live"

    def hooked(self, zap: Zap, payload: Payload) -> None:
        """One run for each object; hooks are not compared with earlier ones."""
        for each in [payload] if isinstance(payload, dict) else payload:
            if not isinstance(each, dict):
                continue
            zap.hooks += 1
            zap.last_payload = each
            if zap.action is not None:
                self._start(self.begin(zap, each))

    def begin(self, zap: Zap, payload: Object) -> Run:
        if zap.action is None:
            raise ValueError(f"Zap {zap.id} has no action")
        hook = payload.get("id")
        fields = mapped(zap.action.fields, payload)
        return self.runs.begin(zap, None if hook is None else str(hook), fields)

    async def replay(self, run: Run) -> None:
        """Again, with what it had, and with the key it had."""
        if run.state != "failed":
            raise ValueError(f"{run.id} is {run.state}: only a failed run is replayed")
        run.replays += 1
        run.turn("running")
        await self.carry_out(run)

    def _start(self, run: Run) -> None:
        task = asyncio.create_task(self.carry_out(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def carry_out(self, run: Run) -> None:
        async with run.zap.turns:
            if run.zap.connection == "expired":
                run.error = "the connection is expired"
                run.turn("failed")
                return
            reply = await self._act(run)
            while (seconds := reply.wait) is not None and run.throttled < PATIENCE:
                run.throttled += 1
                run.turn("throttled")
                await asyncio.sleep(seconds)
                run.turn("running")
                reply = await self._act(run)
        _judge(run, reply)

    async def _act(self, run: Run) -> Reply:
        zap = run.zap
        assert zap.action is not None  # noqa: S101  else there is no run
        run.attempts += 1
        headers = {"idempotency-key": run.key} if run.key else {}
        wanted = {"action": zap.action.name, "data": run.fields, "zapId": zap.id}
        return await zap.product.ask("POST", ACTIONS, wanted, headers)

    async def poll_sample(self, zap: Zap, limit: int = 3) -> Object:
        """What the editor shows, beside what came last."""
        reply = await zap.product.ask("GET", f"{API}/samples/{zap.event}?limit={limit}")
        self._went_well(zap, "samples", reply)
        return {"status": reply.status, "samples": reply.content} | compared(
            reply.content, zap.last_payload
        )

    def _went_well(self, zap: Zap, step: str, reply: Reply) -> bool:
        if reply.status == 401:
            zap.connection = "expired"
        if not reply.is_good:
            zap.error = {"step": step, "status": reply.status, "content": reply.content}
        return reply.is_good


def _is_subscription(zap: Zap, reply: Reply) -> bool:
    """Without an id it could not be ended."""
    if isinstance(reply.content, dict) and reply.content.get("id"):
        return True
    zap.error = {"step": "subscribe", "status": reply.status, "content": "there is no id in it"}
    return False


def _judge(run: Run, reply: Reply) -> None:
    run.status, run.answer, run.error = reply.status, reply.content, None
    if reply.status == 401:
        run.zap.connection = "expired"
    if not reply.is_good:
        run.error = str(reply.content)[:2000]
    run.turn("success" if reply.is_good else "failed")


def _action(given: Mapping[str, Any] | None) -> Action | None:
    if given is None:
        return None
    return Action(given["action"], given.get("data") or {}, bool(given.get("idempotency")))
