"""`/api/notifications` over real sockets: raised once for each key, told only to whom they belong."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from notifications_client import PATH, Raiser
from pages_people import make_org
from web_client import new_key, refused, run

from tasks.notify.raising import raise_notification

pytest_plugins = ["pages_fixtures"]
TASK = {
    "type": "task_assigned",
    "key": "task-1",
    "data": {"task_title": "Book the hall"},
    "audience": {"kind": "everyone"},
}
WRITTEN = (
    "select key, type, origin, audience, channels, mode, subject from integration_notifications"
)


def test_raised_is_written_down(notifications_raiser: Raiser, rows: Any):
    answer = notifications_raiser({**TASK, "subject": "For you", "channels": ["email"]})
    assert answer.status_code == 202
    made = answer.json()
    assert (made["state"], made["created"]) == ("raised", True)
    assert rows(WRITTEN) == [
        ("task-1", "task_assigned", "api", {"kind": "everyone"}, ["email"], "all", "For you")
    ]
    assert rows("integration_notifications", "id") == [(UUID(made["id"]),)]


def test_same_key_is_told_once(notifications_raiser: Raiser, rows: Any):
    first, again = notifications_raiser(TASK), notifications_raiser(TASK)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == {**first.json(), "created": False}
    assert len(rows("integration_notifications")) == 1


def test_five_at_once_with_one_key_make_one(notifications_raiser: Raiser, rows: Any):
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: notifications_raiser(TASK), range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 202]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_same_key_for_something_else_is_a_conflict(notifications_raiser: Raiser, rows: Any):
    notifications_raiser(TASK)
    for other in (
        {"data": {"task_title": "Another"}},
        {"audience": {"kind": "tag", "name": "vip"}},
        {"mode": "first"},
        {"channels": ["sms"]},
    ):
        assert refused(notifications_raiser({**TASK, **other}), 409, "key_reused", "key")
    assert len(rows("integration_notifications")) == 1


def test_idempotency_key_stands_for_the_key(notifications_raiser: Raiser, rows: Any):
    without = {name: value for name, value in TASK.items() if name != "key"}
    assert notifications_raiser(without, Idempotency_Key="k1").status_code == 202
    assert notifications_raiser({**TASK, "key": "k1"}, Idempotency_Key="k1").status_code == 200
    assert notifications_raiser({**TASK, "key": "k1"}).status_code == 200
    answer = notifications_raiser(TASK, Idempotency_Key="other")
    assert refused(answer, 422, "parameter_twice", "Idempotency-Key")
    assert refused(notifications_raiser(without), 422, "parameter_missing", "key")
    answer = notifications_raiser(without, Idempotency_Key="k" * 256)
    assert refused(answer, 422, "parameter_invalid", "Idempotency-Key")
    assert len(rows("integration_notifications")) == 1


@pytest.mark.parametrize(
    ("data", "kind", "audience"),
    [
        (
            {"email": "a@example.com", "name": "A"},
            "task_assigned",
            {"kind": "people", "people": [{"email": "a@example.com", "name": "A"}]},
        ),
        (
            {"phone": "+12025550143"},
            "task_assigned",
            {"kind": "people", "people": [{"phone": "+12025550143"}]},
        ),
        ({}, "task_assigned", {"kind": "slack_channel", "channel": "default"}),
    ],
)
def test_who_is_told_where_nobody_is_named(
    notifications_raiser: Raiser, rows: Any, data: Any, kind: str, audience: Any
):
    given = {"type": kind, "key": "k", "data": {"task_title": "T", **data}}
    assert notifications_raiser(given).status_code == 202
    assert rows("integration_notifications", "audience") == [(audience,)]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"type": "gossip"}, "type_unknown", "type"),
        ({"type": 5}, "parameter_invalid", "type"),
        ({"type": None}, "parameter_invalid", "type"),
        ({"data": {}}, "data_missing", "task_title"),
        ({"data": {"task_title": ""}}, "data_missing", "task_title"),
        ({"data": [1]}, "parameter_invalid", "data"),
        ({"key": ""}, "parameter_invalid", "key"),
        ({"key": "k" * 301}, "parameter_invalid", "key"),
        ({"subject": "s" * 501}, "parameter_invalid", "subject"),
        ({"audience": {"kind": "world"}}, "audience_invalid", "audience"),
        ({"audience": {"kind": "contacts", "ids": ["x"]}}, "audience_invalid", None),
        ({"audience": []}, "parameter_invalid", "audience"),
        ({"channels": ["fax"]}, "parameter_invalid", "channels.0"),
        ({"channels": "email"}, "parameter_invalid", "channels"),
        ({"mode": "some"}, "parameter_invalid", "mode"),
        ({"org_id": str(uuid4())}, "parameter_invalid", "org_id"),
        ({"subject": "a\0b"}, "parameter_invalid", None),
    ],
)
def test_wrong_parameters_are_named_in_the_answer(
    notifications_raiser: Raiser, rows: Any, change: Any, code: str, field: str | None
):
    answer = notifications_raiser({**TASK, **change})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, code), error
    assert field is None or error["field"] == field
    assert rows("integration_notifications") == []


def test_nobody_to_tell_is_named(notifications_raiser: Raiser):
    given = {"type": "announcement", "key": "k", "data": {"message": "Hello"}}
    assert refused(notifications_raiser(given), 422, "parameter_missing", "audience")


def test_bodies_that_are_no_notification(notifications_raiser: Raiser):
    deep = b'{"type": "task_assigned", "data": ' + b'{"a":' * 400 + b"1" + b"}" * 401
    assert refused(notifications_raiser(b"{"), 400, "malformed")
    assert refused(notifications_raiser(b"[]"), 422, "malformed")
    assert notifications_raiser(deep).status_code == 422
    assert refused(notifications_raiser(b" " * 5_000_001), 413, "too_large")
    form = notifications_raiser(b"a=b", Content_Type="application/x-www-form-urlencoded")
    assert refused(form, 415, "not_json", "Content-Type")


@pytest.mark.parametrize(
    ("scopes", "raising", "reading"),
    [
        (("notifications",), 202, 200),
        (("notifications:read",), 403, 200),
        (("services", "zapier"), 403, 403),
        ((), 403, 403),
    ],
)
def test_scopes_of_notifications(
    notifications_raiser: Raiser, org: UUID, scopes: tuple[str, ...], raising: int, reading: int
):
    made = notifications_raiser({**TASK, "key": "first"}).json()["id"]
    theirs = Raiser(notifications_raiser.url, new_key(org, *scopes))
    assert theirs(TASK).status_code == raising
    assert theirs.read(made).status_code == reading


def test_without_a_key_is_401(pages_url: str, rows: Any):
    assert refused(httpx.post(pages_url + PATH, json=TASK), 401, "unauthorized")
    assert refused(httpx.get(f"{pages_url}{PATH}/{uuid4()}"), 401, "unauthorized")
    assert rows("integration_notifications") == []


DELIVERY = (
    "insert into integration_deliveries (org_id, notification_id, recipient, channel, state, reason)"
    " values (%s, %s, %s, %s, %s, %s)"
)


def test_notification_tells_its_deliveries_by_channel_and_state(
    notifications_raiser: Raiser, rows: Any, org: UUID
):
    id = notifications_raiser(TASK).json()["id"]
    assert notifications_raiser.read(id).json()["deliveries"] == {}
    for number, (channel, state, reason) in enumerate(
        [
            ("email", "delivered", None),
            ("email", "delivered", None),
            ("email", "skipped", "no e-mail address"),
            ("email", "skipped", "does not want it"),
            ("slack", "failed", "gone"),
        ]
    ):
        rows(DELIVERY, org, id, f"contact:{number}", channel, state, reason)
    told = notifications_raiser.read(id).json()
    assert told["deliveries"] == {
        "email": {"delivered": 2, "skipped": 2},
        "slack": {"failed": 1},
    }
    assert (told["id"], told["state"], told["type"]) == (id, "raised", "task_assigned")
    assert told["created_at"].startswith("20")


def test_notification_of_another_organization_is_as_if_it_were_not(
    notifications_raiser: Raiser, rows: Any
):
    id = notifications_raiser(TASK).json()["id"]
    theirs = Raiser(notifications_raiser.url, new_key(make_org(rows), "notifications"))
    foreign, missing, odd = theirs.read(id), theirs.read(str(uuid4())), theirs.read("x%00y")
    assert refused(foreign, 404, "not_found")
    assert foreign.text == missing.text == odd.text
    assert theirs(TASK).json()["id"] != id


def test_secret_variables_are_kept_sealed_and_not_told(notifications_raiser: Raiser, rows: Any):
    answer = notifications_raiser(
        {
            "type": "password_reset",
            "key": "reset-1",
            "data": {"reset_url": "https://example.com/reset/SECRET"},
            "audience": {"kind": "people", "people": [{"email": "a@example.com"}]},
        }
    )
    assert answer.status_code == 202
    assert "SECRET" not in str(rows("select row_to_json(n)::text from integration_notifications n"))
    assert "SECRET" not in notifications_raiser.read(answer.json()["id"]).text


def test_raised_here_and_by_a_flow_is_one(notifications_raiser: Raiser, org: UUID):
    """The key is the organization's, whoever asks."""
    made = notifications_raiser(TASK).json()
    again = run(raise_notification(org, **{**TASK, "origin": "flow"}))  # pyright: ignore
    assert again == {**made, "created": False}
