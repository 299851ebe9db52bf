"""The simulated Zapier as tests use it: targets, receivers of signed webhooks, Zaps that run."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import requests
from sandbox_client import Sandbox

Object = dict[str, Any]
HOOK_SECRET = "whsec_" + base64.b64encode(b"h" * 32).decode()


class ZapierAccount:
    """Targets are as fast as the machine; `limited(target)` makes one as slow as the real ones."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.account = uuid4().hex[:12]
        self.base = sandbox.base("zapier")
        sandbox.limits("zapier", off=True)

    def control(self, method: str, control: str, **given: Any) -> Any:
        if method == "GET":
            if not given.get("target"):
                given["account"] = self.account
            return self.sandbox.control("GET", f"zapier/{control}", **given)
        return self.sandbox.control("POST", f"zapier/{control}", given)

    def target(self, name: str | None = None) -> str:
        """The address of a target; a new one without a name."""
        return f"{self.base}/hooks/standard/{self.account}/{name or uuid4().hex}"

    def receiver(self, name: str | None = None, secret: str | None = None, **given: Any) -> str:
        """The address of a receiver that is nobody's Zap."""
        url = f"{self.base}/receive/{self.account}-{name or uuid4().hex}"
        if secret is not None:
            self.verify(url, secret, **given)
        return url

    def verify(self, target: str, *secrets: str, strict: bool = False) -> None:
        """Hold what comes against these secrets; when strict, answer 401 to what is not signed."""
        self.control("POST", "verify", target=target, secrets=list(secrets), strict=strict)

    def behave(self, target: str | None, kind: str = "ok", **given: Any) -> None:
        """A kind of `deployments.sandbox.zapier.answers`; without a target all of the account."""
        self.control("POST", "behave", target=target, account=self.account, kind=kind, **given)

    def steps(self, target: str | None, *behaviours: Object) -> None:
        """One behaviour after the other, each for its `times`; then well."""
        place = {"target": target, "account": self.account}
        self.control("POST", "behave", **place, steps=list(behaviours))

    def mix(self, target: str | None, *behaviours: Object, seed: int = 1) -> None:
        """Behaviours by `weight`, at random."""
        place = {"target": target, "account": self.account}
        self.control("POST", "behave", **place, mix=list(behaviours), seed=seed)

    def fail_times(self, target: str, times: int, status: int = 500, **given: Any) -> None:
        self.behave(target, "fail_times", times=times, status=status, **given)

    def limited(self, target: str, scale: float = 1.0) -> None:
        """Thirty a second, times `scale`."""
        path = target.removeprefix(self.base)
        self.sandbox.limits("zapier", caller=path, writes=1, scale=scale)

    def switch_off(self, target: str) -> None:
        """The Zap behind it is off: 410."""
        self.control("POST", "act", action="switch_off", target=target)

    def switch_on(self, target: str) -> None:
        self.control("POST", "act", action="switch_on", target=target)

    def received(self, target: str | None = None, **wanted: Any) -> list[Object]:
        """All that came, in order; bodies and headers of the newest few hundred."""
        return self.control("GET", "received", target=target, **wanted)

    def accepted(self, target: str | None = None, **wanted: Any) -> list[Object]:
        return self.received(target, accepted=1, **wanted)

    def counts(self, target: str | None = None, **wanted: Any) -> Object:
        """arrived, accepted, distinct, most, repeated; `all=1`: `counts` by event id."""
        return self.control("GET", "counts", target=target, **wanted)

    def order(self, target: str | None = None, **wanted: Any) -> Object:
        """`backwards`: records told out of order; `all=1`: `order` by record; `first=1`."""
        return self.control("GET", "order", target=target, **wanted)

    def stats(self, target: str) -> Object:
        """How much came, cheaply at any size."""
        return self.control("GET", "targets", target=target)[0]

    def wait(self, target: str, distinct: int, seconds: float = 10) -> Object:
        """Its stats, once so many different events were accepted."""
        return until(lambda: self.stats(target), lambda seen: seen["distinct"] >= distinct, seconds)

    def zap(
        self,
        api_base: str,
        api_key: str,
        event: str | None = None,
        action: Object | None = None,
        **given: Any,
    ) -> Object:
        """A Zap, switched on: `state` says whether that went well, else `error`.

        `action`: {"action", "data" with {{field}}, "idempotency"?}. Also `signing_secret`, `zap_id`.
        """
        wanted: Object = {"api_base": api_base, "api_key": api_key, "account": self.account}
        if event is not None:
            wanted["trigger"] = {"event": event, "own_writes": given.pop("own_writes", None)}
        if action is not None:
            wanted["action"] = action
        return self.control("POST", "zaps", **wanted, **given)

    def seen_zap(self, zap: Object) -> Object:
        return self.sandbox.control("GET", f"zapier/zaps/{zap['id']}")

    def on(self, zap: Object) -> Object:
        """On again, with a new target."""
        return self.control("POST", f"zaps/{zap['id']}/on")

    def off(self, zap: Object, *, told: bool = True) -> Object:
        """Untold, the product learns of it from a 410."""
        return self.control("POST", f"zaps/{zap['id']}/off", told=told)

    def address(self, zap: Object) -> str:
        """Where hooks for the Zap go."""
        return self.base + zap["target"]

    def run(self, zap: Object, hook: str | None = None, **data: Any) -> Object:
        """Its action, by hand; `hook` stands for the id of an event."""
        return self.control("POST", f"zaps/{zap['id']}/run", hook=hook, data=data)

    def reconnect(self, zap: Object, **given: str) -> Object:
        """With another `api_key` or `signing_secret`."""
        return self.control("POST", f"zaps/{zap['id']}/reconnect", **given)

    def poll_sample(self, zap: Object, limit: int = 3) -> Object:
        """status, samples, and beside the last live payload: keys_equal, missing, extra, …"""
        return self.control("POST", f"zaps/{zap['id']}/sample", limit=limit)

    def runs(self, zap: Object | None = None, **wanted: Any) -> list[Object]:
        """By `state` (running, throttled, success, failed) and `hook`, oldest first."""
        return self.control("GET", "runs", zap=zap["id"] if zap else None, **wanted)

    def wait_for_runs(self, zap: Object, number: int, seconds: float = 10) -> list[Object]:
        """The runs, once so many are over."""
        over = ("success", "failed")
        return until(
            lambda: [each for each in self.runs(zap) if each["state"] in over],
            lambda seen: len(seen) >= number,
            seconds,
        )

    def replay(self, run: Object) -> Object:
        """A failed run again, with the same input and key."""
        return self.control("POST", f"runs/{run['id']}/replay")

    def replay_failed(self, zap: Object) -> list[Object]:
        return self.control("POST", f"zaps/{zap['id']}/replay")


def event(number: int, record: str = "r1", at: int | None = None, **data: Any) -> Object:
    moment = f"2026-01-02T03:04:{number if at is None else at:02d}.000000+00:00"
    content = {"id": record, **data}
    return {"id": f"e{number}", "type": "contact.created", "occurred_at": moment, "data": content}


def post(target: str, content: Any, **given: Any) -> requests.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    given = {"timeout": 10, "allow_redirects": False, "data": body} | given
    return requests.request("POST", target, **given)  # noqa: S113  there is one


def signed(secret: str, body: bytes, at: float, identifier: str = "e1") -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message = f"{identifier}.{int(at)}.".encode() + body
    digest = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": f"v1,{digest}",
    }


def until(look: Callable[[], Any], done: Callable[[Any], bool], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not done(seen := look()):
        assert time.monotonic() < end, seen
        time.sleep(0.02)
    return seen
