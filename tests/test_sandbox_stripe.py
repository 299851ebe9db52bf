"""The sandbox's Stripe over its socket: strict, faulty on demand, honest about its state."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe
from sandbox_client import ROOT, Sandbox
from stripe_description import check_answer, check_object, check_request, path_of_description
from webhook_listener import Listener

from deployments.sandbox.stripe.describe import TABLE, write

DAY = 86_400


class Caller:
    """Plain HTTP with a key; every answer is held against the description."""

    def __init__(self, sandbox: Sandbox, key: str | None = None) -> None:
        self.base = sandbox.base("stripe")
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {sandbox.key if key is None else key}"

    def __call__(
        self, method: str, path: str, given: Any = None, **headers: str
    ) -> requests.Response:
        sent = {"params": given} if method == "GET" else {"data": given}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.session.request(method, self.base + path, headers=named, timeout=30, **sent)
        if answer.status_code != 404 and "payouts" not in path:
            check_answer(method, path, answer.status_code, answer.content)
        return answer

    def customer(self, **given: str) -> dict[str, Any]:
        return self("POST", "/v1/customers", given or {"email": "ada@example.com"}).json()

    def payment(self, amount: int = 1_000, method: str = "pm_card_visa") -> dict[str, Any]:
        given = {
            "amount": amount,
            "currency": "usd",
            "confirm": "true",
            "payment_method": method,
            "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never",
        }
        return self("POST", "/v1/payment_intents", given).json()

    def event_types(self) -> list[str]:
        listed = self("GET", "/v1/events", {"limit": 100}).json()["data"]
        return [each["type"] for each in reversed(listed)]


@pytest.fixture
def call(sandbox: Sandbox) -> Caller:
    return Caller(sandbox)


def error_of(answer: requests.Response) -> tuple[int, str | None, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error.get("code"), error.get("param")


# What the sandbox knows, and who judges it


@pytest.mark.skipif(not path_of_description().exists(), reason="the description is not here")
def test_parameter_table_is_what_the_description_says(tmp_path: Path) -> None:
    write(path_of_description(), tmp_path / "parameters.json")
    assert (tmp_path / "parameters.json").read_text() == TABLE.read_text()


def test_judge_refuses_what_is_not_described(call: Caller) -> None:
    customer = call.customer()
    check_object("Customer", customer)
    for wrong in ({"paid": True}, {"created": "1"}, {"metadata": None, "tax_exempt": "some"}):
        with pytest.raises(AssertionError):
            check_object("Customer", customer | wrong)
    check_request("POST", "/v1/payment_intents", {"amount": "100", "currency": "usd"})
    for wrong in (
        {"currency": "usd"},
        {"amount": "x", "currency": "usd"},
        {"amount": "1", "bogus": "1"},
    ):
        with pytest.raises(AssertionError):
            check_request("POST", "/v1/payment_intents", wrong)
    with pytest.raises(AssertionError, match="not described"):
        check_request("GET", "/v1/nothing", {})


# Strictness


@pytest.mark.parametrize(
    ("path", "given", "code", "param"),
    [
        ("/v1/customers", {"emial": "a@b.c"}, "parameter_unknown", "emial"),
        ("/v1/customers", {"address[town]": "x"}, "parameter_unknown", "address[town]"),
        ("/v1/customers", {"email": "nobody"}, "email_invalid", "email"),
        ("/v1/customers", {"balance": ""}, "parameter_invalid_empty", "balance"),
        ("/v1/customers", {"tax_exempt": "maybe"}, "parameter_invalid_enum", "tax_exempt"),
        ("/v1/customers", {"metadata": "x"}, "parameter_invalid_hash", "metadata"),
        ("/v1/payment_intents", {"currency": "usd"}, "parameter_missing", "amount"),
        (
            "/v1/payment_intents",
            {"amount": "12.5", "currency": "usd"},
            "parameter_invalid_integer",
            "amount",
        ),
        (
            "/v1/payment_intents",
            {"amount": "100", "currency": "usd", "confirm": "yes"},
            "parameter_invalid_boolean",
            "confirm",
        ),
        (
            "/v1/payment_intents",
            {"amount": "100", "currency": "usd", "payment_method_types[]": "card"},
            "payment_method_types_no_longer_supported",
            "payment_method_types",
        ),
        ("/v1/payment_intents", {"amount": "100", "currency": "xxx"}, None, "currency"),
        (
            "/v1/checkout/sessions",
            {"ui_mode": "hosted", "success_url": "https://x.example"},
            "parameter_invalid_enum",
            "ui_mode",
        ),
        (
            "/v1/subscriptions",
            {"customer": "cus_x", "items[0][pric]": "p"},
            "parameter_unknown",
            "items[0][pric]",
        ),
        ("/v1/refunds", {}, "parameter_missing", "payment_intent"),
        (
            "/v1/webhook_endpoints",
            {"url": "https://x.example"},
            "parameter_missing",
            "enabled_events",
        ),
        (
            "/v1/webhook_endpoints",
            {"url": "https://x.example", "enabled_events[]": "customer.made"},
            "parameter_invalid_enum",
            "enabled_events[0]",
        ),
    ],
)
def test_wrong_parameters_are_named(
    call: Caller, path: str, given: dict[str, str], code: str | None, param: str
) -> None:
    assert error_of(call("POST", path, given)) == (400, code, param)


def test_confirming_needs_somewhere_to_return_to(call: Caller) -> None:
    given = {
        "amount": "900",
        "currency": "usd",
        "confirm": "true",
        "payment_method": "pm_card_visa",
    }
    assert error_of(call("POST", "/v1/payment_intents", given)) == (400, None, "return_url")


def test_metadata_merges_by_key_and_has_limits(call: Caller) -> None:
    made = call.customer(**{"email": "a@b.c", "metadata[a]": "1", "metadata[0]": "zero"})
    path = f"/v1/customers/{made['id']}"
    changed = call("POST", path, {"metadata[a]": "", "metadata[b]": "2"}).json()
    assert changed["metadata"] == {"0": "zero", "b": "2"}
    assert call("POST", path, {"metadata": ""}).json()["metadata"] == {}
    assert call("POST", path, {f"metadata[{'k' * 41}]": "1"}).status_code == 400
    assert call("POST", path, {"metadata[k]": "v" * 501}).status_code == 400
    assert call("POST", path, {f"metadata[k{n}]": "1" for n in range(51)}).status_code == 400


def test_json_bodies_and_unknown_paths_are_refused(call: Caller) -> None:
    answer = call(
        "POST", "/v1/customers", json.dumps({"email": "a@b.c"}), content_type="application/json"
    )
    assert answer.status_code == 400
    assert call("GET", "/v1/nothing").status_code == 404
    assert call("DELETE", "/v1/customers").status_code == 404


def test_list_limits(call: Caller) -> None:
    for wrong in ("0", "101"):
        assert error_of(call("GET", "/v1/customers", {"limit": wrong})) == (
            400,
            "parameter_invalid_integer",
            "limit",
        )
    both = {"starting_after": "cus_1", "ending_before": "cus_2"}
    assert error_of(call("GET", "/v1/customers", both))[1] == "parameters_exclusive"
    listed = call("GET", "/v1/customers").json()
    assert listed == {"object": "list", "data": [], "has_more": False, "url": "/v1/customers"}


# Who calls


def test_keys_name_account_mode_and_rights(sandbox: Sandbox, call: Caller) -> None:
    name = sandbox.key.removeprefix("sk_test_")
    made = call.customer()
    path = f"/v1/customers/{made['id']}"
    live = Caller(sandbox, f"sk_live_{name}")
    assert live("GET", path).status_code == 404
    assert live.customer()["livemode"] is True
    assert made["livemode"] is False
    assert live("GET", "/v1/account").json()["id"] == call("GET", "/v1/account").json()["id"]
    reader = Caller(sandbox, f"rk_test_{name}_readonly")
    assert reader("GET", path).json()["id"] == made["id"]
    assert reader("POST", path, {"name": "x"}).status_code == 403
    assert Caller(sandbox, f"rk_test_{name}_norights")("GET", "/v1/balance").status_code == 403
    assert Caller(sandbox, f"rk_test_{name}")("POST", path, {"name": "x"}).status_code == 200
    for wrong in ("pk_test_x", "sk_test_", "nonsense", ""):
        assert Caller(sandbox, wrong)("GET", "/v1/account").status_code == 401
    other = call("GET", "/v1/account", Stripe_Account="acct_connected").json()
    assert other["id"] == "acct_connected"
    assert call("GET", path, Stripe_Account="acct_connected").status_code == 404


def test_basic_auth_and_versions(sandbox: Sandbox, call: Caller) -> None:
    basic = "Basic " + b64encode(f"{sandbox.key}:".encode()).decode()
    assert call("GET", "/v1/account", Authorization=basic).status_code == 200
    right = call("GET", "/v1/account", Stripe_Version="2026-10-28.endive")
    assert right.headers["Request-Id"].startswith("req_")
    assert call("GET", "/v1/account", Stripe_Version="2020-08-27").status_code == 400


def test_secrets_stay_out_of_the_log(sandbox: Sandbox, call: Caller) -> None:
    secret = call(
        "POST", "/v1/webhook_endpoints", {"url": "http://127.0.0.1:1/x", "enabled_events[]": "*"}
    ).json()["secret"]
    logged = json.dumps(sandbox.requests())
    assert sandbox.key not in logged
    assert secret not in logged


# Idempotency


def test_a_key_is_answered_once(sandbox: Sandbox, call: Caller) -> None:
    given = {"email": "once@example.com"}
    first = call("POST", "/v1/customers", given, Idempotency_Key="k")
    again = call("POST", "/v1/customers", given, Idempotency_Key="k")
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Original-Request"] == first.headers["Request-Id"]
    other = call("POST", "/v1/customers", {"email": "x@example.com"}, Idempotency_Key="k")
    assert other.json()["error"]["type"] == "idempotency_error"
    assert call("POST", "/v1/products", {"name": "x"}, Idempotency_Key="k").status_code == 400
    sandbox.clock(advance=DAY + 1)
    late = call("POST", "/v1/customers", given, Idempotency_Key="k")
    assert late.json()["id"] != first.json()["id"]


def test_validation_failures_are_not_kept_but_declines_are(call: Caller) -> None:
    wrong = call("POST", "/v1/customers", {"bogus": "1"}, Idempotency_Key="v")
    assert wrong.status_code == 400
    assert call("POST", "/v1/customers", {"email": "a@b.c"}, Idempotency_Key="v").status_code == 200
    given = {
        "amount": "900",
        "currency": "usd",
        "confirm": "true",
        "payment_method": "pm_card_chargeDeclined",
        "return_url": "https://example.com",
    }
    declined = [call("POST", "/v1/payment_intents", given, Idempotency_Key="d") for _ in range(2)]
    assert [each.status_code for each in declined] == [402, 402]
    assert declined[1].headers["Idempotent-Replayed"] == "true"


def test_twin_in_flight_gets_409(sandbox: Sandbox, call: Caller) -> None:
    sandbox.fault("slow", method="POST", path="^/v1/customers$", times=1, seconds=0.6)
    answers: list[requests.Response] = []
    slow = threading.Thread(
        target=lambda: answers.append(
            Caller(sandbox)("POST", "/v1/customers", {"email": "a@b.c"}, Idempotency_Key="t")
        )
    )
    slow.start()
    time.sleep(0.2)
    twin = call("POST", "/v1/customers", {"email": "a@b.c"}, Idempotency_Key="t")
    slow.join()
    assert error_of(twin)[:2] == (409, "idempotency_key_in_use")
    assert answers[0].status_code == 200
    later = call("POST", "/v1/customers", {"email": "a@b.c"}, Idempotency_Key="t")
    assert later.content == answers[0].content
    assert sandbox.count("customer") == 1


# Faults


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


# Limits


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


# Webhooks


@pytest.fixture
def endpoint(call: Caller, listener: Listener) -> dict[str, Any]:
    given = {"url": listener.url, "enabled_events[]": "*", "api_version": "2026-10-28.endive"}
    return call("POST", "/v1/webhook_endpoints", given).json()


def events_in(received: list[tuple[bytes, dict[str, str]]]) -> list[dict[str, Any]]:
    return [json.loads(body) for body, _ in received]


def test_deliveries_come_twice_and_out_of_order(
    sandbox: Sandbox, call: Caller, endpoint: dict[str, Any], listener: Listener
) -> None:
    sandbox.webhooks(paused=True)
    for _ in range(6):
        call.payment()
    assert not listener.received
    assert sandbox.webhooks()["waiting"] == 18
    attempts = sandbox.flush(duplicate=1, shuffle=True, types=["charge.succeeded"])
    assert [each["status"] for each in attempts] == [200] * 12
    ids = [event["id"] for event in events_in(listener.received)]
    assert set(Counter(ids).values()) == {2}
    made = [e["id"] for e in reversed(sandbox.dump("event")) if e["type"] == "charge.succeeded"]
    assert list(dict.fromkeys(ids)) != made
    assert sandbox.webhooks()["waiting"] == 12


def test_deliveries_are_dropped_and_found_by_the_events_api(
    sandbox: Sandbox, call: Caller, endpoint: dict[str, Any], listener: Listener
) -> None:
    sandbox.webhooks(drop_types=["charge.succeeded"])
    call.payment()
    listener.wait(2)
    time.sleep(0.1)
    lost = call("GET", "/v1/events", {"delivery_success": "false"}).json()["data"]
    assert [each["type"] for each in lost] == ["charge.succeeded"]
    assert len(call("GET", "/v1/events", {"delivery_success": "true"}).json()["data"]) == 2


def test_failed_deliveries_are_tried_again(
    sandbox: Sandbox, call: Caller, endpoint: dict[str, Any], listener: Listener
) -> None:
    sandbox.webhooks(backoff=0.05)
    listener.answer_with(500, 302)
    call.customer()
    listener.wait(3)
    attempts = sandbox.wait_for_webhooks(3)
    assert [(each["attempt"], each["status"]) for each in attempts] == [
        (1, 500),
        (2, 302),
        (3, 200),
    ]
    assert len({event["id"] for event in events_in(listener.received)}) == 1


def test_rotated_secrets_sign_twice(
    sandbox: Sandbox, call: Caller, endpoint: dict[str, Any], listener: Listener
) -> None:
    new = sandbox.rotate_secret(endpoint["id"])
    call.customer()
    ((body, headers),) = listener.wait(1)
    signed = headers["stripe-signature"]
    assert signed.count("v1=") == 2
    for secret in (endpoint["secret"], new):
        assert stripe.WebhookSignature.verify_header(body.decode(), signed, secret, 300)
    sandbox.rotate_secret(endpoint["id"], keep_old=False)
    call.customer()
    body, headers = listener.wait(2)[1]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body.decode(), headers["stripe-signature"], new, 300)


def test_nothing_is_sent_off_the_machine(sandbox: Sandbox, call: Caller) -> None:
    given = {"url": "https://example.com/hook", "enabled_events[]": "customer.created"}
    call("POST", "/v1/webhook_endpoints", given)
    call.customer()
    assert sandbox.wait_for_webhooks(1)[0]["outcome"] == "outside"


def test_any_event_can_be_emitted_by_hand(
    sandbox: Sandbox, call: Caller, endpoint: dict[str, Any], listener: Listener
) -> None:
    made = call.customer()
    sandbox.emit("invoice.upcoming", made["id"])
    assert events_in(listener.wait(2))[1]["data"]["object"]["id"] == made["id"]


# Time


def test_events_are_gone_after_thirty_days(sandbox: Sandbox, call: Caller) -> None:
    call.customer()
    old = call("GET", "/v1/events").json()["data"][0]
    sandbox.clock(advance=29 * DAY)
    call.customer()
    assert len(call("GET", "/v1/events").json()["data"]) == 2
    sandbox.clock(advance=2 * DAY)
    assert len(call("GET", "/v1/events").json()["data"]) == 1
    assert call("GET", f"/v1/events/{old['id']}").status_code == 404
    both = {"type": "customer.created", "types[]": "customer.updated"}
    assert error_of(call("GET", "/v1/events", both))[1] == "parameters_exclusive"
    many = {f"types[{n}]": "customer.created" for n in range(21)}
    assert call("GET", "/v1/events", many).status_code == 400
    assert call("GET", "/v1/events", {"type": "customer.*"}).json()["data"]


def test_clock_renews_expires_and_settles(sandbox: Sandbox, call: Caller) -> None:
    frozen = sandbox.clock(now="2026-12-01T00:00:00Z", frozen=True)
    assert sandbox.clock() == frozen
    sandbox.seed(customers=4, subscriptions=1, products=1, days=1)
    started = {each["id"]: each for each in sandbox.dump("subscription")}
    invoices = sandbox.count("invoice")
    given = {
        "success_url": "https://example.com",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "900",
        "line_items[0][price_data][product_data][name]": "Pass",
        "line_items[0][quantity]": "1",
    }
    session = call("POST", "/v1/checkout/sessions", given).json()
    call.payment()
    assert call("GET", "/v1/balance").json()["pending"][0]["amount"] > 0
    sandbox.clock(advance=34 * DAY)
    assert call("GET", "/v1/balance").json()["pending"][0]["amount"] == 0
    assert sandbox.object(session["id"])["status"] == "expired"
    assert sandbox.count("invoice") == invoices + 4
    for renewed in sandbox.dump("subscription"):
        old = started[renewed["id"]]["items"]["data"][0]
        new = renewed["items"]["data"][0]
        assert new["current_period_start"] == old["current_period_end"]
        assert renewed["status"] == "active"
    renewals = [e for e in sandbox.dump("event") if e["type"] == "customer.subscription.updated"]
    assert all("items" in each["data"]["previous_attributes"] for each in renewals)
    check_object("Subscription", sandbox.dump("subscription")[0])


def test_unpaid_first_invoice_expires_the_subscription(sandbox: Sandbox, call: Caller) -> None:
    sandbox.seed(customers=1, products=1)
    price = [each for each in sandbox.dump("price") if each["recurring"]][0]
    given = {
        "customer": sandbox.dump("customer")[0]["id"],
        "items[0][price]": price["id"],
        "payment_behavior": "default_incomplete",
    }
    made = call("POST", "/v1/subscriptions", given).json()
    sandbox.clock(advance=DAY)
    assert sandbox.object(made["id"])["status"] == "incomplete_expired"
    assert sandbox.object(made["latest_invoice"])["status"] == "void"


def test_failed_renewals_end_the_subscription(sandbox: Sandbox, call: Caller) -> None:
    sandbox.seed(customers=1, subscriptions=1, products=1, days=1)
    (subscription,) = sandbox.dump("subscription")
    call(
        "POST",
        f"/v1/subscriptions/{subscription['id']}",
        {"default_payment_method": ""},
    )
    sandbox.clock(advance=60 * DAY)
    assert sandbox.object(subscription["id"])["status"] == "canceled"
    told = Counter(each["type"] for each in sandbox.dump("event"))
    assert told["invoice.payment_failed"] == 4
    assert told["customer.subscription.deleted"] == 1


def test_payouts_arrive(sandbox: Sandbox, call: Caller) -> None:
    call.payment(50_000)
    sandbox.clock(advance=3 * DAY)
    paid = sandbox.act("payout")
    listed = call("GET", "/v1/payouts", {"status": "in_transit"}).json()["data"]
    assert [each["id"] for each in listed] == [paid["id"]]
    assert call("GET", "/v1/balance").json()["available"][0]["amount"] == 0
    sandbox.clock(advance=3 * DAY)
    assert call("GET", f"/v1/payouts/{paid['id']}").json()["status"] == "paid"
    assert call.event_types()[-1] == "payout.paid"


# Seeds


def test_seed_is_repeatable_and_consistent(sandbox: Sandbox) -> None:
    wanted: dict[str, Any] = {
        "customers": 60,
        "payments_per_customer": 1.5,
        "refunds": 0.2,
        "subscriptions": 0.3,
        "invoices": 0.3,
        "products": 3,
        "metadata": {"org_id": "o-1"},
    }
    sandbox.clock(now="2026-11-20T12:00:00Z", frozen=True)
    made = sandbox.seed(**wanted)
    assert made["customer"] == 60
    assert "event" not in made
    charges = {each["id"]: each for each in sandbox.dump("charge")}
    refunded: Counter[str] = Counter()
    for refund in sandbox.dump("refund"):
        refunded[refund["charge"]] += refund["amount"]
    assert all(each["amount_refunded"] == refunded[each["id"]] for each in charges.values())
    for intent in sandbox.dump("payment_intent"):
        if intent["status"] == "succeeded":
            assert charges[intent["latest_charge"]]["payment_intent"] == intent["id"]
    for payment in sandbox.dump("invoice_payment"):
        assert sandbox.object(payment["invoice"])["status"] in ("open", "paid")
    newest_first = [each["created"] for each in sandbox.dump("customer")]
    assert newest_first == sorted(newest_first, reverse=True)
    emails = [each["email"] for each in sandbox.dump("customer")]
    sandbox.reset()
    sandbox.clock(now="2026-11-20T12:00:00Z", frozen=True)
    sandbox.seed(**wanted)
    assert [each["email"] for each in sandbox.dump("customer")] == emails
    again = sandbox.seed(customers=5)
    assert again["customer"] == 5


def test_seed_can_be_crowded_toward_today(sandbox: Sandbox) -> None:
    sandbox.seed(customers=400, days=100, skew=4)
    now = sandbox.clock()
    ages = sorted(now - each["created"] for each in sandbox.dump("customer"))
    assert ages[200] < 10 * DAY
    assert ages[-1] > 50 * DAY


def test_all_seeded_objects_are_as_described(sandbox: Sandbox, call: Caller) -> None:
    sandbox.seed(
        customers=12,
        payments_per_customer=2,
        subscriptions=0.5,
        invoices=0.5,
        refunds=0.3,
        emit_events=True,
    )
    kinds = "customers payment_intents charges refunds subscriptions invoices invoiceitems invoice_payments"
    for kind in [
        *kinds.split(),
        "payment_methods",
        "products",
        "prices",
        "balance_transactions",
        "events",
    ]:
        assert call("GET", f"/v1/{kind}", {"limit": "100"}).json()["data"], kind


@pytest.mark.soak
def test_hundred_thousand_customers_cost_little(tmp_path: Path) -> None:
    sandbox, process = Sandbox.start("stripe")
    try:
        sandbox.limits(off=True)
        started = time.monotonic()
        sandbox.seed(customers=100_000)
        assert time.monotonic() - started < 5
        caller = Caller(sandbox).session
        before, pages, after = _cpu(process.pid), 200, None
        for _ in range(pages):
            page = caller.get(
                sandbox.base("stripe") + "/v1/customers",
                params={"limit": 100, "starting_after": after},
            )
            after = page.json()["data"][-1]["id"]
        assert (_cpu(process.pid) - before) / pages < 0.0015
    finally:
        process.kill()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# The process


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
