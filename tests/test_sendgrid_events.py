"""What SendGrid's event webhook tells: verified, stored once, and what comes of it in any order."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest
from connector_samples import SAMPLES, assembled, key_of_sendgrid, signed_by_sendgrid
from published import vectors

from atlvs.errors import Rejected, Unauthorized
from blocks import sendgrid_events
from blocks.sendgrid_events import event_from, is_signed
from tasks.sendgrid.changes import outcome_from, words_from

pytest_plugins = ["sendgrid_fixtures"]
Json = dict[str, Any]
DELIVERY = "00000000-0000-4000-8000-000000000001"


def verified(*events: Any, age: int = 0, **fields: Any) -> Any:
    body = orjson.dumps(list(events))
    return assembled("sendgrid", **fields).verify(body, signed_by_sendgrid(body, "", age), "")


def test_published_signatures(monkeypatch: pytest.MonkeyPatch):
    cases = vectors("sendgrid")
    assert len(cases) == 7
    for case in cases:
        at = case["headers"]["X-Twilio-Email-Event-Webhook-Timestamp"]
        signature = case["headers"]["X-Twilio-Email-Event-Webhook-Signature"]
        body = case["body"].encode()
        assert not is_signed(body, signature, at, [case["public_key"]])  # years old
        then = float(at) if at.isdigit() else 1_600_112_502.0
        monkeypatch.setattr(sendgrid_events, "time", lambda then=then: then)
        assert is_signed(body, signature, at, [case["public_key"]]) is case["expect"], case["id"]
        monkeypatch.undo()


def test_signatures_may_be_a_day_old_and_not_from_the_future():
    event = SAMPLES["sendgrid"].event
    assert verified(event, age=24 * 3600)
    for age in (26 * 3600, -600):
        with pytest.raises(Unauthorized):
            verified(event, age=age)


def test_any_of_our_keys_verifies_and_a_wrong_one_is_none():
    event = SAMPLES["sendgrid"].event
    assert verified(event, webhook_public_key=f" {key_of_sendgrid(2)} , {key_of_sendgrid(3)}")
    for keys in (key_of_sendgrid(3), "no key", "", "MFkw", f"{key_of_sendgrid(2)}x"):
        with pytest.raises(Unauthorized):
            verified(event, webhook_public_key=keys)


def test_events_hold_only_what_is_needed():
    one = SAMPLES["sendgrid"].event | {
        "ip": "203.0.113.24",
        "useragent": "Mozilla",
        "url": "https://example.org/secret",
        "url_offset": {"index": 0},
        "smtp-id": "<a@b>",
        "category": ["x"],
        "reason": None,
    }
    [event] = verified(one)
    assert set(event.payload) == {
        *("email", "event", "sg_message_id", "timestamp", "atlvs_delivery"),
    }
    assert event.lane == DELIVERY


def test_a_batch_is_as_many_events_and_a_malformed_one_none():
    events = [
        {"event": "processed", "sg_event_id": f"e{n}", "email": "A@example.org"} for n in range(3)
    ]
    found = verified(*events, {"event": "account_status_change"})
    assert [one.id for one in found[:3]] == ["e0", "e1", "e2"]
    assert [one.lane for one in found] == ["a@example.org"] * 3 + ["account"]
    assert verified() == []
    nameless = events[0] | {"sg_event_id": None}
    assert verified(nameless)[0].id == verified(nameless)[0].id
    for wrong in ({"event": 7}, {"email": "x"}, "event", None, [], {"event": ""}):
        with pytest.raises(Rejected) as refused:
            verified(wrong)
        assert refused.value.code == "malformed"
    assert event_from({"event": "open", "timestamp": True}).occurred_at is None


@pytest.mark.parametrize(
    ("event", "state"),
    [
        ({"event": "processed"}, "sent"),
        ({"event": "deferred", "response": "451 later, says mx for ada@example.org"}, "sent"),
        ({"event": "delivered"}, "delivered"),
        ({"event": "open"}, "opened"),
        ({"event": "open", "sg_machine_open": True}, "delivered"),
        ({"event": "click"}, "opened"),
        ({"event": "bounce", "type": "bounce", "status": "5.1.1"}, "bounced"),
        ({"event": "bounce", "type": "blocked"}, "failed"),
        ({"event": "dropped", "reason": "Bounced Address"}, "suppressed"),
        ({"event": "group_resubscribe"}, None),
        ({"event": "something_new"}, None),
    ],
)
def test_events_as_states(event: Json, state: str | None):
    outcome = outcome_from(event | {"sg_message_id": "abc.recvd-1"}, UUID(DELIVERY))
    assert (outcome.state if outcome else None) == state
    if outcome:
        assert outcome.provider_id == "abc"
        assert "@" not in (outcome.reason or "")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"event": "bounce", "type": "bounce"}, [("unreachable", "all")]),
        ({"event": "bounce", "type": "blocked"}, []),
        ({"event": "spamreport"}, [("refused", "all")]),
        ({"event": "unsubscribe"}, [("refused", "all")]),
        (
            {"event": "group_unsubscribe", "asm_group_id": 7},
            [("refused", "tasks"), ("refused", "news")],
        ),
        (
            {"event": "group_resubscribe", "asm_group_id": 7},
            [("allowed", "tasks"), ("allowed", "news")],
        ),
        ({"event": "group_unsubscribe", "asm_group_id": 9}, [("refused", "optional")]),
        ({"event": "dropped", "reason": "Unsubscribed Address"}, []),
        ({"event": "dropped", "reason": "Invalid"}, [("unreachable", "all")]),
        ({"event": "delivered"}, []),
        ({"event": "spamreport", "email": 7}, []),
    ],
)
def test_events_as_words(event: Json, expected: list[tuple[str, str]]):
    connector: Any = assembled("sendgrid")
    connector.unsubscribe_groups = {"tasks": 7, "news": 7}
    given = {"email": "Ada@example.org"} | event
    words = words_from(given, "e1", connector.scopes_of)
    assert [(word.verdict, word.scope) for word in words] == expected
    assert len({word.event_id for word in words}) == len(words)
