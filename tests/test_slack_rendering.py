"""Notifications as Slack messages: every type, hostile data, Slack's limits as its SDK has them."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from atlvs.events import NotificationType
from atlvs.notices import TYPES
from tasks.slack.messages import composed
from tasks.slack.text import address, escaped, link, moment, money

Json = dict[str, Any]
WHOLE: Json = {
    "task_title": "Rig the stage",
    "due_at": "2026-11-30T14:00:00+01:00",
    "event_name": "Gala",
    "assigned_by": "Ada",
    "assignee_name": "Ben",
    "priority": "high",
    "approval_subject": "Rental of lights",
    "requested_by": "Ada",
    "amount": 120_000,
    "currency": "usd",
    "starts_at": "2026-12-01T18:00:00Z",
    "ends_at": "2026-12-01T23:00:00Z",
    "location": "Hall 3",
    "registrations": 240,
    "budget_name": "Lights",
    "spent": 110_000,
    "percent": 92,
    "threshold": 90,
    "incident_title": "Leak",
    "severity": "high",
    "description": "Water on the stage.",
    "reported_by": "Ben",
    "reported_at": "2026-12-01T18:10:00Z",
    "registrant_name": "Cleo",
    "ticket": "VIP",
    "payer_name": "Cleo",
    "invoice_number": "INV-7",
    "method": "card",
    "paid_at": "2026-12-01T18:00:00Z",
    "reset_url": "https://atlvs.test/reset/abc",
    "expires_at": "2026-12-01T18:00:00Z",
    "due_on": "2026-12-31",
    "message": "See you there.",
    "headline": "Doors open earlier",
    "connection": "deal.won to hooks.example.com/…",
    "reason": "The target said 500.",
    "mend": "Enable it again.",
    "url": "https://atlvs.test/things/1",
}
HOSTILE = [
    "<!channel> <@U0123456789> <http://evil.test|click here>",
    "a & b &lt;!here&gt; *bold* `code`",
    "line one\nline two\r\n\tline three",
    "\u202eevil\u202c \u2066x\u2069 \u200fright to left",
    "🎪🎭👩‍👩‍👧‍👦" * 40,
    "x" * 2000,
    "&" * 2000,
    "я" * 2000,
    "\ud800 lone half, \x00 and \x07",
    "> quote | pipe > <",
    "javascript:alert(1)",
]
WAKES = re.compile(r"<[!@#]|<https?:")


def texts(thing: Any) -> list[tuple[str, str]]:
    """All text objects: kind and text."""
    if isinstance(thing, list):
        return [found for each in thing for found in texts(each)]
    if not isinstance(thing, dict):
        return []
    own = [(thing["type"], thing["text"])] if thing.get("type") in ("mrkdwn", "plain_text") else []
    return own + [found for each in thing.values() for found in texts(each)]


def judged(message: Json) -> Json:
    """Held to the limits of the SDK's models, and to the size that Slack takes."""
    assert 0 < len(message["text"]) <= 4000
    assert len(message["blocks"]) <= 50
    for block in message["blocks"]:
        parsed = Block.parse(block)
        assert parsed is not None, block
        parsed.validate_json()
        assert orjson.loads(orjson.dumps(parsed.to_dict())), block
    assert len(orjson.dumps(message["blocks"])) < 13_000
    for kind, text in texts(message["blocks"]):
        assert 0 < len(text) <= (3000 if kind == "mrkdwn" else 150)
    return message


def shown(message: Json) -> str:
    return " ".join(text for _, text in texts(message["blocks"]))


@pytest.mark.parametrize("type", TYPES)
def test_every_type_tells_its_variables(type: NotificationType) -> None:
    message = judged(composed(type, WHOLE, "A subject"))
    for name in TYPES[type].required - {"reset_url", "currency"}:
        value = WHOLE[name]
        told = {
            "amount": "1,200.00 USD",
            "spent": "1,100.00 USD",
            "due_at": "<!date^1796043600^",
            "starts_at": "<!date^1796148000^",
        }.get(name, str(value))
        assert told in shown(message), name
    [actions] = [block for block in message["blocks"] if block["type"] == "actions"]
    wanted = WHOLE["reset_url"] if type == "password_reset" else WHOLE["url"]
    assert actions["elements"][0]["url"] == wanted


