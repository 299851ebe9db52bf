"""What `atlvs check` finds at Twilio, and what is set up there."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sandbox_client import Sandbox
from twilio_client import NUMBER, POOL, TwilioAccount
from twilio_deliveries import fields_of

from atlvs.db import connections
from atlvs.records import Check
from atlvs.settings import settings
from blocks.base import resources
from blocks.twilio import Twilio
from tasks.twilio import prepare

pytest_plugins = ["twilio_fixtures"]


async def checked(org: UUID, account: TwilioAccount, name: str = "other", **fields: Any) -> Check:
    await connections.save(org, "twilio", name, fields_of(account, **fields))
    async with resources(), Twilio.opened(name) as connection:
        return await connection.test_connection()


def wrong(check: Check) -> list[str]:
    assert all(account_secret not in str(check) for account_secret in (NUMBER[2:], *POOL))
    return [one.text for one in check.findings if not one.ok]


async def test_all_is_well_once_it_is_prepared(
    org: UUID, twilio: Twilio, twilio_account: TwilioAccount, rows: Any
) -> None:
    before = await twilio.test_connection()
    assert [text[-12:] for text in wrong(before)] == [" go nowhere."]
    assert before.findings[-1].mend == "Run: atlvs bootstrap"
    for told in ("from now on", "reach us."):
        assert told in (await prepare.fn(twilio)).line
    after = await twilio.test_connection()
    assert wrong(after) == []
    assert twilio_account.token not in str(after)
    assert rows("select account_id, livemode from integration_connections") == [
        (twilio_account.sid, True)
    ]


async def test_messaging_service_is_looked_at_and_prepared(
    org: UUID, sandbox: Sandbox, twilio_account: TwilioAccount
) -> None:
    fields = {"messaging_service_sid": twilio_account.service}
    found = await checked(org, twilio_account, **fields)
    assert [text[-12:] for text in wrong(found)] == [" go nowhere."]
    async with resources(), Twilio.opened("other") as connection:
        await prepare.fn(connection)
        assert wrong(await connection.test_connection()) == []
        service = await connection.own_service()
        assert service["inbound_request_url"] == connection.webhook_url()


async def test_what_somebody_else_answers_with_stays(
    org: UUID, twilio: Twilio, twilio_account: TwilioAccount
) -> None:
    theirs = "https://example.com/theirs"
    twilio_account.control("POST", "seed", numbers=[{"number": NUMBER, "sms_url": theirs}])
    assert "go somewhere else" in (await prepare.fn(twilio)).line
    number = await twilio.own_number()
    assert number
    assert number["sms_url"] == theirs
    (finding,) = [one for one in (await twilio.test_connection()).findings if not one.ok]
    assert twilio.webhook_url() in finding.mend


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"phone_number": None}, "nothing to send from"),
        ({"phone_number": "+14155559999"}, "does not belong to the account"),
        ({"messaging_service_sid": f"MG{'0' * 32}"}, "messaging service cannot be read"),
        ({"auth_tokens": "nonsense"}, "do not fit together"),
    ],
)
async def test_what_is_wrong_is_said(
    org: UUID, twilio_account: TwilioAccount, fields: Any, text: str
) -> None:
    found = await checked(org, twilio_account, **fields)
    assert any(text in one for one in wrong(found))
    assert all(one.mend for one in found.findings if not one.ok)


async def test_state_of_the_account_is_said(org: UUID, sandbox: Sandbox) -> None:
    trial = TwilioAccount(sandbox, type="Trial")
    assert "trial" in (await checked(org, trial, "trial")).findings[0].text
    trial.act("status", status="suspended")
    assert "is suspended" in wrong(await checked(org, trial, "trial"))[0]
    empty = TwilioAccount(sandbox, services=[{"name": "alerts", "numbers": []}])
    found = await checked(org, empty, "empty", messaging_service_sid=empty.service)
    assert any("has no phone numbers" in one for one in wrong(found))
    mute = TwilioAccount(sandbox, numbers=[{"number": NUMBER, "sms": False}])
    assert any("cannot sms" in one for one in wrong(await checked(org, mute, "mute")))


async def test_api_key_calls_and_token_verifies(org: UUID, sandbox: Sandbox) -> None:
    account = TwilioAccount(sandbox, api_keys=[{"kind": "standard"}])
    ((key),) = account.seeded["api_keys"]
    fields = {"api_key_sid": key["sid"], "api_key_secret": key["secret"]}
    found = await checked(org, account, "keyed", **fields)
    assert found.findings[0].ok
    assert len(wrong(found)) == 1, "replies"
    without = await checked(org, account, "keyed", auth_tokens=None, **fields)
    assert any("Set TWILIO_AUTH_TOKEN" in one.mend for one in without.findings)


async def test_real_twilio_needs_a_public_address(
    org: UUID, twilio: Twilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_BASE_URL", "http://127.0.0.1:8080")
    settings.cache_clear()
    twilio.api_base = "https://api.dublin.ie1.twilio.com"
    assert (
        twilio.messaging_url("/v1/Services")
        == "https://messaging.dublin.ie1.twilio.com/v1/Services"
    )
    assert not twilio.can_be_called_back()
    assert "set PUBLIC_BASE_URL" in (await prepare.fn(twilio)).line
    assert [one.ok for one in twilio._callbacks()] == [False]
