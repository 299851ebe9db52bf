"""A Zapier app as our API sees it: a key, perhaps a secret to sign with."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from time import time
from typing import Any
from uuid import UUID

import httpx
import orjson
from web_client import run

from atlvs.db import api_keys

ACTING = "/api/webhooks/zapier"
HOOKS = "/api/zapier/hooks"
ME = "/api/zapier/me"


def signature(secret: str, at: int, method: str, path: str, body: bytes) -> str:
    """By the contract's words, apart from the product's own."""
    signed = b".".join([str(at).encode(), method.encode(), path.encode(), body])
    made = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(made).decode()}"


@dataclass
class ZapierApp:
    """A client with an API key."""

    url: str
    key: str
    secret: str | None = None

    def __call__(self, method: str, path: str, given: Any = None, **headers: str) -> httpx.Response:
        """One request, signed where there is a secret. Headers in snake_case."""
        body = b"" if given is None else given if isinstance(given, bytes) else orjson.dumps(given)
        told = {"Authorization": f"Bearer {self.key}"}
        if body:
            told["Content-Type"] = "application/json; charset=utf-8"
        if self.secret:
            at = int(time())
            told["X-Atlvs-Timestamp"] = str(at)
            told["X-Atlvs-Signature"] = signature(self.secret, at, method, path, body)
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name.encode(): value.encode() for name, value in told.items()}
        with httpx.Client(timeout=30) as client:
            return client.request(method, self.url + path, content=body or None, headers=sent)

    def me(self) -> httpx.Response:
        return self("GET", ME)

    def act(self, action: Any, data: Any, **headers: str) -> httpx.Response:
        return self("POST", ACTING, {"action": action, "data": data}, **headers)

    def subscribe(self, event: str, target: str, **more: Any) -> httpx.Response:
        return self("POST", HOOKS, {"event": event, "target_url": target, **more})


def new_app(url: str, org: UUID, *scopes: str, signed: bool = False) -> ZapierApp:
    """A key with these scopes."""
    secret = api_keys.new_signing_secret() if signed else None
    made = api_keys.create(org, "Zaps", scopes or ("zapier",), signing_secret=secret)
    return ZapierApp(url, run(made)[0], secret)