@pytest.mark.parametrize("type", TYPES)
def test_required_variables_alone_make_a_message(type: NotificationType) -> None:
    least = {name: WHOLE[name] for name in TYPES[type].required}
    message = judged(composed(type, least))
    assert message["blocks"][0]["type"] == "header"


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("type", TYPES)
def test_hostile_data_stays_text(type: str, hostile: str) -> None:
    message = judged(composed(type, dict.fromkeys(WHOLE, hostile), hostile))
    for kind, text in [*texts(message["blocks"]), ("mrkdwn", message["text"])]:
        if kind == "mrkdwn":
            assert not WAKES.search(text), text
        assert "\u202e" not in text
        assert "\u2066" not in text
    header = message["blocks"][0]["text"]["text"]
    assert "\n" not in header
    assert (
        "javascript:"
        not in orjson.dumps([b for b in message["blocks"] if b["type"] == "actions"]).decode()
    )


def test_long_message_is_shown_whole_if_slack_takes_it() -> None:
    text = "Жизнь " * 333
    message = judged(composed("announcement", {"message": text.strip()}))
    assert text.strip() in shown(message)
    assert "…" in shown(judged(composed("announcement", {"message": "x" * 20_000})))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3000),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(
    type=st.sampled_from(list(TYPES)),
    data=st.dictionaries(st.sampled_from([*WHOLE, "status", "digest_items"]), anything),
)
def test_whatever_the_data_it_is_a_message_within_the_limits(type: str, data: Json) -> None:
    judged(composed(type, data))


def test_decided_approval_says_so() -> None:
    message = composed("approval_required", WHOLE | {"status": "approved", "decided_by": "Cleo"})
    assert message["blocks"][0]["text"]["text"] == "Approval: approved"
    assert "*Decided by*\nCleo" in shown(message)
    waiting = composed("approval_required", WHOLE | {"status": "pending"})
    assert waiting["blocks"][0]["text"]["text"] == "Approval required"


def test_digest_lists_all_of_its_items() -> None:
    items = [
        {"title": "New registration", "text": f"Gala · Guest <{n}>", "url": f"https://a.test/{n}"}
        for n in range(100)
    ]
    message = judged(composed("registration_received", {"digest_items": items}))
    assert message["blocks"][0]["text"]["text"] == "New registration (100)"
    told = shown(message)
    assert all(f"<https://a.test/{n}|Gala · Guest &lt;{n}&gt;>" in told for n in range(100))
    assert "New registration: " not in told


def test_digest_counts_what_is_too_much() -> None:
    items = [
        {"title": "Task assigned", "text": "x" * 300, "url": "https://a.test/" + "y" * 500}
    ] * 100
    told = shown(judged(composed("task_assigned", {"digest_items": items}, "Your day")))
    assert re.search(r"… and \d+ more$", told)


def test_links_are_links_only_where_they_can_be_opened() -> None:
    assert address("https://a.test/b|c>d e") == "https://a.test/b%7Cc%3Ed%20e"
    for wrong in ("javascript:x", "ftp://a.test", "https://", "/relative", "http://[", None, 7):
        assert address(wrong) is None
    assert link("https://a.test/?a=1&b=2", "x|y>", 100) == "<https://a.test/?a=1&amp;b=2|x¦y&gt;>"


def test_entities_are_never_cut_in_two() -> None:
    for most in range(8, 40):
        text = escaped("a<b>&" * 20, most)
        assert len(text) <= most
        assert re.fullmatch(r"(?:[^&<>]|&(?:amp|lt|gt);)*…", text), text


def test_times_and_amounts_as_people_write_them() -> None:
    assert moment("2026-11-30") == ("30 Nov 2026", "30 Nov 2026")
    assert moment("2026-11-30T14:00:00")[0] == "30 Nov 2026 14:00"
    assert moment("to<morrow>") == ("to&lt;morrow&gt;", "to<morrow>")
    assert moment("2026-11-30T14:00:00Z")[0].endswith("|30 Nov 2026 14:00 UTC>")
    assert money(1250, {"currency": "jpy"}) == "1,250 JPY"
    assert money("12 or so", {"currency": "<!here>"}) == "12 or so <!here>"


def test_a_variable_called_items_is_no_digest() -> None:
    told = shown(
        judged(composed("task_assigned", {"task_title": "Doors", "items": [{"title": "Bar"}]}))
    )
    assert "Doors" in told
    assert "Bar" not in told
