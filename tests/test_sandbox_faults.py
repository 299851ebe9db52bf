"""The sandbox misbehaving on demand, within limits, and as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from sandbox_client import ROOT, Sandbox
from stripe_fixtures import Caller, error_of

DAY = 86_400


def test_500_after_the_effect_is_replayed(sandbox: Sandbox, call: Caller) -> None:
    sandbox.fault("500_after", provider="stripe", method="POST", path="^/v1/customers$", times=1)
    for _ in range(2):
        answer = call("POST", "/v1/customers", {"email": "a@b.c"}, Idempotency_Key="f")
        assert (answer.status_code, answer.json()["error"]["type"]) == (500, "api_error")
    assert sandbox.count("customer") == 1


def test_500_before_leaves_nothing_behind(sandbox: Sandbox, call: Caller) -> None:
    sandbox.fault("500_before", path="customers", times=1)
    assert call("POST", "/v1/customers", {"email": "a@b.c"}, Idempotency_Key="b").status_code == 500
    assert sandbox.count("customer") == 0
    assert call("POST", "/v1/customers", {"email": "a@b.c"}, Idempotency_Key="b").status_code == 200


def test_429_and_409_carry_their_headers_and_are_not_kept(sandbox: Sandbox, call: Caller) -> None:
    headers = {"Stripe-Should-Retry": "true", "Retry-After": "1"}
    sandbox.fault("429", times=1, headers=headers)
    sandbox.fault("409", times=1, skip=1)
    answer = call("POST", "/v1/customers", {"email": "a@b.c"}, Idempotency_Key="n")
    assert error_of(answer)[:2] == (429, "rate_limit")
    assert (answer.headers["Stripe-Should-Retry"], answer.headers["Retry-After"]) == ("true", "1")
    assert [
        call("POST", "/v1/customers", {}, Idempotency_Key="m").status_code for _ in range(3)
    ] == [
        200,
        409,
        200,
    ]
    noted = sandbox.requests(idempotency_key="n")[0]
    assert (noted["status"], noted["params"], noted["fault"]) == (429, {"email": "a@b.c"}, "429")


@pytest.mark.parametrize(("kind", "made"), [("reset", 0), ("reset_after", 1), ("truncate", 1)])
def test_dropped_connections(sandbox: Sandbox, call: Caller, kind: str, made: int) -> None:
    sandbox.fault(kind, method="POST", times=1)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        call("POST", "/v1/customers", {"email": "a@b.c"}, Idempotency_Key="r")
    assert sandbox.count("customer") == made
    assert call("POST", "/v1/customers", {"email": "a@b.c"}, Idempotency_Key="r").status_code == 200
    assert sandbox.count("customer") == 1


def test_faults_by_share_are_repeatable(sandbox: Sandbox, call: Caller) -> None:
    def walk() -> list[int]:
        sandbox.clear_faults(rng=5)
        sandbox.fault("status", status=503, rate=0.4, path="^/v1/account$")
        return [call("GET", "/v1/account").status_code for _ in range(30)]

    first = walk()
    assert first == walk()
    assert set(Counter(first)) == {200, 503}


def test_latency_holds_no_one_else(sandbox: Sandbox, call: Caller) -> None:
    sandbox.latency(0.3)
    started = time.monotonic()
    threads = [
        threading.Thread(target=Caller(sandbox), args=("GET", "/v1/account")) for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert 0.3 <= time.monotonic() - started < 1.5


def test_documented_limits_by_mode_and_lane(sandbox: Sandbox, call: Caller) -> None:
    sandbox.limits(default=True)
    before = sandbox.stats().get("too_many", 0)
    answers = [call("GET", "/v1/account") for _ in range(80)]
    refused = [each for each in answers if each.status_code == 429]
    assert refused
    assert error_of(refused[0])[1] == "rate_limit"
    assert sandbox.stats()["too_many"] == before + len(refused)
    assert call("POST", "/v1/customers", {"email": "a@b.c"}).status_code == 200, "another lane"
    live = Caller(sandbox, sandbox.key.replace("test", "live"))
    assert {live("GET", "/v1/account").status_code for _ in range(60)} == {200}


def test_limits_can_be_set_for_one_account(sandbox: Sandbox, call: Caller) -> None:
    sandbox.limits(caller=sandbox.account, reads=2)
    other = Caller(sandbox, sandbox.key + "x")
    assert [call("GET", "/v1/account").status_code for _ in range(4)][2:] == [429, 429]
    assert {other("GET", "/v1/account").status_code for _ in range(10)} == {200}


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_process_takes_files_and_ends_at_once(tmp_path: Path, sign: int) -> None:
    seeds, faults = tmp_path / "seed.json", tmp_path / "faults.json"
    seeds.write_text(json.dumps({"stripe": {"key": "sk_test_demo", "customers": 7}}))
    faults.write_text(
        json.dumps(
            {
                "faults": [{"kind": "429", "times": 1, "match": {"path": "account"}}],
                "limits": [{"provider": "stripe", "off": True}],
                "latency": [{"provider": "stripe", "seconds": 0.01}],
            }
        )
    )
    sandbox, process = Sandbox.start("stripe", "--seed", str(seeds), "--faults", str(faults))
    call = Caller(sandbox, "sk_test_demo")
    assert len(call("GET", "/v1/customers").json()["data"]) == 7
    assert [call("GET", "/v1/account").status_code for _ in range(40)] == [429] + [200] * 39
    held = threading.Thread(target=_swallow, args=(sandbox,), daemon=True)
    sandbox.latency(30)
    held.start()
    time.sleep(0.1)
    process.send_signal(sign)
    started = time.monotonic()
    process.wait(5)
    assert time.monotonic() - started < 2


def _swallow(sandbox: Sandbox) -> None:
    with suppress(requests.RequestException):
        requests.get(sandbox.base("stripe") + "/v1/account", timeout=60)


def test_process_listens_on_loopback_only() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "deployments.sandbox", "--host", "0.0.0.0"],  # noqa: S104
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
        check=False,
    )
    assert refused.returncode == 2
    assert "loopback only" in refused.stderr
    assert "Traceback" not in refused.stderr
