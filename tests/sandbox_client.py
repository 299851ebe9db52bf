"""The sandbox as tests use it: a process of its own, steered over its control routes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests

ROOT = Path(__file__).resolve().parents[1]


class Sandbox:
    """`key` is the account that calls without one of their own are about."""

    def __init__(self, url: str, key: str = "sk_test_suite") -> None:
        self.url = url
        self.key = key
        self.session = requests.Session()

    @classmethod
    def start(cls, *arguments: str) -> tuple[Sandbox, subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "deployments.sandbox", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("sandbox ready "), f"the sandbox did not start: {line!r}"
        return cls(line.split()[-1]), process

    def with_key(self, key: str) -> Sandbox:
        return Sandbox(self.url, key)

    @property
    def account(self) -> str:
        """As the logs of webhooks call it."""
        _, mode, name = self.key.split("_", 2)
        return f"acct_{name}/{mode}"

    def base(self, provider: str) -> str:
        return f"{self.url}/{provider}"

    def control(self, method: str, path: str, given: Any = None, **query: Any) -> Any:
        asked = {name: value for name, value in query.items() if value is not None}
        answer = self.session.request(
            method, f"{self.url}/_sandbox/{path}?{urlencode(asked)}", json=given, timeout=120
        )
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def reset(self) -> None:
        self.control("POST", "reset")

    def seed(self, provider: str = "stripe", **wanted: Any) -> dict[str, int]:
        return self.control("POST", f"{provider}/seed", {"key": self.key, **wanted})

    def act(self, action: str, identifier: str = "", **given: Any) -> dict[str, Any]:
        wanted = {"key": self.key, "action": action, "id": identifier, **given}
        return self.control("POST", "stripe/act", wanted)

    def emit(self, kind: str, identifier: str, **given: Any) -> dict[str, Any]:
        wanted = {"key": self.key, "type": kind, "id": identifier, **given}
        return self.control("POST", "stripe/emit", wanted)

    def settings(self, **given: Any) -> dict[str, Any]:
        """`api_version`, `search_lag` and `email` of the account."""
        return self.control("POST", "stripe/account", {"key": self.key, **given})

    def rotate_secret(self, endpoint: str, *, keep_old: bool = True) -> str:
        given = {"key": self.key, "id": endpoint, "keep_old": keep_old}
        return self.control("POST", "stripe/rotate_secret", given)["secret"]

    def fault(self, kind: str, **rule: Any) -> None:
        match = {name: rule.pop(name) for name in ("provider", "method", "path") if name in rule}
        if "match_body" in rule:
            match["body"] = rule.pop("match_body")
        self.control("POST", "faults", {"kind": kind, "match": match, **rule})

    def clear_faults(self, rng: int = 1) -> None:
        self.control("DELETE", "faults", rng=rng)

    def clock(self, **given: Any) -> float:
        """`now=…`, `frozen=True`, `advance=…` or `real=True`; answers with the time."""
        return self.control("POST", "clock", given)["now"]

    def requests(self, **wanted: Any) -> list[dict[str, Any]]:
        return self.control("GET", "requests", **wanted)

    def check_requests(self) -> None:
        """Hold what the account asked of Stripe, and was not refused for, against the description."""
        from stripe_description import check_request

        for entry in self.requests(provider="stripe", account=self.account.partition("/")[0]):
            if entry["status"] not in (400, 404):
                check_request(entry["method"], entry["path"], entry["params"])

    def clear_requests(self) -> None:
        self.control("DELETE", "requests")

    def recording(self, on: bool) -> None:
        self.control("POST", "requests", {"recording": on})

    def stats(self, provider: str = "stripe") -> dict[str, Any]:
        return self.control("GET", "stats").get(provider, {})

    def webhooks(self, **policy: Any) -> dict[str, Any]:
        """Set how deliveries misbehave; without arguments, what was attempted for the account."""
        if policy:
            return self.control("POST", "webhooks", policy)
        return self.control("GET", "webhooks", account=self.account)

    def clear_webhooks(self) -> None:
        self.control("DELETE", "webhooks")

    def flush(self, **given: Any) -> list[dict[str, Any]]:
        return self.control("POST", "webhooks/flush", {"account": self.account, **given})

    def dump(self, kind: str) -> list[dict[str, Any]]:
        return self.control("GET", "stripe/dump", key=self.key, type=kind)

    def count(self, kind: str | None = None) -> Any:
        counts = self.control("GET", "stripe/count", key=self.key)
        return counts[kind] if kind else counts

    def object(self, identifier: str) -> dict[str, Any]:
        return self.control("GET", f"stripe/object/{identifier}", key=self.key)

    def latency(self, seconds: float, provider: str = "stripe") -> None:
        self.control("POST", "latency", {"provider": provider, "seconds": seconds})

    def limits(self, provider: str = "stripe", **given: Any) -> None:
        """`off=True`, `default=True`, or `reads=…`, `writes=…`, `search=…` a second."""
        self.control("POST", "limits", {"provider": provider, **given})

    def wait_for_webhooks(self, count: int, seconds: float = 60) -> list[dict[str, Any]]:
        """The attempts for the account, once there are so many."""
        until = time.monotonic() + seconds
        while len(attempts := self.webhooks()["attempts"]) < count:
            assert time.monotonic() < until, f"{len(attempts)} of {count} deliveries were attempted"
            time.sleep(0.02)
        return attempts
