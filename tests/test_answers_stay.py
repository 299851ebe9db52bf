"""What a provider answered stays, whatever becomes of our own notes about it: nothing is sent again."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest
from conftest import Rows
from database_blips import blip, blipped
from fanout_fixtures import Ledger
from sandbox_client import Sandbox
from sendgrid_client import Post
from sendgrid_deliveries import mail_words, of, sent
from slack_connection import slack_delivery
from slack_workspace import Workspace
from twilio_client import NUMBER, PHONE, TwilioAccount, until
from twilio_deliveries import delivery, fields_of

from atlvs.db import connections
from atlvs.db.leases import leasing
from atlvs.errors import Rejected, Unavailable
from blocks import wire
from blocks.base import resources
from blocks.sendgrid import SendGrid
from blocks.slack import Slack
from blocks.twilio import API, Twilio
from tasks.notify.senders import sender_for
from tasks.notify.sending import send_due
from tasks.twilio import service

pytest_plugins = ["twilio_fixtures", "sendgrid_fixtures", "slack_fixtures"]
CALLS, LIMITS, CONSENTS = (
    "integration_calls",
    "integration_rate_limits",
    "integration_consents",
)


@pytest.fixture
async def texting(ledger: Ledger, twilio_account: TwilioAccount) -> AsyncIterator[Ledger]:
    """Six SMS that are due."""
    await connections.save(ledger.org, "twilio", "default", fields_of(twilio_account))
    live = ledger.notification("announcement", data={"message": "Doors open"}, channels=["sms"])
    for number in range(6):
        ledger.delivery(live, f"+1415555{number:04}", channel="sms")
    async with resources():
        yield ledger


async def all_sent(ledger: Ledger, channel: str = "sms") -> None:
    async with leasing() as lease:
        while "queued" in ledger.states().values():
            ledger.rows("update integration_deliveries set due_at = now() where state = 'queued'")
            await send_due(ledger.org, channel, lease, seconds=20)


async def test_people_are_told_once_while_the_audit_cannot_be_written(
    texting: Ledger, twilio_account: TwilioAccount, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(wire, "FLUSH", 2)
    blip(texting.rows, CALLS)
    await all_sent(texting)
    assert set(texting.states().values()) == {"sent"}
    assert set(twilio_account.counts().values()) == {1}
    assert len(twilio_account.counts()) == 6
    assert blipped(texting.rows, CALLS) > 1
    assert texting.count(CALLS) == 6


async def test_a_request_is_sent_once_while_the_audit_cannot_be_written(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Rows
):
    blip(rows, CALLS)
    request = uuid4()
    first = await service.send_sms.fn(twilio, request, PHONE, "Doors open")
    assert await service.send_sms.fn(twilio, request, PHONE, "Doors open") == first
    assert until(twilio_account.counts, lambda each: each == {PHONE: 1})
    await twilio.wire.flush()
    assert rows("select method, status from integration_calls") == [("POST", 201)]


async def test_what_waits_for_the_audit_is_bounded_and_does_not_hold_up_each_call(
    twilio: Twilio, rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(wire, "FLUSH", 2)
    monkeypatch.setattr(wire, "KEPT", 5)
    blip(rows, CALLS, times=4)
    for _ in range(9):
        await twilio.get(twilio.path(".json"))
    assert len(twilio.wire.calls) == 6
    assert blipped(rows, CALLS) == 4
    await twilio.wire.flush()
    assert twilio.wire.calls == []
    assert rows("select count(*) from integration_calls") == [(6,)]


async def test_the_wait_that_is_told_stays_told(twilio: Twilio, sandbox: Sandbox, rows: Rows):
    await twilio.wire.turn(API)
    sandbox.fault("429", provider="twilio", headers={"Retry-After": "7"}, times=1)
    blip(rows, LIMITS)
    with pytest.raises(Unavailable) as told:
        await twilio.wire.turn(API)
    assert told.value.provider == "database"
    blip_again = "select setval('blips_of_integration_rate_limits', 1, false)"
    await twilio.wire.turn(API)
    rows(blip_again)
    with pytest.raises(Unavailable) as told:
        await twilio.post(twilio.path("/Messages.json"), {"To": PHONE}, paced=True)
    assert (told.value.provider, told.value.retry_after) == ("twilio", 7.0)


async def test_a_batch_is_not_sent_before_what_is_known_is_written(
    mailer: SendGrid, mail_account: Post, rows: Rows
):
    blip(rows, CONSENTS)
    batch = [of(mailer), of(mailer, address="nowhere")]
    with pytest.raises(Unavailable):
        await sent(mailer, *batch)
    assert mail_account.ask("count")["mails"] == 0
    outcomes = {one.delivery: one.state for one in await sent(mailer, *batch)}
    assert [outcomes[one.id] for one in batch] == ["sent", "failed"]
    assert mail_account.ask("count")["mails"] == 1


async def test_a_refused_batch_keeps_its_outcomes_while_the_ledger_is_away(
    mailer: SendGrid, mail_account: Post, rows: Rows
):
    error = {"message": "Not an address.", "field": "personalizations.1.to.0.email", "help": None}
    mail_account.fault("status", status=400, body={"errors": [error]}, times=1, path="mail/send")
    blip(rows, CONSENTS)
    batch = [of(mailer, address=f"{name}@example.org") for name in "bc"]
    outcomes = {one.delivery: one.state for one in await sent(mailer, *batch)}
    assert [outcomes[one.id] for one in batch] == ["queued", "failed"]
    assert blipped(rows, CONSENTS) == 1
    assert mail_words(rows) == []


async def test_a_refused_sms_is_refused_while_the_ledger_is_away(
    twilio: Twilio, twilio_account: TwilioAccount, rows: Rows
):
    twilio_account.act("reply", **{"from": PHONE, "to": NUMBER, "body": "STOP"})
    blip(rows, CONSENTS, times=2)
    [outcome] = await sender_for("sms").send(twilio, [delivery(twilio.connection.org_id)])
    assert (outcome.state, outcome.code) == ("suppressed", "21610")
    with pytest.raises(Rejected) as told:
        await service.send_sms.fn(twilio, uuid4(), PHONE, "Doors open")
    assert told.value.code == "suppressed"
    assert blipped(rows, CONSENTS) == 2


async def test_who_left_slack_has_failed_while_the_ledger_is_away(
    slack_bot: Slack, slack_workspace: Workspace, rows: Rows
):
    ben = slack_workspace.user("ben@example.com")
    slack_workspace.act("deactivate_user", user=ben)
    blip(rows, CONSENTS)
    data: dict[str, Any] = {"task_title": "Rig"}
    one = slack_delivery(slack_bot.connection.org_id, "task_assigned", ben, **data)
    sender = sender_for("slack")
    await sender.turn(slack_bot, [one])
    [outcome] = await sender.send(slack_bot, [one])
    assert (outcome.state, outcome.code) == ("failed", "user_disabled")
    assert blipped(rows, CONSENTS) == 1


def own_file(number: int) -> dict[str, Any]:
    content = b64encode(f"ticket {number}".encode()).decode()
    return {"attachments": [{"filename": "t.txt", "content": content, "type": "text/plain"}]}


def own_text(number: int) -> dict[str, Any]:
    """More of one's own than goes along in a common request."""
    return {"message": f"{number} " * 6_000}


@pytest.mark.parametrize("own", [own_file, own_text])
async def test_who_has_to_wait_for_a_call_of_their_own_is_tried_as_often_as_any(
    mailer: SendGrid, mail_account: Post, ledger: Ledger, own: Callable[[int], dict[str, Any]]
):
    live = ledger.notification(data={"message": "Your ticket"})
    for number in range(60):
        ledger.delivery(live, f"p{number}@example.org", data=own(number))
    mail_account.fault("429", provider="sendgrid", path="mail/send", skip=54, times=1)
    await all_sent(ledger, "email")
    assert set(ledger.states().values()) == {"sent"}
    assert ledger.rows("select max(attempts) from integration_deliveries") == [(2,)]
    assert mail_account.ask("count")["mails"] == 60
