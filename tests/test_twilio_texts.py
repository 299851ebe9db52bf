"""Texts of SMS and calls: readable, harmless, short; and what Twilio's words mean."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import vectors_in
from twilio_deliveries import delivery

from atlvs.errors import Rejected
from atlvs.notices import TYPES
from tasks.twilio.fates import STATES, outcome_of, word_of
from tasks.twilio.readable import clean, time_text
from tasks.twilio.rows import kept, micros, rows_from
from tasks.twilio.segments import segments
from tasks.twilio.texts import LONGEST, alike, cut, text_for, words_for
from tasks.twilio.writing import said_twice

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"
FULL: dict[str, Any] = {
    "task_title": "Rig the lights",
    "due_at": "2027-06-12T17:30:00+00:00",
    "approval_subject": "Extra crew",
    "event_name": "Gala",
    "starts_at": "2027-06-12T17:30:00Z",
    "location": "Hall 4",
    "budget_name": "Catering",
    "amount": 125_000,
    "spent": 100_000,
    "currency": "eur",
    "percent": 80.0,
    "incident_title": "Fire alarm",
    "connection": "deal.won",
    "reason": "The target said 500.",
    "mend": "Enable it.",
    "severity": "high",
    "reset_url": "https://atlvs.test/reset/abc",
    "invoice_number": "INV-7",
    "message": "Doors open at seven",
    "time_zone": "Europe/Berlin",
    "url": "https://atlvs.test/x",
}
TEXTS = {
    "task_assigned": "Task for you: Rig the lights. https://atlvs.test/x",
    "task_due_soon": "Due Sat 12 Jun 2027, 19:30 CEST: Rig the lights. https://atlvs.test/x",
    "approval_required": "Please approve: Extra crew. https://atlvs.test/x",
    "event_reminder": "Gala starts Sat 12 Jun 2027, 19:30 CEST. Hall 4 https://atlvs.test/x",
    "budget_alert": "Catering: 80 % of the budget is spent. https://atlvs.test/x",
    "incident_reported": "Incident (high): Fire alarm. https://atlvs.test/x",
    "registration_received": "New registration for Gala. https://atlvs.test/x",
    "payment_received": "Payment received: 1,250.00 EUR. https://atlvs.test/x",
    "registration_confirmation": "You are registered for Gala. https://atlvs.test/x",
    "ticket_delivery": "Your tickets for Gala: https://atlvs.test/x",
    "password_reset": "Reset your password: https://atlvs.test/reset/abc",
    "invoice_sent": "Invoice INV-7 over 1,250.00 EUR. https://atlvs.test/x",
    "payment_receipt": "We received 1,250.00 EUR. Thank you. https://atlvs.test/x",
    "announcement": "Doors open at seven",
    "connection_trouble": "deal.won needs you: The target said 500. Enable it.",
}


def test_segments_agree_with_twilios_own_calculator() -> None:
    cases = vectors_in("sms_segments.json")["cases"]
    assert len(cases) == 24
    assert {each["id"]: segments(each["text"]) for each in cases} == {
        each["id"]: each["segments"] for each in cases
    }


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_every_type_has_its_text(kind: str) -> None:
    assert text_for(delivery(kind=kind, data=FULL)) == TEXTS[kind]
    assert "http" not in words_for(delivery(kind=kind, data=FULL))


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_missing_variables_leave_no_holes(kind: str) -> None:
    required = {name: FULL[name] for name in TYPES[kind].required | {"message"}}  # pyright: ignore
    text = text_for(delivery(kind=kind, data=required))
    assert text == " ".join(text.split())
    assert not text.endswith((":", ",", " ."))
    assert "None" not in text
    assert "{" not in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb\r\n\tc  d", "a b c d"),
        (f"x{BIDI}y", "xy"),
        ("a\0b\x07c\x1b[31m", "abc[31m"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("\u201cquoted\u201d \u2013 it\u2019s\u2026", '"quoted" - it\'s...'),
        ("<b>&amp;</b> {url} %s", "<b>&amp;</b> {url} %s"),
        ("\ud800lone", "lone"),
        ("👩‍👩‍👧 family", "👩‍👩‍👧 family"),
        ("مرحبا", "مرحبا"),
        ("\u2028line\u2029s", "line s"),
    ],
)
def test_hostile_values_are_made_harmless(value: str, shown: str) -> None:
    assert text_for(delivery(data={"task_title": value})) == f"Task for you: {shown}."


@given(value=st.text(max_size=2500), link=st.sampled_from(["", "https://atlvs.test/x"]))
def test_any_text_fits_and_is_one_line(value: str, link: str) -> None:
    text = text_for(delivery(data={"task_title": value, "url": link}))
    assert text.startswith("Task for you")
    assert segments(text) <= 3
    assert text.isprintable() or not clean(value).isprintable()
    assert not set(BIDI + "\n\r\t\0") & set(text)
    assert text.endswith(link)
    text.encode()


def test_long_titles_are_shortened_and_links_are_not() -> None:
    link = f"https://atlvs.test/{'x' * 100}"
    text = text_for(delivery(data={"task_title": "word " * 400, "url": link}))
    assert segments(text) == 3
    assert len(text) > 440
    assert text.endswith(f"... {link}")
    unicode = text_for(delivery(data={"task_title": "Я" * 2000, "url": link}))
    assert segments(unicode) == 3
    assert f"…. {link}" in unicode


def test_somebodys_own_message_is_cut_only_where_twilio_would_refuse_it() -> None:
    kept_whole = text_for(delivery(kind="announcement", data={"message": "m" * LONGEST}))
    assert kept_whole == "m" * LONGEST
    assert len(text_for(delivery(kind="announcement", data={"message": "m" * 2000}))) == LONGEST


def test_link_that_cannot_fit_is_refused() -> None:
    with pytest.raises(Rejected) as told:
        text_for(delivery(kind="password_reset", data={"reset_url": "https://x/" + "y" * 1700}))
    assert told.value.code == "too_long"
    with pytest.raises(Rejected) as told:
        text_for(delivery(kind="announcement", data={"message": " \n\u200b"}))
    assert told.value.code == "empty"


def test_characters_of_several_are_not_cut_apart() -> None:
    family = "👩‍👩‍👧"
    assert all(
        cut(family * 3, keep).removesuffix("…") in ("", family, family * 2, family * 3)
        for keep in range(16)
    )
    assert cut("e\u0301e\u0301", 3) == "e\u0301…"
    assert cut("👍🏽👍🏽", 3) == "👍🏽…"


def test_digest_lists_what_fits() -> None:
    items = [{"title": f"Task {n}\nof many", "text": "", "url": "https://x"} for n in range(3)]
    text = text_for(delivery(data={"digest_items": items}))
    assert text == "3 notices: Task 0 of many; Task 1 of many; Task 2 of many"
    many = [{"title": f"Task {n} {'x' * 30}"} for n in range(100)]
    text = text_for(delivery(data={"digest_items": many}))
    assert segments(text) == 3
    assert text.endswith("; and 89 more")
    assert (
        segments(text_for(delivery(data={"digest_items": [{"title": "x" * 3000}, "odd", None]})))
        <= 3
    )


@pytest.mark.parametrize(
    ("value", "zone", "shown"),
    [
        ("2027-01-05T09:00:00Z", "America/New_York", "Tue 5 Jan 2027, 04:00 EST"),
        ("2027-01-05T09:00:00+05:30", "", "Tue 5 Jan 2027, 09:00 UTC+05:30"),
        ("2027-01-05T09:00:00Z", "", "Tue 5 Jan 2027, 09:00 UTC"),
        ("2027-01-05T09:00:00Z", "Asia/Dubai", "Tue 5 Jan 2027, 13:00 UTC+04"),
        ("2027-01-05T09:00:00Z", "Mars/Base", "Tue 5 Jan 2027, 09:00 UTC"),
        ("2027-01-05", "Europe/Berlin", "5 Jan 2027"),
        ("2027-01-05T09:00", "Europe/Berlin", "Tue 5 Jan 2027, 09:00"),
        ("0001-01-01T00:00:00+14:00", "America/New_York", "0001-01-01T00:00:00+14:00"),
        ("tomorrow", "Europe/Berlin", "tomorrow"),
    ],
)
def test_times_are_told_in_the_time_zone(value: str, zone: str, shown: str) -> None:
    assert time_text(value, zone) == shown


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (1250, "usd", "12.50 USD"),
        (1250, "jpy", "1,250 JPY"),
        (1250, "KWD", "1.250 KWD"),
        ("free", "usd", "free USD"),
    ],
)
def test_amounts_are_in_the_currencys_own_units(amount: Any, currency: str, shown: str) -> None:
    data = {"amount": amount, "currency": currency}
    assert text_for(delivery(kind="payment_received", data=data)) == f"Payment received: {shown}."


@pytest.mark.parametrize(
    "words", ["<Say>&</Say>]]>", "x" * 5000, "&" * 1600, "", "Feuer in Halle 4!"]
)
def test_twiml_is_wellformed_and_short_enough(words: str) -> None:
    twiml = said_twice(words)
    assert len(twiml) <= 4000
    said = [each.text or "" for each in ElementTree.fromstring(twiml).iter("Say")]  # noqa: S314
    assert len(said) == 2
    assert said[0] == said[1]
    assert said[0].rstrip(".…")[:100] == words[: len(said[0].rstrip(".…"))][:100]


def test_logged_text_is_recognized() -> None:
    sent = "“Größe” – it’s ok…  `x` 👍"
    assert alike(sent, "\"Große\" - it's ok... 'x' 👍")
    assert alike(sent, f"Sent from your Twilio trial account - {sent}")
    assert not alike(sent, f"{sent} no")
    assert not alike("", "")


def test_states_and_errors_have_their_meaning() -> None:
    one = delivery()
    for status, state in STATES.items():
        outcome = outcome_of(one.id, "SM1", status, None)
        assert outcome
        assert outcome.state == state
    assert outcome_of(one.id, "SM1", "teleported", None) is None
    stopped = outcome_of(one.id, "SM1", "failed", 21610)
    assert stopped
    assert stopped.state == "suppressed"
    assert word_of("sms", "", "SM1", 30005) is None
    assert word_of("sms", "+1", "SM1", 30003) is None
    unknown = outcome_of(one.id, "SM1", "undelivered", 39999)
    assert unknown
    assert "39999" in str(unknown.reason)


def test_rows_hold_no_text() -> None:
    given_row = {
        "sid": "SM1",
        "body": "secret words",
        "price": "-0.01660",
        "price_unit": "USD",
        "num_segments": "2",
        "status": "delivered",
        "error_code": None,
        "from": "+1\0",
    }
    (row,) = rows_from("message", [given_row], delivery().sending_at, {})  # pyright: ignore
    assert (row["price_micros"], row["price_unit"], row["segments"]) == (16_600, "usd", 2)
    assert "secret" not in str(row)
    assert "\\u0000" not in kept(given_row)
    assert [micros(value) for value in (None, "x", "-0", "0.5")] == [None, None, 0, 500_000]


def test_a_variable_called_items_is_no_digest():
    bill = {"invoice_number": "7", "amount": 1200, "currency": "eur"}
    bill |= {"items": [{"title": "Chairs"}, {"title": "Tables"}]}
    text = text_for(delivery(kind="invoice_sent", data=bill))
    assert "Invoice 7" in text
    assert "Chairs" not in text
