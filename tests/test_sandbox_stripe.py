"""The sandbox's Stripe over its socket: strict about parameters, keys and repetitions."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from pathlib import Path

import pytest
import requests
from published import description, description_path
from sandbox_client import Sandbox
from stripe_description import check_object, check_request
from stripe_fixtures import Caller, error_of

from deployments.sandbox.stripe.describe import TABLE, write

DAY = 86_400


def test_parameter_table_is_what_the_description_says(tmp_path: Path) -> None:
    description("stripe")  # skips without it
    write(description_path("stripe"), tmp_path / "parameters.json")
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
