"""The service interface beyond one mail: bulk, templates, suppressions, the door."""

from __future__ import annotations

from asyncio import gather
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sendgrid_client import Post
from sendgrid_deliveries import SAMPLE, fields_of, mail_words
from web_client import new_key, serving

from atlvs.db import connections, consents
from atlvs.db.engine import database
from atlvs.errors import IntegrationError, Rejected
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


async def test_bulk_is_one_notification(mailer: SendGrid, rows: Any, mail_account: Post):
    people = [
        {"email": f"p{n}@example.org", "name": f"P{n}", "data": {"seat": n}} for n in range(3)
    ]
    request = uuid4()
    made = await do("send_bulk_email", mailer, request, people, "invoice_sent")
    again = await do("send_bulk_email", mailer, request, people, "invoice_sent")
    assert made["id"] == again["id"]
    [(type, channels, data, audience)] = rows(
        "select type, channels, data, audience from integration_notifications"
    )
    assert (type, channels, data) == ("announcement", ["email"], {"template_id": "invoice_sent"})
    assert [one["email"] for one in audience["people"]] == [one["email"] for one in people]
    for wrong in ([{"email": "nobody"}], [{"mail": "a@example.org"}]):
        with pytest.raises(Rejected, match="recipients"):
            await do("send_bulk_email", mailer, uuid4(), wrong, "invoice_sent")
    with pytest.raises(Rejected, match="no template"):
        await do("send_bulk_email", mailer, uuid4(), people, "nothing")
    assert mail_account.ask("count")["mails"] == 0


async def test_templates_are_listed_and_shown(mailer: SendGrid, mail_account: Post, org: UUID):
    versions = [{"subject": "Hi {{name}}", "html_content": "{{#equals a b}}<b>{{name}}{{/equals}}"}]
    made = mail_account.sow(
        templates=[{"name": f"T{n}", "versions": versions} for n in range(205)]
        + [{"name": "Empty"}]
    )["templates"]
    await connections.save(
        org,
        "sendgrid",
        "default",
        fields_of(mail_account, templates={"ticket_delivery": made["T0"]}),
    )
    other = await SendGrid.open()
    listed = (await do("list_templates", other))["templates"]
    assert len(listed) == 206
    first = next(one for one in listed if one["id"] == made["T0"])
    assert (first["subject"], first["active"]) == ("Hi {{name}}", True)
    assert first["used_for"] == ["ticket_delivery"]
    data = {"name": "<i>\x00", "a": 1, "b": 1}
    for template in (made["T0"], "ticket_delivery"):
        shown = await do("preview_template", other, template, data)
        assert shown == {"subject": "Hi &lt;i&gt;", "html": "<b>&lt;i&gt;", "text": ""}
    with pytest.raises(Rejected, match="no active version"):
        await do("preview_template", other, made["Empty"], {})
    own = await do("preview_template", mailer, "event_reminder", SAMPLE)
    assert own["subject"] == "Summer night: Friday, 1 May 2026, 19:00 CEST"
    assert "<h1><bdi>Summer night</bdi></h1>" in own["html"]
    with pytest.raises(Rejected) as refused:
        await do("preview_template", mailer, f"d-{'0' * 32}", {})
    assert refused.value.code == "not_found"


async def test_preview_of_a_hostile_template_comes_to_an_end(mailer: SendGrid, mail_account: Post):
    loop = '{{#*inline "a"}}{{> a}}{{/inline}}{{> a}}'
    versions = [{"subject": "x", "html_content": loop}]
    id = mail_account.sow(templates=[{"name": "L", "versions": versions}])["templates"]["L"]
    with pytest.raises(Rejected) as refused:
        await do("preview_template", mailer, id, {})
    assert refused.value.code == "template_faulty"


async def test_suppressions_are_shown_and_taken_away(
    mailer: SendGrid, mail_account: Post, rows: Any, org: UUID
):
    group = mail_account.sow(groups=[{"name": "News"}])["groups"]["News"]
    mail_account.sow(bounces=[TO, "ada@example.org.uk"], unsubscribes=[TO], blocks=[TO])
    mail_account("POST", f"asm/groups/{group}/suppressions", {"recipient_emails": [TO]})
    found = await do("get_suppression", mailer, TO.upper())
    assert [one["list"] for one in found["lists"]] == [
        "bounces",
        "blocks",
        "unsubscribes",
        f"group:{group}",
    ]
    assert found["lists"][0]["reason"]
    assert found["refused"] is None
    request = uuid4()
    removed = await do("remove_suppression", mailer, request, TO, ["bounces"])
    assert removed == {"removed": ["bounces"]}
    assert await do("remove_suppression", mailer, request, TO, ["bounces"]) == removed
    removed = await do("remove_suppression", mailer, uuid4(), TO)
    assert removed == {"removed": ["blocks", "unsubscribes", f"group:{group}"]}
    assert await do("get_suppression", mailer, TO) == {"lists": [], "refused": None}
    assert len((await do("get_suppression", mailer, "ada@example.org.uk"))["lists"]) == 1
    assert {word[2] for word in mail_words(rows)} == {"allowed"}


async def test_what_a_person_refused_elsewhere_stays_refused(
    mailer: SendGrid, mail_account: Post, org: UUID
):
    await said(org, "refused")
    mail_account.sow(bounces=[TO])
    await said(org, "unreachable", source="sendgrid")
    await do("remove_suppression", mailer, uuid4(), TO)
    with pytest.raises(Rejected, match="nothing was sent"):
        await send(mailer)


def test_the_door_finds_the_methods(org: UUID, mail_account: Post, monkeypatch: pytest.MonkeyPatch):
    from web_client import run

    run(connections.save(org, "sendgrid", "default", fields_of(mail_account)))
    with serving() as url:
        headers = {
            "Authorization": f"Bearer {new_key(org, 'services')}",
            "Idempotency-Key": "mail-1",
        }
        given: Json = {"to": TO, "subject": "Doors", "html": HTML}
        for _ in range(2):
            answer = httpx.post(
                f"{url}/api/services/sendgrid/sendEmail", json=given, headers=headers
            )
            assert answer.status_code == 200, answer.text
        for wrong in ({"to": 7}, {"category": "nothing"}, {"subject": ""}, {"x": 1}):
            more = headers | {"Idempotency-Key": str(wrong)}
            answer = httpx.post(
                f"{url}/api/services/sendgrid/sendEmail", json=given | wrong, headers=more
            )
            assert answer.status_code == 422, answer.text
        shown = httpx.post(
            f"{url}/api/services/sendgrid/previewTemplate",
            json={"templateId": "password_reset", "data": SAMPLE},
            headers=headers,
        )
        assert shown.json()["subject"] == "Reset your password"
    assert mail_account.ask("count")["mails"] == 1


async def test_no_error_tells_an_address(mailer: SendGrid, mail_account: Post):
    for kind in ("500_after", "reset_after", "429"):
        mail_account.sow(unsubscribes=[TO])
        # aiohttp asks once more by itself when a kept connection breaks: DELETE is idempotent
        mail_account.fault(kind, provider="sendgrid", method="DELETE", times=2)
        token = patience.set(0.0)
        removing = do("remove_suppression", mailer, uuid4(), TO, ["unsubscribes"])
        [told] = await gather(removing, return_exceptions=True)
        patience.reset(token)
        mail_account.clear_faults()
        assert isinstance(told, IntegrationError)
        assert "ada" not in str(told)
