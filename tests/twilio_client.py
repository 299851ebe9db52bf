"""One simulated Twilio account as tests use it; the official description judges what goes by."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import requests
from sandbox_client import Sandbox
from twilio_description import check_answer, check_request

NUMBER = "+14155552671"
POOL = ["+14155552672", "+18005550100"]
PHONE = "+14155550123"
VERSION = "/2010-04-01/Accounts"


class TwilioAccount:
    """Its senders are as fast as the machine; `scale=1` makes them as slow as the real ones."""

    def __init__(self, sandbox: Sandbox, **wanted: Any) -> None:
        self.sandbox = sandbox
        self.key = uuid4().hex[:12]
        seed = {
            "numbers": [NUMBER],
            "services": [{"name": "alerts", "numbers": POOL}],
            "settings": {"scale": None, "transit": 0.0, "ring": 0.0, "talk": 0.0},
        }
        self.seeded = self.control("POST", "seed", **(seed | wanted))
        self.sid: str = self.seeded["account"]
        self.token: str = self.seeded["auth_token"]
        self.service: str = self.seeded["services"].get("alerts", "")
        self.session = requests.Session()
        sandbox.limits("twilio", off=True)

    def control(self, method: str, control: str, **given: Any) -> Any:
        if method == "GET":
            return self.sandbox.control("GET", f"twilio/{control}", key=self.key, **given)
        return self.sandbox.control("POST", f"twilio/{control}", {"key": self.key, **given})

    def act(self, action: str, identifier: str = "", **given: Any) -> dict[str, Any]:
        return self.control("POST", "act", action=action, id=identifier, **given)

    def settings(self, **given: Any) -> dict[str, Any]:
        return self.control("POST", "settings", **given)

    def path(self, rest: str) -> str:
        return f"{VERSION}/{self.sid}{rest}"

    def __call__(
        self,
        method: str,
        rest: str,
        params: dict[str, Any] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> requests.Response:
        """`rest` is what follows the account's path, or a whole path."""
        path = rest if rest.startswith(("/2010", "/v1")) else self.path(rest)
        place = {"params": params} if method == "GET" else {"data": params}
        answer = self.session.request(
            method,
            self.sandbox.base("twilio") + path,
            auth=auth or (self.sid, self.token),
            timeout=30,
            **place,  # pyright: ignore[reportArgumentType]
        )
        plain, _, query = path.partition("?")
        if plain.startswith("/2010") and plain.endswith(".json"):
            asked = dict(params or {}) | dict(parse_qsl(query))
            if answer.status_code < 400:
                check_request(method, plain, asked)
            check_answer(method, plain, answer.status_code, answer.content)
        return answer

    def send(self, to: str = PHONE, body: str = "Doors open", **more: Any) -> requests.Response:
        """From the account's number, where nothing else is said."""
        if "MessagingServiceSid" not in more:
            more.setdefault("From", NUMBER)
        wanted = {"To": to, "Body": body, **more}
        return self(
            "POST", "/Messages.json", {name: value for name, value in wanted.items() if value}
        )

    def sent(self, to: str = PHONE, body: str = "Doors open", **more: Any) -> dict[str, Any]:
        answer = self.send(to, body, **more)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def message(self, sid: str) -> dict[str, Any]:
        return self("GET", f"/Messages/{sid}.json").json()

    def messages(self, **filters: str) -> list[dict[str, Any]]:
        return self("GET", "/Messages.json", filters).json()["messages"]

    def final(self, sid: str, status: str = "delivered") -> dict[str, Any]:
        """The message, once it is in this state."""
        return until(lambda: self.message(sid), lambda each: each["status"] == status)

    def call(self, to: str = PHONE, **more: Any) -> dict[str, Any]:
        answer = self("POST", "/Calls.json", {"To": to, "From": NUMBER, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def over(self, sid: str, status: str = "completed") -> dict[str, Any]:
        return until(
            lambda: self("GET", f"/Calls/{sid}.json").json(), lambda each: each["status"] == status
        )

    def received(self, **given: Any) -> list[dict[str, Any]]:
        return self.control("GET", "received", **given)

    def counts(self, **given: Any) -> dict[str, Any]:
        return self.control("GET", "received_counts", **given)


def code_of(answer: requests.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["code"]


def until(look: Callable[[], Any], done: Callable[[Any], bool], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not done(seen := look()):
        assert time.monotonic() < end, seen
        time.sleep(0.01)
    return seen


def params_of(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


def is_signed(token: str, url: str, body: bytes, headers: dict[str, str]) -> bool:
    """As the documentation tells receivers to check it."""
    pairs = sorted(parse_qsl(body.decode(), keep_blank_values=True))
    signed = url + "".join(name + value for name, value in pairs)
    made = hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()
    return base64.b64encode(made).decode() == headers["x-twilio-signature"]
