"""The sandbox's Zapier: targets that misbehave, receivers that check, Zaps that run."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import requests
from aiohttp import web
from sandbox_client import ROOT, Sandbox
from sandbox_zapier_client import Object, ZapierAccount, until

from deployments.sandbox.app import create_app
from deployments.sandbox.wire import Request
from deployments.sandbox.zapier.standard_webhooks import is_signed

VECTORS = Path(os.environ.get("ATLVS_VECTORS") or ROOT.parent / "shared" / "vectors")
KEY, SECRET = "atlvs_stub", "atlvssig_stub"
HOOK_SECRET = "whsec_" + base64.b64encode(b"h" * 32).decode()


def event(number: int, record: str = "r1", at: int | None = None, **data: Any) -> Object:
    moment = f"2026-01-02T03:04:{number if at is None else at:02d}.000000+00:00"
    content = {"id": record, **data}
    return {"id": f"e{number}", "type": "contact.created", "occurred_at": moment, "data": content}


@pytest.fixture
def sandbox_zapier(sandbox: Sandbox) -> Iterator[ZapierAccount]:
    yield ZapierAccount(sandbox)
    sandbox.limits("zapier", default=True)


def post(target: str, content: Any, **given: Any) -> requests.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    given = {"timeout": 10, "allow_redirects": False, "data": body} | given
    return requests.request("POST", target, **given)  # noqa: S113  there is one


def test_hooks_are_accepted_kept_and_counted(sandbox_zapier: ZapierAccount) -> None:
    target = sandbox_zapier.target()
    answer = post(target, event(1), headers={"webhook-id": "e1", "x-mine": "yes"})
    assert (answer.status_code, answer.json()["status"]) == (200, "success")
    assert answer.json().keys() == {"status", "id", "attempt", "request_id"}
    for number, record in ((2, "r1"), (2, "r1"), (3, "r2")):
        post(target + "/", event(number, record))
    post(target, [event(4, "r2"), event(5, "r2")])
    first, *_ = seen = sandbox_zapier.received(target)
    assert [each["id"] for each in seen] == ["e1", "e2", "e2", "e3", "e4"]
    assert (first["record"], first["type"], first["webhook_id"]) == ("r1", "contact.created", "e1")
    assert (first["headers"]["x-mine"], first["body"], first["answered"]) == ("yes", event(1), True)
    assert abs(first["at"] - time.time()) < 10
    assert [each["id"] for each in sandbox_zapier.received(target, record="r2", limit=1)] == ["e4"]
    counts = sandbox_zapier.counts(target, all=1)
    assert counts["counts"] == {"e1": 1, "e2": 2, "e3": 1, "e4": 1, "e5": 1}
    assert (counts["distinct"], counts["most"]) == (5, 2)
    assert list(counts["repeated"].values()) == [{"e2": 2}]
    assert sandbox_zapier.wait(target, 5)["arrived"] == 5


def test_order_is_told_by_record(sandbox_zapier: ZapierAccount) -> None:
    target = sandbox_zapier.target()
    for number, record in ((1, "a"), (3, "b"), (2, "a"), (2, "a"), (1, "b")):
        post(target, event(number * 10 + (record == "b"), record, at=number))
    order = sandbox_zapier.order(target, all=1, first=1)
    assert (order["records"], order["backwards"]) == (2, ["b"])
    assert [each["id"] for each in order["order"]["a"]] == ["e10", "e20"]


@pytest.mark.parametrize(
    ("body", "status"), [(b"1", 400), (b'"x"', 400), (b"{", 400), (b"", 400), (b"[]", 200)]
)
def test_hooks_are_objects_or_arrays(
    sandbox_zapier: ZapierAccount, body: bytes, status: int
) -> None:
    assert post(sandbox_zapier.target(), body).status_code == status


def test_hooks_have_ten_megabytes(sandbox_zapier: ZapierAccount) -> None:
    target = sandbox_zapier.target()
    body = orjson.dumps({"id": "x" * 10 * 1024 * 1024})
    assert (post(target, body).status_code, post(target, body[:-40] + b'"}').status_code) == (
        413,
        200,
    )
    assert requests.get(target, timeout=5).status_code == 405
    assert post(sandbox_zapier.base + "/elsewhere", {}).status_code == 404


def test_a_zap_that_is_off_is_gone(sandbox_zapier: ZapierAccount) -> None:
    target, other = sandbox_zapier.target(), sandbox_zapier.target()
    sandbox_zapier.switch_off(target)
    assert [post(each, event(1)).status_code for each in (target, other)] == [410, 200]
    sandbox_zapier.switch_on(target)
    assert post(target, event(2)).status_code == 200
    assert requests.delete(target, timeout=5).status_code == 200
    assert post(target, event(3)).status_code == 410
    assert [each["method"] for each in sandbox_zapier.received(target)] == [
        "POST",
        "POST",
        "DELETE",
        "POST",
    ]
    stats = sandbox_zapier.stats(target)
    assert (stats["deleted"], stats["accepted"], stats["on"]) == (1, 1, False)


def test_thirty_hooks_a_second(sandbox_zapier: ZapierAccount) -> None:
    target = sandbox_zapier.target()
    sandbox_zapier.limited(target, scale=0.1)
    answers = [post(target, event(number)) for number in range(5)]
    assert [each.status_code for each in answers] == [200] * 3 + [429] * 2
    assert answers[4].headers["retry-after"] == "1"
    assert post(sandbox_zapier.target(), event(1)).status_code == 200
    sandbox_zapier.limited(target)
    statuses = [post(target, event(number)).status_code for number in range(30)]
    assert statuses == [200] * 30
    assert sandbox_zapier.stats(target)["accepted"] == 33


def test_statuses_headers_and_redirects(sandbox_zapier: ZapierAccount) -> None:
    target, other = sandbox_zapier.target(), sandbox_zapier.target()
    sandbox_zapier.behave(target, "status", status=503, headers={"Retry-After": "7"})
    assert (post(target, event(1)).status_code, post(target, {}).headers["retry-after"]) == (
        503,
        "7",
    )
    for status in (301, 302, 307, 308):
        sandbox_zapier.behave(target, "redirect", status=status, to=other)
        answer = post(target, event(2))
        assert (answer.status_code, answer.headers["location"]) == (status, other)
    sandbox_zapier.behave(target, "gone")
    assert post(target, event(3)).status_code == 410
    assert (sandbox_zapier.stats(target)["accepted"], sandbox_zapier.stats(other)["arrived"]) == (
        0,
        0,
    )
    sandbox_zapier.behave(target, "status", status=204)
    assert (post(target, event(4)).status_code, sandbox_zapier.stats(target)["accepted"]) == (
        204,
        1,
    )


@pytest.mark.parametrize(("kind", "accepted"), [("close", 0), ("accept_then_close", 1)])
def test_lost_answers(sandbox_zapier: ZapierAccount, kind: str, accepted: int) -> None:
    target = sandbox_zapier.target()
    sandbox_zapier.behave(target, kind)
    with pytest.raises(requests.ConnectionError):
        post(target, event(1))
    (seen,) = sandbox_zapier.received(target)
    assert (seen["accepted"], seen["answered"], seen["id"]) == (bool(accepted), False, "e1")
    assert sandbox_zapier.counts(target)["accepted"] == accepted


def test_slow_hanging_and_garbled_answers(sandbox_zapier: ZapierAccount) -> None:
    target = sandbox_zapier.target()
    sandbox_zapier.behave(target, "slow", seconds=0.4)
    started = time.monotonic()
    assert post(target, event(1)).status_code == 200
    assert time.monotonic() - started >= 0.4
    with pytest.raises(requests.Timeout):
        post(target, event(2), timeout=0.1)
    sandbox_zapier.behave(target, "hang")
    with pytest.raises(requests.Timeout):
        post(target, event(3), timeout=0.1)
    sandbox_zapier.behave(target, "garbage")
    with pytest.raises(requests.ConnectionError):
        post(target, event(4))
    seen = [(each["accepted"], each["answered"]) for each in sandbox_zapier.received(target)]
    assert seen == [(True, True), (True, False), (False, False), (False, False)]


def test_an_answer_without_end(sandbox_zapier: ZapierAccount) -> None:
    target = sandbox_zapier.target()
    sandbox_zapier.behave(target, "huge", times=1)
    with post(target, event(1), stream=True) as answer:
        parts = islice(answer.iter_content(65_536), 50)
        assert sum(len(part) for part in parts) > 1_000_000
    assert post(target, event(2)).status_code == 200


def test_failing_so_often_and_mixtures(sandbox_zapier: ZapierAccount) -> None:
    target, mixed = sandbox_zapier.target(), sandbox_zapier.target()
    sandbox_zapier.fail_times(target, 2, status=502)
    assert [post(target, event(1)).status_code for _ in range(3)] == [502, 502, 200]
    sandbox_zapier.steps(
        target, {"kind": "gone", "times": 1}, {"kind": "status", "status": 429, "times": 1}
    )
    assert [post(target, event(1)).status_code for _ in range(3)] == [410, 429, 200]

    def walk() -> list[int]:
        sandbox_zapier.mix(
            mixed, {"weight": 3}, {"kind": "status", "status": 500, "weight": 1}, seed=7
        )
        return [post(mixed, event(number)).status_code for number in range(40)]

    assert (first := walk()) == walk()
    assert 3 <= first.count(500) <= 20
    sandbox_zapier.behave(None, "status", status=418)
    assert post(sandbox_zapier.target(), {}).status_code == 418, "all of the account"
    assert post(ZapierAccount(sandbox_zapier.sandbox).target(), {}).status_code == 200


def test_faults_of_the_sandbox_reach_hooks(sandbox_zapier: ZapierAccount) -> None:
    target = sandbox_zapier.target()
    path = target.removeprefix(sandbox_zapier.base)
    sandbox_zapier.sandbox.fault("429", provider="zapier", path=path, times=1)
    assert post(target, event(1)).headers["retry-after"] == "1"
    sandbox_zapier.sandbox.fault("reset_after", provider="zapier", path=path, times=1)
    with pytest.raises(requests.ConnectionError):
        post(target, event(2))
    assert [(e["id"], e["accepted"], e["answered"]) for e in sandbox_zapier.received(target)] == [
        ("e2", True, False)
    ]


async def test_hooks_are_cheap() -> None:
    app = create_app(["zapier"])
    provider, path = app.providers["zapier"], "/hooks/standard/1/bulk"
    app.controls.set_limits({"provider": "zapier", "off": True})
    bodies = [
        orjson.dumps(event(number, f"r{number % 50}", at=1, pad="x" * 900))
        for number in range(5000)
    ]
    headers = {"webhook-id": "e", "webhook-timestamp": "1", "content-type": "application/json"}
    started = time.process_time()
    for body in bodies:
        await provider.answer(Request("POST", path, b"", dict(headers), body))
    assert (time.process_time() - started) / len(bodies) < 0.0003
    given = {"target": path}
    assert provider.controls["counts"](given)["distinct"] == len(bodies)
    assert provider.controls["order"](given)["records"] == 50
    kept = orjson.loads(provider.controls["received"](given))
    assert (len(kept), sum(each["body"] is not None for each in kept)) == (len(bodies), 500)


def test_many_connections_at_once(sandbox_zapier: ZapierAccount) -> None:
    target = sandbox_zapier.target()
    sandbox_zapier.behave(target, "slow", seconds=0.5)

    async def one(session: aiohttp.ClientSession, number: int) -> int:
        async with session.post(target, json=event(number, at=1)) as answer:
            return answer.status

    async def all_at_once() -> list[int]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            return await asyncio.gather(*(one(session, number) for number in range(300)))

    started = time.monotonic()
    assert asyncio.run(all_at_once()) == [200] * 300
    assert time.monotonic() - started < 75, "one after the other would be 150 seconds"
    assert sandbox_zapier.stats(target)["distinct"] == 300


def vectors() -> list[Object]:
    path = VECTORS / "vectors.json"
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{path} is missing; ATLVS_VECTORS names its folder")
        pytest.skip(f"{path} is missing; ATLVS_VECTORS names its folder")
    known = json.loads(path.read_text())["vectors"]
    return [each for each in known if each["service"] == "standard-webhooks"]


def test_signatures_are_judged_as_published() -> None:
    assert len(known := vectors()) == 7
    for each in known:
        given = (each["secret"], each["headers"], each["body"].encode(), each["now"])
        assert is_signed(*given) == each["expect"], each["id"]


def signed(secret: str, body: bytes, at: float, identifier: str = "e1") -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message = f"{identifier}.{int(at)}.".encode() + body
    digest = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": f"v1,{digest}",
    }


def test_receivers_say_who_signed(sandbox_zapier: ZapierAccount) -> None:
    old, new = ("whsec_" + base64.b64encode(each * 32).decode() for each in (b"o", b"n"))
    url, body, now = sandbox_zapier.receiver(), b'{"id": "e1"}', time.time()
    assert post(url, body).json() == {"received": True}
    sandbox_zapier.verify(url, new)
    post(url, body, headers=signed(new, body, now))
    rotating = signed(old, body, now)
    rotating["webhook-signature"] += " " + signed(new, body, now)["webhook-signature"]
    post(url, body, headers=rotating)
    post(url, body, headers=signed(old, body, now))
    post(url, body, headers=signed(new, body, now - 400))
    post(url, body + b" ", headers=signed(new, body, now))
    post(url, body)
    seen = [each["verified"] for each in sandbox_zapier.received(url)]
    assert seen == [None, True, True, False, False, False, False]
    sandbox_zapier.verify(url, new, old, strict=True)
    assert post(url, body, headers=signed(old, body, now)).status_code == 200
    assert post(url, body).status_code == 401


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
    requests.delete(sandbox_zapier.address(zap), timeout=5)
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
    answer = requests.post(url, json=given, timeout=5)
    assert (answer.status_code, "loopback" in answer.text) == (400, True)
