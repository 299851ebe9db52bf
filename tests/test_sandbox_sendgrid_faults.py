"""The sandbox's SendGrid misbehaving on demand, and at size."""

from __future__ import annotations

import time

import pytest
import requests
from sandbox_client import Sandbox
from sendgrid_client import Post, errors_of, events_in, mail_to
from webhook_listener import Listener


@pytest.fixture
def post(sandbox: Sandbox) -> Post:
    return Post(sandbox.url)


@pytest.mark.parametrize(("kind", "made"), [("500_before", 0), ("500_after", 1)])
def test_server_errors(post: Post, kind: str, made: int) -> None:
    post.fault(kind, provider="sendgrid", path="mail/send", times=1)
    refused = post.send("a@example.org")
    assert errors_of(refused) == [(500, None, "internal server error")]
    assert post.ask("count")["messages"] == made


def test_accepted_but_the_answer_is_lost(post: Post) -> None:
    post.fault("reset_after", provider="sendgrid", times=1)
    with pytest.raises(requests.ConnectionError):
        post.send("a@example.org")
    assert post.ask("counts") == {"a@example.org": 1}


def test_accepted_and_then_lost(post: Post, listener: Listener) -> None:
    post.hook(listener.url)
    post.fault("status", provider="sendgrid", path="mail/send", status=202, times=1)
    lost = post.send("a@example.org")
    assert (lost.status_code, len(lost.headers["X-Message-Id"])) == (202, 22)
    post.send("b@example.org")
    listener.wait(1)
    assert {event["email"] for event in events_in(listener.received)} == {"b@example.org"}
    assert post.ask("messages", to="a@example.org") == []


def test_injected_429_says_when_to_come_back(post: Post) -> None:
    post.fault("429", provider="sendgrid", times=1, seconds=7)
    refused = post.send("a@example.org")
    assert errors_of(refused) == [(429, None, "too many requests")]
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert 5 <= int(refused.headers["X-RateLimit-Reset"]) - time.time() <= 7


def test_slow_keeps_the_request_in_flight(post: Post) -> None:
    post.fault("slow", provider="sendgrid", times=1, seconds=0.2)
    started = time.monotonic()
    assert post.send("a@example.org").status_code == 202
    assert time.monotonic() - started >= 0.2


def test_many_thousands_stay_cheap(post: Post) -> None:
    started = time.process_time()
    people = [f"p{number}@example.org" for number in range(10_000)]
    for start in range(0, 10_000, 1_000):
        body = mail_to(*people[start : start + 1_000])
        assert post("POST", "mail/send", body).status_code == 202
    counts = post.ask("counts")
    assert (len(counts), set(counts.values())) == (10_000, {1})
    assert time.process_time() - started < 5
