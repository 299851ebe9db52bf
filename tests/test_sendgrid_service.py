"""The service interface of SendGrid: one mail for one request, whatever goes wrong on the way."""

from __future__ import annotations

from asyncio import gather
from typing import Any
from uuid import UUID, uuid4

import pytest
from sendgrid_client import Post
from sendgrid_deliveries import SAMPLE, fields_of

from atlvs.db import connections, consents
from atlvs.db.engine import database
from atlvs.errors import OutcomeUnknown, Rejected, Unavailable
from atlvs.records import Word
from blocks.sendgrid import SendGrid
from blocks.wire import patience
from tasks.sendgrid import SERVICE

pytest_plugins = ["sendgrid_fixtures"]
Json = dict[str, Any]
TO = "ada@example.org"
HTML = "<p>Hello</p>"


async def do(method: str, *given: Any, **named: Any) -> Any:
    return await SERVICE[method].fn(*given, **named)


async def send(mailer: SendGrid, request: Any = None, **more: Any) -> Any:
    given: Json = {"to": TO, "subject": "Doors", "html": HTML} | more
    return await do("send_email", mailer, request or uuid4(), **given)


async def said(org: UUID, verdict: str, scope: str = "all", source: str = "page") -> None:
    async with database().org(org) as tx:
        word = Word("email", TO, verdict, "they said so", source, scope=scope)
        await consents.record(tx, org, [word])


async def test_mail_is_sent_once_for_a_request(mailer: SendGrid, mail_account: Post):
    request = uuid4()
    made = await send(mailer, request, text="Hello")
    assert made["status"] == "accepted"
    assert await send(mailer, request, text="Hello") == made
    [mail] = mail_account.ask("received")
    assert mail["message_id"].startswith(made["id"])
    assert (mail["subject"], mail["html"], mail["text"]) == ("Doors", HTML, "Hello")
    assert mail["custom_args"]["atlvs_request"] == str(request)
    assert (mail["asm"], mail["headers"]) == (None, {})
    with pytest.raises(Rejected, match="other parameters"):
        await send(mailer, request, text="Something else")


async def test_subjects_are_one_line(mailer: SendGrid, mail_account: Post):
    await send(mailer, subject="Doors\r\nBcc: all@example.org\x00 \u202eat eight")
    [mail] = mail_account.ask("received")
    assert mail["subject"] == "Doors Bcc: all@example.org at eight"
    with pytest.raises(Rejected) as refused:
        await send(mailer, subject="\r\n")
    assert refused.value.field == "subject"


@pytest.mark.parametrize("to", ["nobody", "a@b", "a@example.org, b@example.org", "<a@example.org>"])
async def test_what_is_no_address_gets_nothing(mailer: SendGrid, mail_account: Post, to: str):
    with pytest.raises(Rejected) as refused:
        await send(mailer, to=to)
    assert (refused.value.code, refused.value.field) == ("invalid_address", "to")
    assert to not in str(refused.value)
    assert mail_account.ask("count")["mails"] == 0


async def test_who_refused_gets_nothing(mailer: SendGrid, mail_account: Post, org: UUID):
    await said(org, "refused", "news")
    request = uuid4()
    for _ in range(2):
        with pytest.raises(Rejected) as refused:
            await send(mailer, request, category="news")
        assert refused.value.code == "suppressed"
        assert TO not in str(refused.value)
    await send(mailer)  # owed, and news alone was refused
    await said(org, "unreachable")
    for more in ({}, {"category": "news"}):
        with pytest.raises(Rejected):
            await send(mailer, to=TO.upper(), **more)
    assert mail_account.ask("count")["mails"] == 1


async def test_category_has_its_way_out(mailer: SendGrid, mail_account: Post, org: UUID):
    await send(mailer, category="news")
    group = mail_account.sow(groups=[{"name": "News"}])["groups"]["News"]
    await connections.save(
        org, "sendgrid", "default", fields_of(mail_account, unsubscribe_groups={"news": group})
    )
    other = await SendGrid.open()
    await send(other, category="news")
    await send(other, category="events")
    first, second, third = mail_account.ask("received")
    assert "/unsubscribe/" in first["headers"]["List-Unsubscribe"]
    assert (second["asm"], second["headers"]) == ({"group_id": group}, {})
    assert third["headers"]


async def test_attachments_go_along(mailer: SendGrid, mail_account: Post):
    file = {"filename": "a.txt", "content": "aGk=", "type": "text/plain"}
    await send(mailer, attachments=[file])
    assert mail_account.ask("received")[0]["attachments"] == ["a.txt"]
    with pytest.raises(Rejected, match="base64"):
        await send(mailer, attachments=[file | {"content": "?"}])
    with pytest.raises(Rejected) as refused:
        await send(mailer, attachments=[file | {"content": "A" * (16 * 2**20)}] * 2)
    assert refused.value.code == "too_large"


