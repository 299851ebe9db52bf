"""The sandbox's Zapier: targets that misbehave, receivers that check, Zaps that run."""

from __future__ import annotations

import asyncio
import base64
import time
from itertools import islice

import aiohttp
import orjson
import pytest
import requests
from published import vectors
from sandbox_zapier_client import ZapierAccount, event, post, signed

from deployments.sandbox.app import create_app
from deployments.sandbox.wire import Request
from deployments.sandbox.zapier.standard_webhooks import is_signed

pytest_plugins = ["sandbox_zapier_fixtures"]


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
    assert requests.get(target, timeout=30).status_code == 405
    assert post(sandbox_zapier.base + "/elsewhere", {}).status_code == 404


def test_a_zap_that_is_off_is_gone(sandbox_zapier: ZapierAccount) -> None:
    target, other = sandbox_zapier.target(), sandbox_zapier.target()
    sandbox_zapier.switch_off(target)
    assert [post(each, event(1)).status_code for each in (target, other)] == [410, 200]
    sandbox_zapier.switch_on(target)
    assert post(target, event(2)).status_code == 200
    assert requests.delete(target, timeout=30).status_code == 200
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


def test_signatures_are_judged_as_published() -> None:
    assert len(known := vectors("standard-webhooks")) == 7
    for each in known:
        given = (each["secret"], each["headers"], each["body"].encode(), each["now"])
        assert is_signed(*given) == each["expect"], each["id"]


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
