"""The sandbox's Zapier: Zaps that are switched on, run actions, and are held against our answers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from aiohttp import web
from sandbox_zapier_client import HOOK_SECRET, Object, ZapierAccount, event, post, signed, until

pytest_plugins = ["sandbox_zapier_fixtures"]
KEY, SECRET = "atlvs_stub", "atlvssig_stub"


class Product:
    """The other side, as small as it can be: what it is asked, and what it was told to answer."""

    def __init__(self) -> None:
        self.key, self.secret = KEY, SECRET
        self.asked: list[Object] = []
        self.hooks: dict[str, Object] = {}
        self.made: dict[str, Object] = {}
        self.answers: list[tuple[int, Object, dict[str, str]]] = []
        self.samples: list[Object] = [event(0, name="Ada")]
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._serve(), self.loop).result(10)

    async def _serve(self) -> str:
        app = web.Application()
        app.add_routes([web.route("*", "/{path:.*}", self._answer)])
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    def close(self) -> None:
        if self.loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        content = json.loads(body) if body else None
        call = f"{request.method} {request.path_qs}"
        self.asked.append({"call": call, "content": content, "headers": request.headers})
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"code": "unauthorized"}}, status=401)
        if not self._is_signed(request, body):
            return web.json_response({"error": {"code": "signature_invalid"}}, status=401)
        status, answer, headers = self._made(request, content)
        return web.json_response(answer, status=status, headers=headers)

    def _is_signed(self, request: web.Request, body: bytes) -> bool:
        at = request.headers.get("x-atlvs-timestamp", "0")
        message = f"{at}.{request.method}.{request.raw_path}.".encode() + body
        digest = hmac.new(self.secret.encode(), message, hashlib.sha256).digest()
        given = request.headers.get("x-atlvs-signature")
        return (
            abs(time.time() - int(at)) < 10 and given == "v1," + base64.b64encode(digest).decode()
        )

    def _made(self, request: web.Request, content: Any) -> tuple[int, Any, dict[str, str]]:
        match request.method, request.path.split("/")[2:]:
            case "GET", ["zapier", "me"]:
                return 200, {"organization": "Acme", "signed": True}, {}
            case "POST", ["zapier", "hooks"]:
                hook = {"id": f"h{len(self.hooks)}", "secret": HOOK_SECRET, **content}
                self.hooks[hook["id"]] = hook
                return 201, hook, {}
            case "DELETE", ["zapier", "hooks", identifier]:
                self.hooks.pop(identifier, None)
                return 200, {"id": identifier, "status": "ended"}, {}
            case "GET", ["zapier", "samples", _]:
                return 200, self.samples, {}
            case _:
                return self.answers.pop(0) if self.answers else self._acted(request, content)

    def _acted(self, request: web.Request, content: Any) -> tuple[int, Any, dict[str, str]]:
        key = request.headers.get("idempotency-key") or f"none {len(self.made)}"
        known = key in self.made
        made = self.made.setdefault(key, {"id": f"o{len(self.made)}", **content["data"]})
        return 200 if known else 201, made, {}

    def tell(self, content: Object) -> int:
        """Post it to all hooks, signed; the last answer's status."""
        body = json.dumps(content).encode()
        headers = signed(HOOK_SECRET, body, time.time(), content["id"])
        targets = [hook["target_url"] for hook in self.hooks.values()]
        return [post(each, body, headers=headers).status_code for each in targets][-1]

    def calls(self) -> list[str]:
        return [each["call"] for each in self.asked]


@pytest.fixture
def sandbox_zapier_product() -> Iterator[Product]:
    product = Product()
    yield product
    product.close()


@pytest.fixture
def zap_on(sandbox_zapier: ZapierAccount, sandbox_zapier_product: Product) -> Callable[..., Object]:
    """Switches a Zap on at the stub."""

    def switched_on(**given: Any) -> Object:
        wanted = {"event": "contact.created", "signing_secret": SECRET, **given}
        return sandbox_zapier.zap(sandbox_zapier_product.url, KEY, **wanted)

    return switched_on


ACTION = {
    "action": "note.create",
    "data": {"body": "Hello {{name}} ({{contact.email}})", "record_id": "{{id}}", "vip": "{{vip}}"}
    | {"none": "{{nothing}}", "type": "{{type}}", "fixed": 7},
}