async def test_keys_send_our_own_content_or_the_template(
    mailer: SendGrid, mail_account: Post, org: UUID
):
    await do("send_template_email", mailer, uuid4(), TO, "invoice_sent", SAMPLE)
    versions = [{"subject": "Bill {{invoice_number}}", "html_content": "<p>{{shown.amount}}"}]
    id = mail_account.sow(templates=[{"name": "B", "versions": versions}])["templates"]["B"]
    await do("send_template_email", mailer, uuid4(), TO, id, SAMPLE)
    await connections.save(
        org, "sendgrid", "default", fields_of(mail_account, templates={"invoice_sent": id})
    )
    await do("send_template_email", await SendGrid.open(), uuid4(), TO, "invoice_sent", SAMPLE)
    own, by_id, by_key = mail_account.ask("received")
    assert own["subject"] == "Invoice 2026-7 over 12,500.00 USD"
    assert own["headers"] == by_key["headers"] == {}  # owed
    assert by_id["headers"]  # not said to be
    for mail in (by_id, by_key):
        assert (mail["subject"], mail["html"]) == ("Bill 2026-7", "<p>12,500.00 USD")
    await do("send_template_email", mailer, uuid4(), TO, id, SAMPLE, transactional=True)
    assert mail_account.ask("received")[-1]["headers"] == {}
    for wrong, code in (("d-123", "template_unknown"), ("nothing", "template_unknown")):
        with pytest.raises(Rejected) as refused:
            await do("send_template_email", mailer, uuid4(), TO, wrong, SAMPLE)
        assert refused.value.code == code
    with pytest.raises(Rejected, match="invoice_number") as refused:
        await do(
            "send_template_email",
            mailer,
            uuid4(),
            TO,
            "invoice_sent",
            {"amount": 1, "currency": "usd"},
        )
    assert refused.value.code == "data_missing"


@pytest.mark.parametrize(
    ("fault", "mails"),
    [
        ({"kind": "429"}, 1),
        ({"kind": "status", "status": 503}, 1),
        ({"kind": "500_before"}, 0),
        ({"kind": "500_after"}, 1),
        ({"kind": "reset"}, 0),
        ({"kind": "reset_after"}, 1),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
async def test_trouble_never_sends_twice(
    mailer: SendGrid, mail_account: Post, fault: Json, mails: int
):
    mail_account.fault(**fault, provider="sendgrid", times=1, path="mail/send")
    request = uuid4()
    for _ in range(2):
        [made] = await gather(send(mailer, request), return_exceptions=True)
        if isinstance(made, OutcomeUnknown):
            assert made.code == "not_told_yet"
            assert TO not in str(made)
        else:
            assert not isinstance(made, BaseException), made
    assert mail_account.ask("count")["mails"] == mails


async def test_lost_answer_is_settled_by_events(mailer: SendGrid, mail_account: Post, rows: Any):
    """Heard of: it was sent. Never heard of, while later ones are: it is sent now."""
    request, other = uuid4(), uuid4()
    for kind, one in (("reset_after", request), ("reset", other)):
        mail_account.fault(kind, provider="sendgrid", times=1, path="mail/send")
        with pytest.raises(OutcomeUnknown):
            await send(mailer, one)
    event(rows, str(request), "processed", "0 seconds")
    assert (await send(mailer, request))["status"] == "accepted"
    with pytest.raises(OutcomeUnknown):
        await send(mailer, other)
    rows(
        "update integration_requests set sent_at = now() - interval '1 hour' where sent_at is not null"
    )
    event(rows, "somebody else's", "processed", "0 seconds")
    assert (await send(mailer, other))["status"] == "accepted"
    assert mail_account.ask("count")["mails"] == 2


def event(rows: Any, lane: str, kind: str, ago: str) -> None:
    """An event in the inbox, handled already."""
    rows(
        "insert into integration_inbox (org_id, connection_id, provider, event_id, type, lane, payload,"
        " occurred_at, state) select org_id, id, 'sendgrid', %s, %s, %s, '{}', now() - %s::interval, 'done'"
        " from integration_connections",
        *(str(uuid4()), kind, lane, ago),
    )


async def test_slow_answers_and_many_at_once(mailer: SendGrid, mail_account: Post):
    mail_account.fault("slow", provider="sendgrid", seconds=0.3, path="mail/send")
    request = uuid4()
    token = patience.set(5.0)
    try:
        made = await gather(*(send(mailer, request) for _ in range(4)), return_exceptions=True)
    finally:
        patience.reset(token)
    good = [one for one in made if not isinstance(one, BaseException)]
    assert good
    assert all(one == good[0] for one in good)
    assert all(isinstance(one, Unavailable) for one in made if isinstance(one, BaseException))
    assert mail_account.ask("count")["mails"] == 1
