"""The service door over real sockets, in front of the simulated Stripe, while Prefect is away."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sandbox_client import Sandbox
from web_client import Caller, connect_door, new_key, refused, run, wait_until

from atlvs.db import api_keys, connections

pytest_plugins = ["web_fixtures"]
PAYMENT = {"amount": 1200, "currency": "usd"}


@pytest.mark.parametrize("spelling", ["create_payment_intent", "createPaymentIntent"])
def test_both_spellings_make_a_payment(
    door_call: Caller, sandbox: Sandbox, rows: Any, spelling: str
) -> None:
    answer = door_call(spelling, PAYMENT)
    assert answer.status_code == 200
    made = answer.json()
    assert (made["object"], made["amount"], made["currency"]) == ("payment_intent", 1200, "usd")
    assert sandbox.count("payment_intent") == 1
    assert rows("select amount_cents from stripe_payments") == [(1200,)]


@pytest.mark.parametrize("spelling", ["payment_intent_id", "paymentIntentId"])
def test_both_spellings_of_a_parameter(door_call: Caller, spelling: str) -> None:
    made = door_call("create_payment_intent", PAYMENT).json()
    found = door_call("get_payment_intent", {spelling: made["id"]})
    assert found.status_code == 200
    assert found.json()["id"] == made["id"]


def test_publishable_key_is_readable_without_a_body(door_call: Caller) -> None:
    answer = door_call.raw("get_publishable_key", b"")
    assert answer.status_code == 200
    assert "pk_test_public" in answer.text


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"amount": 1200}, "parameter_missing", "currency"),
        ({**PAYMENT, "amount": "1200"}, "parameter_invalid", "amount"),
        ({**PAYMENT, "amount": 12.0}, "parameter_invalid", "amount"),
        ({**PAYMENT, "amount": True}, "parameter_invalid", "amount"),
        ({**PAYMENT, "amount": 10**30}, "parameter_invalid", "amount"),
        ({**PAYMENT, "amount": None}, "parameter_invalid", "amount"),
        ({**PAYMENT, "currency": 5}, "parameter_invalid", "currency"),
        ({**PAYMENT, "customerId": "../x"}, "parameter_invalid", "customerId"),
        ({**PAYMENT, "metadata": {"a": 1}}, "parameter_invalid", "metadata.a"),
        ({**PAYMENT, "tip": 5}, "parameter_unknown", "tip"),
        ({**PAYMENT, "connection": "x"}, "parameter_unknown", "connection"),
        ({**PAYMENT, "request": str(uuid4())}, "parameter_unknown", "request"),
        (
            {**PAYMENT, "customer_id": "cus_1", "customerId": "cus_1"},
            "parameter_twice",
            "customerId",
        ),
        ({**PAYMENT, "metadata": {"a": "\0"}}, "parameter_invalid", None),
        ([1], "malformed", None),
    ],
)
def test_wrong_parameters_are_named(
    door_call: Caller, sandbox: Sandbox, body: Any, code: str, field: str | None
) -> None:
    assert refused(door_call("create_payment_intent", body), 422, code, field)
    assert sandbox.count("payment_intent") == 0


def test_bodies_that_are_not_json(door_call: Caller) -> None:
    kind = {"Content_Type": "application/json"}
    assert refused(door_call.raw("create_customer", b"{", **kind), 400, "malformed")
    assert refused(door_call.raw("create_customer", b'{"email": NaN}', **kind), 400, "malformed")
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert refused(
        door_call.raw("create_customer", b"a=b", **form), 415, "not_json", "Content-Type"
    )
    assert refused(door_call.raw("create_customer", b"x" * 1_000_001, **kind), 413, "too_large")


def test_unknown_methods_and_verbs(door_call: Caller) -> None:
    assert refused(door_call("steal_money"), 404, "not_found")
    answer = httpx.get(f"{door_call.url}/api/services/stripe/create_customer")
    assert refused(answer, 405, "method_not_allowed")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic atlvs_x", "Bearer atlvs_é"])
def test_no_valid_key_is_401(door_call: Caller, header: str) -> None:
    answer = httpx.post(
        f"{door_call.url}/api/services/stripe/get_publishable_key",
        headers=[(b"authorization", header.encode("latin-1"))],
    )
    assert refused(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_revoked_key_ends_within_seconds(
    door_call: Caller, door_org: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.web.callers.FRESH", 0.5)
    assert door_call("get_publishable_key").status_code == 200
    run(api_keys.revoke(door_org, door_call.key[:12]))
    wait_until(lambda: door_call("get_publishable_key").status_code == 401)


@pytest.mark.parametrize(
    ("scopes", "read", "write", "other_write"),
    [
        (("services",), 200, 200, 200),
        (("services:stripe",), 200, 200, 200),
        (("services:stripe:create_payment_intent",), 403, 200, 403),
        (("services:read",), 200, 403, 403),
        (("services:slack", "zapier"), 403, 403, 403),
        ((), 403, 403, 403),
    ],
)
def test_scopes(
    door_url: str, door_org: UUID, scopes: tuple[str, ...], read: int, write: int, other_write: int
) -> None:
    door_call = Caller(door_url, new_key(door_org, *scopes))
    assert door_call("get_publishable_key").status_code == read
    assert door_call("createPaymentIntent", PAYMENT).status_code == write
    customer = {"email": "a@example.com", "name": "A"}
    assert door_call("create_customer", customer).status_code == other_write


def other_org(rows: Any) -> UUID:
    return rows("insert into organizations (name, slug) values ('Other', 'o') returning id")[0][0]


def test_connection_of_another_organization_is_as_if_it_were_not(
    door_url: str, rows: Any, sandbox: Sandbox
) -> None:
    theirs = Caller(door_url, new_key(other_org(rows), "services"))
    named = theirs("create_payment_intent", PAYMENT, query="?connection=default")
    missing = theirs("create_payment_intent", PAYMENT, query="?connection=nothing")
    odd = theirs("create_payment_intent", PAYMENT, query="?connection=a%00b")
    assert refused(named, 404, "not_found")
    assert refused(odd, 404, "not_found")
    assert named.text.replace("default", "") == missing.text.replace("nothing", "")
    assert refused(theirs("create_payment_intent", PAYMENT), 503, "not_configured")
    assert sandbox.count("payment_intent") == 0


def test_only_connection_is_meant_and_of_several_one_must_be_named(
    door_url: str, rows: Any, sandbox: Sandbox
) -> None:
    org = other_org(rows)
    connect_door(org, sandbox, "north", publishable_key="pk_north")
    door_call = Caller(door_url, new_key(org, "services"))
    assert "pk_north" in door_call("get_publishable_key").text
    connect_door(org, sandbox, "south", publishable_key="pk_south")
    answer = door_call("get_publishable_key")
    assert refused(answer, 422, "connection_ambiguous", "connection")
    assert "north, south" in answer.json()["error"]["message"]
    assert "pk_south" in door_call("get_publishable_key", query="?connection=south").text


def test_same_idempotency_key_does_it_once(door_call: Caller, sandbox: Sandbox) -> None:
    first = door_call("create_payment_intent", PAYMENT, Idempotency_Key="order-1")
    again = door_call("createPaymentIntent", PAYMENT, Idempotency_Key="order-1")
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert sandbox.count("payment_intent") == 1
    other = door_call("create_payment_intent", PAYMENT, Idempotency_Key="order-2")
    assert other.json()["id"] != first.json()["id"]


def test_five_at_once_with_one_key_make_one(door_call: Caller, sandbox: Sandbox) -> None:
    def ask(_: int) -> Any:
        return door_call("create_payment_intent", PAYMENT, Idempotency_Key="order-1")

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(ask, range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.text for answer in answers}) == 1
    assert sandbox.count("payment_intent") == 1


def test_same_key_with_other_parameters_is_a_conflict(door_call: Caller, sandbox: Sandbox) -> None:
    door_call("create_payment_intent", PAYMENT, Idempotency_Key="order-1")
    answer = door_call("create_payment_intent", {**PAYMENT, "amount": 5}, Idempotency_Key="order-1")
    assert refused(answer, 409, "idempotency_mismatch")
    assert sandbox.count("payment_intent") == 1


def test_keys_of_two_organizations_do_not_meet(
    door_call: Caller, rows: Any, sandbox: Sandbox, door_url: str
) -> None:
    org = other_org(rows)
    connect_door(org, sandbox, "theirs")
    theirs = Caller(door_url, new_key(org, "services"))
    mine = door_call("create_payment_intent", PAYMENT, Idempotency_Key="order-1").json()
    assert theirs("create_payment_intent", PAYMENT, Idempotency_Key="order-1").json() != mine


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_idempotency_key_has_its_bounds(door_call: Caller, key: str) -> None:
    answer = door_call("create_payment_intent", PAYMENT, Idempotency_Key=key)
    assert refused(answer, 422, "parameter_invalid", "Idempotency-Key")


def test_missing_object_is_404(door_call: Caller) -> None:
    answer = door_call("get_customer", {"customer_id": "cus_nobody"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "resource_missing")


def test_lost_answer_is_found_again(door_call: Caller, sandbox: Sandbox) -> None:
    sandbox.fault("reset_after", path="^/v1/payment_intents$", method="POST", times=1)
    answer = door_call("create_payment_intent", PAYMENT, Idempotency_Key="order-1")
    assert answer.status_code == 200
    assert sandbox.count("payment_intent") == 1


def test_wrong_provider_key_asks_for_a_person(
    door_call: Caller, door_org: UUID, sandbox: Sandbox
) -> None:
    connect_door(door_org, sandbox, secret_key=f"rk_test_{uuid4().hex[:8]}_norights")
    answer = door_call("create_payment_intent", PAYMENT)
    assert refused(answer, 502, "provider_unauthorized")
    assert "reconnect" in answer.json()["error"]["message"]


def test_disconnected_asks_for_a_person(door_call: Caller, door_org: UUID) -> None:
    found = run(connections.find("stripe", "default"))
    run(connections.wipe(found[0]))
    assert refused(door_call("create_payment_intent", PAYMENT), 502, "provider_unauthorized")


def test_provider_away_is_503_within_the_patience(door_call: Caller, sandbox: Sandbox) -> None:
    sandbox.fault("429", provider="stripe", headers={"Retry-After": "30"})
    began = monotonic()
    answer = door_call("get_customer", {"customer_id": "cus_1"})
    assert monotonic() - began < 15
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1


def test_answers_without_prefect(door_call: Caller, sandbox: Sandbox) -> None:
    began = monotonic()
    assert door_call("create_customer", {"email": "a@example.com", "name": "A"}).status_code == 200
    assert monotonic() - began < 5
    assert sandbox.count("customer") == 1
