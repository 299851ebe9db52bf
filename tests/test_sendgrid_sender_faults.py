"""Sending e-mail while something is wrong: at SendGrid, with the account, with a message."""

from __future__ import annotations

from asyncio import gather
from time import monotonic, process_time
from typing import Any
from uuid import UUID

import pytest
from sendgrid_client import Post
from sendgrid_deliveries import SAMPLE, of, reopened, sent

from atlvs.errors import OutcomeUnknown, Rejected, Unauthorized, Unavailable
from blocks.sendgrid import SendGrid
from blocks.wire import patience
from tasks.sendgrid import SENDERS
from tasks.sendgrid.calls import request_for

pytest_plugins = ["sendgrid_fixtures"]
SENDER = SENDERS["email"]  # pyright: ignore[reportArgumentType]
Json = dict[str, Any]


@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        ({"kind": "429"}, Unavailable, "rate_limited"),
        ({"kind": "500_before"}, OutcomeUnknown, "no_answer"),
        ({"kind": "500_after"}, OutcomeUnknown, "no_answer"),
        ({"kind": "reset"}, OutcomeUnknown, "no_answer"),
        ({"kind": "reset_after"}, OutcomeUnknown, "no_answer"),
        ({"kind": "status", "status": 503}, Unavailable, None),
        (
            {"kind": "status", "status": 502, "body": "<html>Bad gateway</html>"},
            OutcomeUnknown,
            "no_answer",
        ),
        (
            {"kind": "status", "status": 200, "body": "<html>Welcome</html>"},
            OutcomeUnknown,
            "no_answer",
        ),
        (
            {"kind": "status", "status": 404, "body": "<html>Where</html>"},
            OutcomeUnknown,
            "no_answer",
        ),
    ],
    ids=lambda value: str(value)[:50] if isinstance(value, dict) else "",
)
async def test_trouble_is_told_for_all_of_a_call(
    mailer: SendGrid, mail_account: Post, fault: Json, expected: type[Exception], code: str | None
):
    mail_account.fault(**fault, provider="sendgrid", times=1)
    with pytest.raises(expected) as told:
        await sent(mailer, of(mailer), of(mailer, address="b@example.org"))
    assert getattr(told.value, "code", None) == code
    assert "@" not in str(told.value)


async def test_the_wait_that_sendgrid_asks_for_is_told(mailer: SendGrid, mail_account: Post):
    mail_account.limits("sendgrid", writes=1)
    with pytest.raises(Unavailable) as told:
        await gather(*(sent(mailer, of(mailer)) for _ in range(3)))
    assert told.value.retry_after is not None
    assert 0 < told.value.retry_after <= 2


async def test_refused_key_and_sender_need_a_person(mailer: SendGrid, mail_account: Post):
    mail_account.act("unverify_sender", "noreply@example.com")
    with pytest.raises(Unauthorized, match="verified Sender Identity") as told:
        await sent(mailer, of(mailer))
    mail_account.act("verify_sender", "noreply@example.com")
    mail_account.tell("settings", credits=0)
    with pytest.raises(Unauthorized, match="credits") as told:
        await sent(mailer, of(mailer))
    assert told.value.code == "credits_used_up"
    mail_account.act("revoke_key")
    with pytest.raises(Unauthorized, match="invalid, expired, or revoked"):
        await sent(mailer, of(mailer))


async def test_lost_answer_keeps_the_fate_of_the_others_apart(mailer: SendGrid, mail_account: Post):
    mail_account.fault("reset_after", provider="sendgrid", times=1)
    batch = [of(mailer), of(mailer, address="nowhere")]
    outcomes = {one.delivery: one for one in await sent(mailer, *batch)}
    assert [outcomes[one.id].state for one in batch] == ["unknown", "failed"]


async def test_turn_is_paced(mailer: SendGrid, mail_account: Post):
    slow = await reopened(mailer, mail_account, sends_per_second=5.0)
    began = monotonic()
    for _ in range(4):
        await SENDER.turn(slow, [])
    assert 0.5 < monotonic() - began < 2
    token = patience.set(0.01)
    try:
        with pytest.raises(Unavailable, match="limit"):
            await gather(*(SENDER.turn(slow, []) for _ in range(5)))
    finally:
        patience.reset(token)


def test_building_a_request_for_a_thousand_is_cheap(mailer: SendGrid):
    batch = [
        of(
            mailer,
            address=f"p{n}@example.org",
            own={"first_name": f"P{n}", "preferences_url": f"https://x.test/{n}"},
        )
        for n in range(1_000)
    ]
    request_for(mailer, batch[:1])
    began = process_time()
    for one in batch[:300]:
        request_for(mailer, [one])
    alone = process_time() - began
    began = process_time()
    made = request_for(mailer, batch)
    assert process_time() - began < 5 * alone, "one by one takes longer"
    assert len(made.going) == 1_000


def test_check_renders_and_refuses(mailer: SendGrid, org: UUID):
    SENDER.check(mailer, of(mailer))
    SENDER.check(mailer, of(mailer, own={"digest_items": [{"title": "One"}]}))
    for wrong, code in (
        (of(mailer, address="nobody"), "invalid_address"),
        (of(mailer, data={}), "data_missing"),
        (of(mailer, "announcement", data=SAMPLE | {"template_id": "x"}), "template_unknown"),
    ):
        with pytest.raises(Rejected) as refused:
            SENDER.check(mailer, wrong)
        assert refused.value.code == code
    assert SENDER.estimate(mailer, of(mailer)) is None