def test_a_zap_is_switched_on_and_off(
    sandbox_zapier: ZapierAccount, sandbox_zapier_product: Product, zap_on: Callable[..., Object]
) -> None:
    product = sandbox_zapier_product
    zap = zap_on(zap_id="77", own_writes=True)
    assert (zap["state"], zap["connection"], zap["me"]["organization"]) == ("on", "live", "Acme")
    assert product.calls() == ["GET /api/zapier/me", "POST /api/zapier/hooks"]
    target = sandbox_zapier.address(zap)
    wanted = {"event": "contact.created", "target_url": target, "zap_id": "77", "own_writes": True}
    assert product.asked[1]["content"] == wanted
    assert zap["subscription"]["id"] == "h0"
    assert product.tell(event(1)) == 200
    (seen,) = sandbox_zapier.received(target)
    assert (seen["verified"], sandbox_zapier.runs(zap)) == (True, [])
    hooks = dict(product.hooks)
    assert sandbox_zapier.off(zap)["state"] == "off"
    assert (product.calls()[-1], product.hooks) == ("DELETE /api/zapier/hooks/h0", {})
    product.hooks = hooks
    assert product.tell(event(2)) == 410
    product.hooks = {}
    assert sandbox_zapier.on(zap)["state"] == "on"
    assert product.tell(event(3)) == 200
    sandbox_zapier.off(zap, told=False)
    assert (product.tell(event(4)), len(product.hooks)) == (410, 1)


def test_the_product_pauses_a_zap(
    sandbox_zapier: ZapierAccount, sandbox_zapier_product: Product, zap_on: Callable[..., Object]
) -> None:
    zap = zap_on()
    requests.delete(sandbox_zapier.address(zap), timeout=30)
    assert sandbox_zapier.seen_zap(zap)["state"] == "paused"
    assert sandbox_zapier_product.tell(event(1)) == 410


def test_a_zap_that_cannot_be_switched_on_says_why(zap_on: Callable[..., Object]) -> None:
    zap = zap_on(signing_secret="another")
    assert (zap["state"], zap["connection"]) == ("off", "expired")
    assert (zap["error"]["step"], zap["error"]["status"]) == ("me", 401)
    assert zap["error"]["content"]["error"]["code"] == "signature_invalid"


def test_hooks_run_the_action(
    sandbox_zapier: ZapierAccount, sandbox_zapier_product: Product, zap_on: Callable[..., Object]
) -> None:
    product = sandbox_zapier_product
    zap = zap_on(action=ACTION)
    person = {"email": "ada@example.com"}
    for _ in range(2):
        product.tell(event(1, "c1", name="Ada", contact=person, vip=True))
    first, second = sandbox_zapier.wait_for_runs(zap, 2)
    fields = {"body": "Hello Ada (ada@example.com)", "record_id": "c1", "vip": "true"}
    assert first["fields"] == fields | {"none": "", "type": "contact.created", "fixed": 7}
    assert (first["state"], first["status"], first["hook"]) == ("success", 201, "e1")
    assert first["answer"]["id"] != second["answer"]["id"], "hooks are not compared"
    sent = product.asked[-1]
    assert sent["content"].keys() == {"action", "data", "zapId"}
    assert (sent["headers"]["user-agent"], "idempotency-key" in sent["headers"]) == (
        "Zapier",
        False,
    )


def test_the_same_hook_has_the_same_key(
    sandbox_zapier: ZapierAccount, sandbox_zapier_product: Product, zap_on: Callable[..., Object]
) -> None:
    zap = zap_on(action=ACTION | {"idempotency": True})
    for number in (1, 1, 2):
        sandbox_zapier_product.tell(event(number))
    runs = sandbox_zapier.wait_for_runs(zap, 3)
    assert len({run["key"] for run in runs}) == len(sandbox_zapier_product.made) == 2
    assert runs[0]["key"] == hashlib.sha256(f"{zap['id']}:e1:1".encode()).hexdigest()
    assert len({run["answer"]["id"] for run in runs if run["hook"] == "e1"}) == 1


