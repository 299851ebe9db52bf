"""Signed keys: what has to be signed, by whom, when. Limits: how many requests a key has."""

import math
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep, time
from typing import Any
from uuid import UUID

import pytest
from web_client import WebProcess, new_key, refused, run
from zapier_client import ACTING, HOOKS, ME, ZapierApp, new_app, signature

from atlvs.db import api_keys
from atlvs.db.engine import database
from deployments.web import callers, signatures

pytest_plugins = ["zapier_fixtures"]
SECRET = "atlvssig_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
# made with: openssl dgst -sha256 -hmac "$SECRET" -binary | base64
VECTORS = [
    (
        *("POST", "/api/webhooks/zapier", '{"action":"note.create"}'),
        "VJwnQ4YQTMwAPk05NTUvzDtt8yai6dfLIj1oYl1MOKQ=",
    ),
    (
        *("GET", "/api/zapier/samples/deal.won?limit=2&x=%20%2F", ""),
        "Ksu1ywnekPqZSbdMnjae6H2j+KNXRj+02j8OWf4UmY8=",
    ),
    (
        *("POST", "/api/zapier/hooks", '{"n":"Zoë"}'),
        "VRcxnA7YHf++qqtCEOChnJ3IOxm8cBPMm0WEKBNPhZI=",
    ),
]
BODY = b'{"action": "task.create", "data": {"title": "T"}}'


@pytest.mark.parametrize(("method", "path", "body", "wanted"), VECTORS)
def test_signatures_are_those_of_openssl(method: str, path: str, body: str, wanted: str):
    made = signatures.signature(SECRET, "1767225600", method, path.encode(), body.encode())
    assert made == f"v1,{wanted}"


def signed(
    app: ZapierApp, method: str = "POST", path: str = ACTING, body: bytes = BODY, age: int = 0
) -> Any:
    """The headers of a request, rightly signed."""
    at = int(time()) - age
    assert app.secret
    made = signature(app.secret, at, method, path, body)
    return {"X_Atlvs_Timestamp": str(at), "X_Atlvs_Signature": made}


def plain(app: ZapierApp) -> ZapierApp:
    """The same key, signing nothing by itself."""
    return ZapierApp(app.url, app.key)


def test_signed_key_works_on_every_route(zapier_signed: ZapierApp):
    assert zapier_signed.me().status_code == 200
    assert zapier_signed("POST", ACTING, BODY).status_code == 201
    made = zapier_signed.subscribe("deal.won", "http://127.0.0.1:9/a?b=c").json()
    assert zapier_signed("GET", HOOKS).status_code == 200
    assert zapier_signed("GET", "/api/zapier/samples/deal.won?limit=2&x=%20%2f").status_code == 200
    assert zapier_signed("DELETE", f"{HOOKS}/{made['id']}").status_code == 200


@pytest.mark.parametrize("lacking", ["X_Atlvs_Timestamp", "X_Atlvs_Signature"])
def test_missing_signature_is_told(zapier_signed: ZapierApp, rows: Any, lacking: str):
    headers = {**signed(zapier_signed), lacking: ""}
    assert refused(plain(zapier_signed)("POST", ACTING, BODY, **headers), 401, "signature_missing")
    assert refused(plain(zapier_signed)("POST", ACTING, BODY), 401, "signature_missing")
    assert refused(plain(zapier_signed).me(), 401, "signature_missing")
    assert rows("tasks") == []


def test_signature_of_anything_else_is_refused(zapier_signed: ZapierApp, rows: Any):
    app = plain(zapier_signed)
    right = signed(zapier_signed)
    other = new_app(app.url, UUID(zapier_signed.me().json()["org_id"]), signed=True)
    wrong = [
        {**right, "X_Atlvs_Signature": right["X_Atlvs_Signature"][:-4]},
        {**right, "X_Atlvs_Signature": right["X_Atlvs_Signature"].replace("v1,", "v2,")},
        {**right, "X_Atlvs_Signature": right["X_Atlvs_Signature"].removeprefix("v1,")},
        {**right, "X_Atlvs_Signature": "v1,ü"},
        {**right, "X_Atlvs_Signature": f"{'v1,x ' * 20}{right['X_Atlvs_Signature']}"},
        {**right, "X_Atlvs_Timestamp": str(int(right["X_Atlvs_Timestamp"]) + 1)},
        {**right, "X_Atlvs_Timestamp": "now"},
        signed(zapier_signed, body=BODY.replace(b"T", b"U")),
        signed(zapier_signed, body=BODY + b" "),
        signed(zapier_signed, method="PUT"),
        signed(zapier_signed, path=HOOKS),
        signed(zapier_signed, path=f"{ACTING}?x=1"),
        signed(other),
    ]
    for headers in wrong:
        assert refused(app("POST", ACTING, BODY, **headers), 401, "signature_invalid")
    assert rows("tasks") == []


def test_signed_body_cannot_be_sent_to_another_path(zapier_signed: ZapierApp, rows: Any):
    """A subscription that was listened to is no action, nor the other way round."""
    headers = signed(zapier_signed)
    app = plain(zapier_signed)
    assert app("POST", ACTING, BODY, **headers).status_code == 201
    for path in (HOOKS, f"{ACTING}?again=1"):
        assert refused(app("POST", path, BODY, **headers), 401, "signature_invalid")
    assert len(rows("tasks")) == 1


