"""Sending e-mail: a request for a thousand, each alone, and what becomes of whom."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sendgrid_client import Post
from sendgrid_deliveries import mail_words, of, reopened, sent
from sendgrid_description import check_request

from atlvs import signing
from atlvs.errors import Rejected
from blocks.sendgrid import SendGrid
from tasks.sendgrid import SENDERS

pytest_plugins = ["sendgrid_fixtures"]
SENDER = SENDERS["email"]  # pyright: ignore[reportArgumentType]
Json = dict[str, Any]


def requests_of(account: Post) -> list[Json]:
    """The bodies of all requests to send, held against the description."""
    mails = account.ask("received", limit=1_000)
    ids = list(dict.fromkeys(mail["message_id"].partition(".")[0] for mail in mails))
    unique = [account.ask("object", id=id) for id in ids]
    for body in unique:
        check_request("POST", "/v3/mail/send", {}, body)
    return unique


async def test_one_mail_arrives_as_it_should(mailer: SendGrid, mail_account: Post):
    one = of(mailer, own={"name": "Ada Weber", "first_name": "Ada"}, call_id=uuid4())
    [outcome] = await sent(mailer, one)
    [mail] = mail_account.ask("received")
    assert (outcome.delivery, outcome.state) == (one.id, "sent")
    assert mail["message_id"].startswith(f"{outcome.provider_id}.")
    assert mail["from"] == {"email": "noreply@example.com", "name": "ATLVS Platform"}
    assert (mail["to"], mail["cc"]) == (["ada@example.org"], [])
    assert mail["subject"] == "Task for you: Rig the lights"
    assert "Hello Ada," in mail["text"]
    assert "Rig the lights" in mail["html"]
    assert mail["custom_args"] == {
        "atlvs_delivery": str(one.id),
        "atlvs_org": str(one.org_id),
        "atlvs_call": str(one.call_id),
    }
    assert mail["categories"] == ["task_assigned"]
    requests_of(mail_account)


async def test_a_thousand_in_one_request_each_alone(mailer: SendGrid, mail_account: Post):
    batch = [
        of(
            mailer,
            "event_reminder",
            address=f"p{n}@example.org",
            own={"first_name": f"Person <{n}>", "preferences_url": f"https://atlvs.test/p/{n}"},
        )
        for n in range(1_000)
    ]
    outcomes = await sent(mailer, *batch)
    assert [one.state for one in outcomes] == ["sent"] * 1_000
    assert len({one.provider_id for one in outcomes}) == 1
    mails = mail_account.ask("received", limit=1_000)
    assert {tuple(mail["to"]) for mail in mails} == {(f"p{n}@example.org",) for n in range(1_000)}
    for mail in mails:
        n = mail["recipient"].partition("@")[0][1:]
        assert f"Hello Person <{n}>," in mail["text"]
        assert f"Person &lt;{n}&gt;" in mail["html"]
        assert f"https://atlvs.test/p/{n}" in mail["text"]
        assert "atlvs_" not in mail["html"]
    assert len(requests_of(mail_account)) == 1


async def test_substitutions_cannot_be_written_by_a_recipient(mailer: SendGrid, mail_account: Post):
    names = ["-name-", "-0-text-1-", "{{first_name}}", "<%body%>", "%first_name%"]
    batch = [
        of(mailer, address=f"p{n}@example.org", own={"first_name": name})
        for n, name in enumerate(names)
    ]
    await sent(mailer, *batch)
    texts = {mail["recipient"]: mail["text"] for mail in mail_account.ask("received")}
    for n, name in enumerate(names):
        assert f"Hello {name}," in texts[f"p{n}@example.org"]


async def test_template_of_the_connection_gets_the_data(mailer: SendGrid, mail_account: Post):
    versions = [
        {"subject": "{{event_name}}", "html_content": "<p>{{shown.starts_at}} {{first_name}}"}
    ]
    id = mail_account.sow(templates=[{"name": "Reminder", "versions": versions}])["templates"][
        "Reminder"
    ]
    theirs = await reopened(mailer, mail_account, templates={"event_reminder": id})
    batch = [
        of(mailer, "event_reminder", address=f"p{n}@example.org", own={"first_name": f"P{n}"})
        for n in (1, 2)
    ]
    assert [one.state for one in await sent(theirs, *batch)] == ["sent", "sent"]
    mails = mail_account.ask("received")
    assert {mail["html"] for mail in mails} == {
        f"<p>Friday, 1 May 2026, 19:00 CEST P{n}" for n in (1, 2)
    }
    assert {mail["subject"] for mail in mails} == {"Summer night"}
    [body] = requests_of(mail_account)
    assert body["template_id"] == id
    assert "content" not in body


async def test_announcement_with_a_template_of_its_own(mailer: SendGrid, mail_account: Post):
    versions = [{"subject": "Hi {{name}}", "html_content": "<p>{{seat}}"}]
    id = mail_account.sow(templates=[{"name": "N", "versions": versions}])["templates"]["N"]
    known = {"data": {"template_id": id, "name": "Ada", "seat": 7}}
    await sent(mailer, of(mailer, "announcement", **known))
    assert [(mail["subject"], mail["html"]) for mail in mail_account.ask("received")] == [
        ("Hi Ada", "<p>7")
    ]
    [outcome] = await sent(mailer, of(mailer, "announcement", data={"template_id": "invoice_sent"}))
    assert (outcome.state, outcome.code) == ("failed", "data_missing")
    [outcome] = await sent(mailer, of(mailer, "announcement", data={"template_id": "nothing"}))
    assert (outcome.state, outcome.code) == ("failed", "template_unknown")
    by_key = of(mailer, "announcement", own={"template_id": "invoice_sent"})
    assert [one.state for one in await sent(mailer, by_key)] == ["sent"]
    mail = mail_account.ask("received")[-1]
    assert mail["subject"] == "Invoice 2026-7 over 12,500.00 USD"
    assert "List-Unsubscribe" in mail["headers"]  # it is news all the same


async def test_ways_out_are_for_what_one_may_leave(mailer: SendGrid, mail_account: Post):
    groups = mail_account.sow(groups=[{"name": "Tasks"}, {"name": "All else"}])["groups"]
    own = {"preferences_url": "https://atlvs.test/p/1"}
    await sent(mailer, of(mailer, own=own), of(mailer, address="b@example.org", own=own))
    for mail in mail_account.ask("received"):
        link = mail["headers"]["List-Unsubscribe"].strip("<>")
        opened = signing.opened(link.rpartition("/")[2], "unsubscribe")
        assert opened
        assert (opened.email, opened.category) == (mail["recipient"], "tasks")
        assert mail["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert mail["asm"] is None
    with_groups = await reopened(
        mailer,
        mail_account,
        unsubscribe_groups={"tasks": groups["Tasks"]},
        unsubscribe_group=groups["All else"],
    )
    for number, kind in enumerate(
        ("task_assigned", "event_reminder", "invoice_sent", "password_reset", "incident_reported")
    ):
        await sent(with_groups, of(mailer, kind, address=f"{number}@example.com", own=own))
    found = {mail["categories"][0]: mail for mail in mail_account.ask("received")[2:]}
    assert {kind: mail["asm"] for kind, mail in found.items()} == {
        "task_assigned": {"group_id": groups["Tasks"]},
        "event_reminder": {"group_id": groups["All else"]},
        "invoice_sent": None,
        "password_reset": None,
        "incident_reported": None,  # critical: in a group it would be dropped
    }
    assert not [mail for mail in found.values() if mail["headers"]]
    assert "unsubscribe" not in found["invoice_sent"]["text"]
    tracked = {
        body["categories"][0]: body["tracking_settings"] for body in requests_of(mail_account)
    }
    assert tracked["password_reset"]["click_tracking"] == {"enable": False, "enable_text": False}
    assert "click_tracking" not in tracked["event_reminder"]


async def test_attachments_go_along(mailer: SendGrid, mail_account: Post):
    file = {"filename": "ticket.pdf", "content": "aGVsbG8=", "type": "application/pdf"}
    other = file | {"filename": "other.pdf"}
    batch = [
        of(mailer, "ticket_delivery", address=f"{n}@example.com", own={"attachments": [given]})
        for n, given in enumerate((file, file, other))
    ]
    outcomes = {one.delivery: one for one in await sent(mailer, *batch)}
    assert [outcomes[one.id].state for one in batch] == ["sent", "sent", "queued"]
    assert outcomes[batch[2].id].retry_after == 0
    assert [mail["attachments"] for mail in mail_account.ask("received")] == [["ticket.pdf"]] * 2
    huge = file | {"content": "A" * (31 * 2**20)}
    [outcome] = await sent(mailer, of(mailer, "ticket_delivery", own={"attachments": [huge]}))
    assert (outcome.state, outcome.code) == ("failed", "too_large")
    with pytest.raises(Rejected) as refused:
        SENDER.check(
            mailer, of(mailer, "ticket_delivery", own={"attachments": [file | {"content": "?"}]})
        )
    assert refused.value.code == "invalid"


async def test_what_cannot_go_along_fails_or_waits_alone(
    mailer: SendGrid, mail_account: Post, rows: Any
):
    batch = [
        of(mailer, address="good@example.org"),
        of(mailer, address="not an address"),
        of(mailer, address="GOOD@example.org"),
        of(mailer, address="b@example.org", data={"url": "https://atlvs.test"}),
        of(mailer, address="c@example.org", own={"message": "🎪" * 3_000}),
    ]
    outcomes = {one.delivery: one for one in await sent(mailer, *batch)}
    assert [(outcomes[one.id].state, outcomes[one.id].code) for one in batch] == [
        ("sent", None),
        ("failed", "invalid_address"),
        ("queued", None),
        ("failed", "data_missing"),
        ("queued", None),
    ]
    assert mail_words(rows) == [("not an address", "all", "unreachable", "invalid address")]
    # Alone it goes, however long it is.
    again = [one for one in batch if outcomes[one.id].state == "queued"]
    assert {one.state for one in await sent(mailer, again[1])} == {"sent"}
    # Of two that are too long for a common request, the first goes.
    both = [
        of(mailer, address=f"{n}@example.org", own={"message": f"{n}" * 12_000}) for n in (1, 2)
    ]
    assert [one.state for one in await sent(mailer, *both)] == ["sent", "queued"]


async def test_recipient_that_sendgrid_refuses_does_not_hold_up_the_others(
    mailer: SendGrid, mail_account: Post, rows: Any
):
    error = {
        "message": "Does not contain a valid address for c@example.org.",
        "field": "personalizations.1.to.0.email",
        "help": None,
    }
    other = error | {"field": "personalizations.2.substitutions", "message": "Too many for d@x.org"}
    mail_account.fault(
        "status", status=400, body={"errors": [error, other]}, times=1, path="mail/send"
    )
    batch = [of(mailer, address=f"{name}@example.org") for name in "bcde"]
    outcomes = {one.delivery: one for one in await sent(mailer, *batch)}
    assert [outcomes[one.id].state for one in batch] == ["queued", "failed", "failed", "queued"]
    assert outcomes[batch[2].id].reason == "Too many for (address)"
    assert mail_words(rows) == [("c@example.org", "all", "unreachable", "invalid address")]
    assert mail_account.ask("count")["mails"] == 0
