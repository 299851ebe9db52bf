"""Zapier's routes over real sockets: who may, subscriptions, samples, actions, what becomes of outages."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from web_client import new_key, refused, run, serving
from zapier_client import ACTING, HOOKS, ME, ZapierApp, new_app
from zapier_world import ZapierWorld

from atlvs.db import api_keys
from atlvs.hooks import TRIGGERS
from blocks import CONNECTORS
from blocks.stripe import Stripe

pytest_plugins = ["zapier_fixtures", "platform_fixtures"]
TARGET = "http://127.0.0.1:9/hooks/standard/1/secret-token"
TASK = {"title": "Book the hall"}
DEEP = b'{"action": "task.create", "data": ' + b'{"a":' * 500 + b"1" + b"}" * 501


# Who may


def test_me_says_whose_key_it_is(zapier_app: ZapierApp, zapier_signed: ZapierApp, org: UUID):
    told = {"org_id": str(org), "organization": "Acme", "key": "Zaps", "scopes": ["zapier"]}
    assert zapier_app.me().json() == told | {"signed": False}
    assert zapier_signed.me().json() == told | {"signed": True}


ROUTES = [
    ("GET", ME, None),
    ("POST", HOOKS, {"event": "deal.won", "target_url": TARGET}),
    ("GET", HOOKS, None),
    ("DELETE", f"{HOOKS}/{uuid4()}", None),
    ("GET", "/api/zapier/samples/deal.won", None),
    ("POST", ACTING, {"action": "task.create", "data": TASK}),
]


@pytest.mark.parametrize(
    ("scopes", "answers"),
    [
        (("zapier",), [200, 201, 200, 200, 200, 201]),
        (("zapier:triggers",), [200, 201, 200, 200, 200, 403]),
        (("zapier:actions",), [200, 403, 403, 403, 403, 201]),
        (("services", "notifications"), [403] * 6),
    ],
)
def test_scopes(zapier_url: str, org: UUID, scopes: tuple[str, ...], answers: list[int]):
    app = ZapierApp(zapier_url, new_key(org, *scopes))
    assert [app(*route).status_code for route in ROUTES] == answers


def test_without_a_valid_key_nothing_is_told(zapier_url: str, rows: Any):
    for route in ROUTES:
        for key in ("x", "atlvs_none", "atlvs_ü"):
            answer = ZapierApp(zapier_url, key)(*route)
            assert refused(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert rows("tasks") == rows("integration_hooks") == []


def test_revoked_key_is_refused_at_once_and_its_subscriptions_end(
    zapier_app: ZapierApp, org: UUID, rows: Any
):
    other = new_app(zapier_app.url, org)
    zapier_app.subscribe("deal.won", TARGET)
    other.subscribe("deal.lost", TARGET)
    [mine] = [one for one in run(api_keys.every(org)) if zapier_app.key.startswith(one.prefix)]
    assert run(api_keys.revoke(org, str(mine.id))) == 1
    assert refused(zapier_app.me(), 401, "unauthorized")
    assert refused(zapier_app.act("task.create", TASK), 401, "unauthorized")
    found = "select event, state, farewell_at is not null from integration_hooks order by event"
    assert rows(found) == [("deal.lost", "active", False), ("deal.won", "ended", True)]
    assert run(api_keys.revoke(org, str(mine.id))) == 0
    assert [one["event"] for one in other("GET", HOOKS).json()["hooks"]] == ["deal.lost"]


# Subscriptions and samples


def test_zap_is_switched_on_listed_and_off(zapier_app: ZapierApp, rows: Any):
    answer = zapier_app.subscribe("contact.created", TARGET, zap_id="4711")
    made = answer.json()
    assert answer.status_code == 201
    assert set(made) == {"id", "event", "status", "secret", "created_at"}
    assert (made["event"], made["status"], made["secret"][:6]) == (
        "contact.created",
        "active",
        "whsec_",
    )
    again = zapier_app(
        "POST", HOOKS, {"event": "contact.created", "targetUrl": TARGET, "ownWrites": "true"}
    )
    assert (again.status_code, again.json()) == (200, made)
    assert rows("integration_hooks", "zap_id", "own_writes") == [("4711", True)]
    listed = zapier_app("GET", HOOKS)
    assert listed.json()["hooks"] == [
        {
            **{name: made[name] for name in ("id", "event", "created_at", "status")},
            "target": "127.0.0.1:9/…",
            "last_success_at": None,
            "failing_since": None,
            "reason": None,
        }
    ]
    assert "secret" not in listed.text
    for _ in range(2):
        ended = zapier_app("DELETE", f"{HOOKS}/{made['id']}")
        assert (ended.status_code, ended.json()) == (200, {"id": made["id"], "status": "ended"})
    assert zapier_app("GET", HOOKS).json() == {"hooks": []}


@pytest.mark.parametrize("id", ["00000000-0000-4000-8000-000000000000", "seven", "a%20b", "%22%3C"])
def test_what_never_was_on_is_off(zapier_app: ZapierApp, id: str):
    answer = zapier_app("DELETE", f"{HOOKS}/{id}")
    assert (answer.status_code, answer.json()["status"]) == (200, "ended")


def test_another_organizations_subscription_stays(
    zapier_app: ZapierApp, zapier_world: ZapierWorld, rows: Any
):
    theirs = new_app(zapier_app.url, zapier_world.other)
    id = theirs.subscribe("deal.won", TARGET).json()["id"]
    assert zapier_app("DELETE", f"{HOOKS}/{id}").status_code == 200
    assert rows("integration_hooks", "state") == [("active",)]
    assert zapier_app("GET", HOOKS).json() == {"hooks": []}
    assert zapier_app.subscribe("deal.won", TARGET).status_code == 201


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"event": "deal.eaten", "target_url": TARGET}, "event"),
        ({"event": "deal.won", "target_url": "http://hooks.zapier.com/private"}, "target_url"),
        ({"event": "deal.won", "target_url": "https://10.0.0.1/private"}, "target_url"),
        ({"event": "deal.won", "target_url": "https://me:private@hooks.zapier.com/"}, "target_url"),
        ({"event": "deal.won", "target_url": "file:///private"}, "target_url"),
        ({"event": "deal.won"}, "target_url"),
        ({"event": "deal.won", "target_url": ""}, "target_url"),
        ({"target_url": TARGET}, "event"),
        ({"event": ["deal.won"], "target_url": TARGET}, "event"),
        ({"event": "deal.won", "target_url": TARGET, "own_writes": "perhaps"}, "own_writes"),
        ({"event": "deal.won", "target_url": TARGET, "zap_id": "z" * 101}, "zap_id"),
        ({"event": "deal.won", "target_url": TARGET, "targetUrl": TARGET}, "targetUrl"),
        ({"event": "deal.won", "target_url": TARGET, "hookUrl": TARGET}, "hookUrl"),
    ],
)
def test_wrong_subscription_is_refused_by_its_field(
    zapier_app: ZapierApp, rows: Any, given: Any, field: str
):
    answer = zapier_app("POST", HOOKS, given)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert "private" not in answer.text
    assert rows("integration_hooks") == []


@pytest.mark.parametrize("event", TRIGGERS)
def test_every_trigger_has_samples(zapier_app: ZapierApp, zapier_world: ZapierWorld, event: str):
    [sample] = zapier_app("GET", f"/api/zapier/samples/{event}?limit=1").json()
    assert list(sample) == ["id", "type", "occurred_at", "org_id", "data"]
    assert (sample["type"], sample["org_id"]) == (event, str(zapier_world.org))


def test_samples_are_as_many_as_asked_for(zapier_app: ZapierApp):
    for number in range(4):
        assert zapier_app.act("task.create", {"title": f"T{number}"}).status_code == 201
    path = "/api/zapier/samples/task.created"
    for query, number in (("", 3), ("?limit=2", 2), ("?limit=1", 1)):
        assert len(zapier_app("GET", path + query).json()) == number
    for wrong in ("0", "4", "x", ""):
        assert refused(
            zapier_app("GET", f"{path}?limit={wrong}"), 422, "parameter_invalid", "limit"
        )
    for event in ("task.eaten", "x%00y", "payment.received"):
        assert refused(zapier_app("GET", f"/api/zapier/samples/{event}"), 404, "not_found")


# Actions


def test_action_answers_with_the_object(zapier_app: ZapierApp, rows: Any):
    answer = zapier_app.act("contact.create", {"email": "ada@example.com", "first_name": "Ada"})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["object"], made["email"]) == ("contact", "ada@example.com")
    again = zapier_app.act("contact.create", {"email": "ADA@example.com"})
    assert (again.status_code, again.json()) == (200, made)
    changed = zapier_app.act("contact.update", {"id": made["id"], "last_name": "King"})
    assert (changed.status_code, changed.json()["last_name"]) == (200, "King")


def test_five_requests_at_once_with_one_key_make_one(zapier_app: ZapierApp, rows: Any):
    with ThreadPoolExecutor(5) as pool:
        asked = [
            pool.submit(zapier_app.act, "task.create", TASK, Idempotency_Key="k") for _ in range(5)
        ]
        answers = [one.result() for one in asked]
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert len(rows("tasks")) == 1
    later = zapier_app.act("task.create", TASK, Idempotency_Key="k")
    assert (later.status_code, later.text) == (200, answers[0].text)
    other = zapier_app.act("task.create", {"title": "Other"}, Idempotency_Key="k")
    assert refused(other, 422, "idempotency_mismatch", "Idempotency-Key")


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_key_has_1_to_255_characters(zapier_app: ZapierApp, rows: Any, key: str):
    answer = zapier_app.act("task.create", TASK, Idempotency_Key=key)
    assert refused(answer, 422, "parameter_invalid", "Idempotency-Key")
    assert rows("tasks") == []


def test_source_has_the_key_and_the_zap(zapier_app: ZapierApp, rows: Any, org: UUID):
    for spelling in ({"zapId": 4711}, {"zap_id": "4711"}, {"zapId": ""}):
        given = {"action": "task.create", "data": TASK, **spelling}
        assert zapier_app("POST", ACTING, given).status_code == 201
    [(id,)] = rows("integration_api_keys", "id")
    sources = [source for (source,) in rows("select source from integration_outbox order by seq")]
    assert sources == [f"zapier:{id}:4711", f"zapier:{id}:4711", f"zapier:{id}:"]


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({}, "parameter_missing", "action"),
        ({"action": "task.create"}, "parameter_missing", "data"),
        ({"action": "task.create", "data": "x"}, "parameter_invalid", "data"),
        ({"action": "task.create", "data": [TASK]}, "parameter_invalid", "data"),
        ({"action": {}, "data": TASK}, "parameter_invalid", "action"),
        ({"action": "task.creat", "data": TASK}, "action_unknown", "action"),
        ({"action": "__class__", "data": TASK}, "action_unknown", "action"),
        ({"action": "task.create", "data": {"name": "T"}}, "parameter_unknown", "name"),
        (
            {"action": "task.create", "data": {**TASK, "due_at": "soon"}},
            "parameter_invalid",
            "due_at",
        ),
        ({"action": "task.create", "data": TASK, "zapId": "a b"}, "parameter_invalid", "zap_id"),
        ({"action": "task.create", "data": TASK, "zapID": "1"}, "parameter_unknown", "zapID"),
        ({"action": "task.create", "data": {"title": "a\0b"}}, "parameter_invalid", None),
        ([TASK], "malformed", None),
        (b"{'action': 1}", "malformed", None),
        (b'{"action": "task.create", "data": {"title": "\\ud800"}}', "malformed", None),
        (DEEP, "parameter_unknown", "a"),
    ],
)
def test_wrong_call_is_refused_by_its_field(
    zapier_app: ZapierApp, rows: Any, given: Any, code: str, field: str | None
):
    answer = zapier_app("POST", ACTING, given, Idempotency_Key="k")
    status = 400 if isinstance(given, bytes) and code == "malformed" else 422
    assert refused(answer, status, code, field)
    assert rows("tasks") == rows("integration_actions") == []


def test_what_is_not_there_is_404(zapier_app: ZapierApp, zapier_world: ZapierWorld):
    contact = str(zapier_world.foreign("contacts", email="ada@example.com"))
    assert refused(zapier_app.act("contact.update", {"id": contact}), 404, "not_found", "id")
    answer = zapier_app.act("lead.create", {"name": "L", "contact_id": contact})
    assert refused(answer, 404, "not_found", "contact_id")


def test_bodies_that_are_no_call(zapier_app: ZapierApp):
    assert refused(zapier_app("POST", ACTING, b" " * 1_000_001), 413, "too_large")
    form = zapier_app("POST", ACTING, b"a=b", Content_Type="application/x-www-form-urlencoded")
    assert refused(form, 415, "not_json", "Content-Type")
    assert refused(zapier_app("GET", ACTING), 405, "method_not_allowed")


def test_receiver_of_webhooks_takes_no_action(
    zapier_world: ZapierWorld, monkeypatch: pytest.MonkeyPatch
):
    """Also when Zapier is a provider with webhooks of its own."""
    monkeypatch.setitem(CONNECTORS, "zapier", Stripe)
    with serving() as url:
        app = new_app(url, zapier_world.org)
        assert app.act("task.create", TASK).status_code == 201
        assert (
            app("POST", f"{ACTING}/some", TASK).json()["error"]["message"]
            == "There is no such connection."
        )


def test_calls_are_counted_by_action(zapier_app: ZapierApp):
    zapier_app.act("task.create", TASK)
    zapier_app.act("task.create", {})
    zapier_app.act('"x\n', {})
    text = httpx.get(f"{zapier_app.url}/metrics").text
    for method, outcome in (
        ("task.create", "ok"),
        ("task.create", "refused"),
        ("unknown", "refused"),
    ):
        assert f'{{method="{method}",outcome="{outcome}",provider="zapier"}}' in text
