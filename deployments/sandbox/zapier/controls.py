"""Controls of the simulated Zapier, under `/_sandbox/zapier/…`.

`target` is an address, its path, or a receiver's name; without it `account`, or all there are.

seed       {"targets": [{"target", behaviour…}], "receivers": [{"name", "secret"?}]}    POST
act        {"action": "switch_off" | "switch_on", "target"}: the Zap behind it          POST
behave     a behaviour, `steps` or a `mix` (behaviours.py) of `target` or `account`     POST
verify     {"target", "secret" | "secrets", "strict"?}: how it is signed                POST
received   what came: after=number, id, record, type, accepted, limit (the newest)      GET
counts     how often each event was accepted; all=1: of all, not only the repeated      GET
order      by record, what was accepted in which order; first=1: without repetitions    GET
targets    how much came to each, cheaply                                               GET
zaps       a new Zap, switched on                                                       POST
zaps/{id}  one; …/on …/off …/run …/reconnect …/sample …/replay (all that failed)        GET, POST
           …/off with "told": false switches it off without a word to the product
runs       by zap, state, hook, limit; runs/{id}; runs/{id}/replay                      GET, POST
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from deployments.sandbox.control import asked
from deployments.sandbox.provider import Control
from deployments.sandbox.zapier import looking
from deployments.sandbox.zapier.behaviours import manners_from
from deployments.sandbox.zapier.targets import Target
from deployments.sandbox.zapier.zaps import Run, Zap

if TYPE_CHECKING:
    from deployments.sandbox.zapier.provider import ZapierSandbox

Given = dict[str, Any]
PLACE = ("target", "account", "name", "secret", "secrets", "strict", "key")


class Steering:
    def __init__(self, provider: ZapierSandbox) -> None:
        self.provider = provider
        self.controls: Mapping[str, Control] = {
            "seed": self.seed,
            "act": self.act,
            "behave": self.behave,
            "verify": self.verify,
            "received": lambda given: looking.received(self._chosen(given), given),
            "counts": lambda given: looking.counts(self._chosen(given), given),
            "order": lambda given: looking.order(self._chosen(given), given),
            "targets": lambda given: [each.shown() for each in self._chosen(given)],
            "zaps": self.zaps,
            "runs": self.runs,
        }
        self.of_zaps: dict[str, Callable[[Zap, Given], Awaitable[Any]]] = {
            "on": self._on,
            "off": self._off,
            "run": self._run,
            "reconnect": self._reconnect,
            "sample": self._sample,
            "replay": self._replay_failed,
        }

    def _chosen(self, given: Given) -> list[Target]:
        return list(self.provider.targets.chosen(given))

    def seed(self, given: Given) -> Given:
        for each in given.get("targets", []):
            self.behave(each)
        for each in given.get("receivers", []):
            self.verify(each | {"target": each["name"]})
        return {name: len(given.get(name, [])) for name in ("targets", "receivers")}

    def act(self, given: Given) -> Given:
        if given["action"] not in ("switch_on", "switch_off"):
            raise ValueError("unknown action; one of switch_off, switch_on")
        target = self.provider.targets.named(given["target"])
        target.on = given["action"] == "switch_on"
        return target.shown()

    def behave(self, given: Given) -> Given:
        """Of a target, or of all of an account that have no behaviour of their own."""
        manners = manners_from({k: v for k, v in given.items() if k not in PLACE})
        if given.get("target"):
            target = self.provider.targets.named(given["target"])
            target.manners = manners
            return target.shown()
        self.provider.targets.usual[given["account"]] = manners
        return {"account": given["account"]}

    def verify(self, given: Given) -> Given:
        """`strict`: what is wrongly signed gets a 401."""
        target = self.provider.targets.named(given["target"])
        secret = given.get("secret")
        target.trust(list(given.get("secrets") or ([secret] if secret else [])))
        target.strict = bool(given.get("strict"))
        return target.shown()

    async def zaps(self, given: Given) -> Any:
        identifier, _, verb = str(given.pop("id", "")).partition("/")
        player = self.provider.player
        if identifier:
            zap = player.zaps[identifier]
            if asked.get().method == "GET" or not verb:
                return zap.shown()
            return await self.of_zaps[verb](zap, given)
        if asked.get().method == "GET":
            account = given.get("account")
            return [e.shown() for e in player.zaps.values() if account in (None, e.account)]
        return await self._on(player.zap(given), given)

    async def _on(self, zap: Zap, given: Given) -> Given:
        base = given.get("base") or f"http://{asked.get().headers['host']}/zapier"
        await self.provider.player.switch_on(zap, base)
        return zap.shown()

    async def _off(self, zap: Zap, given: Given) -> Given:
        await self.provider.player.switch_off(zap, told=given.get("told", True))
        return zap.shown()

    async def _run(self, zap: Zap, given: Given) -> Given:
        """{"data": {…}}, fields of a trigger that is not there; `hook` stands for its id."""
        run = self.provider.player.begin(zap, {"id": given.get("hook"), "data": given["data"]})
        await self.provider.player.carry_out(run)
        return run.shown()

    async def _reconnect(self, zap: Zap, given: Given) -> Given:
        self.provider.player.reconnect(zap, given)
        return zap.shown()

    async def _sample(self, zap: Zap, given: Given) -> Given:
        return await self.provider.player.poll_sample(zap, int(given.get("limit", 3)))

    async def _replay_failed(self, zap: Zap, given: Given) -> list[Given]:
        failed = list(self.provider.player.runs.chosen({"zap": zap.id, "state": "failed"}))
        return [await self._replayed(run) for run in failed]

    async def _replayed(self, run: Run) -> Given:
        await self.provider.player.replay(run)
        return run.shown()

    async def runs(self, given: Given) -> Any:
        identifier, _, verb = str(given.pop("id", "")).partition("/")
        runs = self.provider.player.runs
        if identifier:
            run = runs.by_id[identifier]
            return await self._replayed(run) if verb == "replay" else run.shown()
        found = list(runs.chosen(given))[-int(given.get("limit", 0)) :]
        return orjson.dumps([each.shown() for each in found])