def test_too_many_is_waited_out(
    sandbox_zapier: ZapierAccount, sandbox_zapier_product: Product, zap_on: Callable[..., Object]
) -> None:
    limited: tuple[int, Object, dict[str, str]] = (429, {}, {"Retry-After": "1"})
    sandbox_zapier_product.answers = [limited, (503, {}, {"Retry-After": "1"})]
    zap = zap_on(action=ACTION)
    sandbox_zapier_product.tell(event(1))
    until(lambda: sandbox_zapier.runs(zap, state="throttled"), bool)
    (run,) = sandbox_zapier.wait_for_runs(zap, 1)
    assert (run["state"], run["throttled"], run["attempts"]) == ("success", 2, 3)
    assert run["ended"] - run["at"] >= 2


def test_failed_runs_are_replayed(
    sandbox_zapier: ZapierAccount, sandbox_zapier_product: Product, zap_on: Callable[..., Object]
) -> None:
    refused: Object = {"error": {"code": "invalid", "message": "no such record"}}
    sandbox_zapier_product.answers = [(422, refused, {}), (500, {}, {}), (503, {}, {})]
    zap = zap_on(event=None, action=ACTION | {"idempotency": True})
    assert (zap["target"], sandbox_zapier_product.calls()) == (None, ["GET /api/zapier/me"])
    run = sandbox_zapier.run(zap, name="Ada")
    assert (run["state"], run["status"], run["answer"]) == ("failed", 422, refused)
    assert "no such record" in run["error"]
    again = [sandbox_zapier.replay(run) for _ in range(3)]
    assert [each["status"] for each in again] == [500, 503, 201]
    assert {each["key"] for each in again} == {run["key"]}
    assert (again[2]["replays"], sandbox_zapier.seen_zap(zap)["runs"]["success"]) == (3, 1)
    hand = [sandbox_zapier.run(zap, hook="h", name="Ben")["answer"]["id"] for _ in range(2)]
    assert hand[0] == hand[1] != again[2]["answer"]["id"]


def test_a_refused_key_expires_the_connection(
    sandbox_zapier: ZapierAccount, sandbox_zapier_product: Product, zap_on: Callable[..., Object]
) -> None:
    product = sandbox_zapier_product
    zap = zap_on(action=ACTION)
    product.key = "atlvs_rotated"
    for number in (1, 2):
        product.tell(event(number))
        runs = sandbox_zapier.wait_for_runs(zap, number)
    assert [run["state"] for run in runs] == ["failed", "failed"]
    assert (runs[0]["status"], runs[1]["attempts"]) == (401, 0), "not tried again"
    assert sandbox_zapier.seen_zap(zap)["connection"] == "expired"
    sandbox_zapier.reconnect(zap, api_key=product.key)
    assert [run["state"] for run in sandbox_zapier.replay_failed(zap)] == ["success"] * 2


def test_no_answer_is_a_failed_run(
    sandbox_zapier: ZapierAccount, sandbox_zapier_product: Product, zap_on: Callable[..., Object]
) -> None:
    zap = zap_on(event=None, action=ACTION)
    sandbox_zapier_product.close()
    run = sandbox_zapier.run(zap, name="Ada")
    assert (run["state"], run["status"]) == ("failed", 0)
    assert "Error" in run["error"]


def test_samples_are_held_against_what_came(
    sandbox_zapier: ZapierAccount, sandbox_zapier_product: Product, zap_on: Callable[..., Object]
) -> None:
    product = sandbox_zapier_product
    zap = zap_on()
    assert sandbox_zapier.poll_sample(zap)["keys_equal"] is None, "nothing came yet"
    product.tell(event(1, name="Ben"))
    sample = sandbox_zapier.poll_sample(zap, limit=2)
    assert (sample["keys_equal"], sample["same_order"], sample["samples"]) == (
        True,
        True,
        product.samples,
    )
    assert product.calls()[-1] == "GET /api/zapier/samples/contact.created?limit=2"
    product.tell(event(2, name="Ben", phone=None, contact={"id": "c"}))
    product.samples = [event(0, name="Ada", email="", contact={"name": "Cy"})]
    sample = sandbox_zapier.poll_sample(zap)
    assert (sample["keys_equal"], sample["missing"]) == (False, ["data.phone"])
    assert (sample["extra"], sample["nested"]) == (["data.email"], ["data.contact"])


def test_zaps_stay_on_the_machine(sandbox_zapier: ZapierAccount) -> None:
    given = {"api_base": "https://example.com", "api_key": KEY}
    url = f"{sandbox_zapier.sandbox.url}/_sandbox/zapier/zaps"
    answer = requests.post(url, json=given, timeout=30)
    assert (answer.status_code, "loopback" in answer.text) == (400, True)