@pytest.mark.parametrize(
    ("age", "status"), [(0, 201), (295, 201), (-295, 201), (310, 401), (-310, 401)]
)
def test_clocks_may_be_five_minutes_apart(zapier_signed: ZapierApp, age: int, status: int):
    answer = plain(zapier_signed)("POST", ACTING, BODY, **signed(zapier_signed, age=age))
    assert answer.status_code == status
    assert status == 201 or refused(answer, 401, "signature_expired")


def test_one_of_several_signatures_is_enough(zapier_signed: ZapierApp):
    headers = signed(zapier_signed)
    headers["X_Atlvs_Signature"] = f"v2,abc v1,{'A' * 44}  {headers['X_Atlvs_Signature']}"
    assert plain(zapier_signed)("POST", ACTING, BODY, **headers).status_code == 201


def test_signed_request_that_is_sent_again_makes_nothing_new(zapier_signed: ZapierApp, rows: Any):
    """Whoever listened may leave the Idempotency-Key out, or take another: it is not signed."""
    app = plain(zapier_signed)
    bare, keyed = signed(zapier_signed), signed(zapier_signed, age=1)
    made = app("POST", ACTING, BODY, **bare)
    assert made.status_code == 201
    for more in ({}, {"Idempotency_Key": "another"}):
        again = app("POST", ACTING, BODY, **bare, **more)
        assert (again.status_code, again.json()) == (200, made.json())
    made = app("POST", ACTING, BODY, **keyed, Idempotency_Key="k1")
    assert made.status_code == 201
    for more in ({}, {"Idempotency_Key": "k1"}, {"Idempotency_Key": "k2"}):
        again = app("POST", ACTING, BODY, **keyed, **more)
        assert (again.status_code, again.json()) == (200, made.json())
    retry = signed(zapier_signed, age=2)
    assert app("POST", ACTING, BODY, **retry, Idempotency_Key="k1").json() == made.json()
    assert app("POST", ACTING, BODY, **retry).json() == made.json()
    assert app("POST", ACTING, BODY, **signed(zapier_signed, age=3)).status_code == 201
    assert len(rows("tasks")) == 3


def test_key_without_a_secret_needs_no_signature(zapier_app: ZapierApp):
    headers = {"X_Atlvs_Timestamp": "1", "X_Atlvs_Signature": "v1,none"}
    assert zapier_app("POST", ACTING, BODY, **headers).status_code == 201


def test_secret_and_owner_are_kept_sealed(org: UUID, rows: Any):
    made = api_keys.create(
        org, "Zaps", ("zapier",), signing_secret=SECRET, owner_email="ada@example.com"
    )
    _, key = run(made)
    assert api_keys.signing_secret(key) == SECRET
    assert SECRET not in repr(key)
    [(secret, owner)] = rows("integration_api_keys", "signing_secret", "owner_email")
    assert b"atlvssig" not in bytes(secret)
    assert b"ada" not in bytes(owner)
    assert [one.signed for one in run(api_keys.every(org))] == [True]
    assert len(api_keys.new_signing_secret()) == len("atlvssig_") + 43


# Limits


def test_key_has_its_burst_and_then_its_pace(
    zapier_url: str, org: UUID, rows: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(callers, "PER_SECOND", 0.5)
    monkeypatch.setattr(callers, "BURST", 5)
    app, other = new_app(zapier_url, org), new_app(zapier_url, org)
    answers = [app.me() for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
    assert refused(answers[-1], 429, "rate_limited")
    wait = int(answers[-1].headers["retry-after"])
    assert wait in (1, 2)
    assert refused(app.act("task.create", {"title": "T"}), 429, "rate_limited")
    assert other.me().status_code == 200
    sleep(wait)
    assert app.me().status_code == 200
    assert rows("tasks") == []


async def test_limit_is_exact_however_many_ask_at_once(org: UUID):
    """GCRA: what is refused costs nothing, so the pace is kept whoever hammers."""
    _, key = await api_keys.create(org, "Zaps", ("zapier",))
    try:
        assert await api_keys.take(key.id, 10, 4) is None
        began, passed = monotonic(), 1
        while monotonic() - began < 2:
            wait = await api_keys.take(key.id, 10, 4)
            passed += wait is None
            assert wait is None or 0 <= wait <= 0.1
        took = monotonic() - began
        assert 4 + math.floor(took * 10) - 2 <= passed <= 4 + math.ceil(took * 10)
    finally:
        await database().close()


def test_limit_is_shared_by_processes(org: UUID, rows: Any):
    key = new_key(org, "zapier")
    webs = [WebProcess(), WebProcess()]
    try:
        apps = [ZapierApp(web.url, key) for web in webs]
        began = monotonic()
        with ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(apps[number % 2].me) for number in range(160)]
            statuses = [one.result().status_code for one in asked]
        took = monotonic() - began
    finally:
        for web in webs:
            web.kill()
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) <= callers.BURST + math.ceil(took * callers.PER_SECOND)
    assert statuses.count(200) >= callers.BURST


def test_what_is_not_signed_costs_the_key_nothing(
    zapier_signed: ZapierApp, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(callers, "PER_SECOND", 0.1)
    monkeypatch.setattr(callers, "BURST", 1)
    assert {plain(zapier_signed).me().status_code for _ in range(5)} == {401}
    assert zapier_signed("GET", ME).status_code == 200
    assert zapier_signed("GET", ME).status_code == 429
