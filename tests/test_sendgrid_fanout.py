"""E-mail through the whole of it: raised, planned, sent in batches, and heard of."""

from __future__ import annotations

from asyncio import sleep
from collections import Counter
from collections.abc import AsyncIterator
from time import monotonic, time
from typing import Any
from uuid import UUID, uuid4

import pytest
from sendgrid_client import Post
from sendgrid_deliveries import SAMPLE, fields_of, mail_words
from web_client import serving

from atlvs.db import connections
from atlvs.settings import settings
from blocks.base import release
from blocks.sendgrid import SendGrid
from tasks.inbox import drain
from tasks.notify.draining import drain_notifications
from tasks.notify.raising import raise_notification
from tasks.sendgrid import SERVICE, prepare

pytest_plugins = ["sendgrid_fixtures"]
Json = dict[str, Any]


@pytest.fixture
async def posting(
    org: UUID, mail_account: Post, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SendGrid]:
    """A connection whose events come to a real receiver, and an organization that need not approve."""
    monkeypatch.setenv("ATLVS_SETTLE_SECONDS", "1")
    await connections.save(org, "sendgrid", "default", fields_of(mail_account))
    with serving() as address:
        monkeypatch.setenv("PUBLIC_BASE_URL", address)
        settings.cache_clear()
        async with SendGrid.opened() as connector:
            fields = connector.stored_fields() | (await prepare.fn(connector)).fields
        await connections.save(org, "sendgrid", "default", fields)
        async with SendGrid.opened() as connector:
            yield connector
    await release()


async def raised(org: UUID, people: int, kind: str = "task_assigned", **data: Any) -> Json:
    persons = [{"email": f"p{n}@example.org", "name": f"P {n}"} for n in range(people)]
    return await raise_notification(
        org,
        type=kind,
        key=str(uuid4()),
        data=SAMPLE | data,
        audience={"kind": "people", "people": persons},
        channels=["email"],
        origin="api",
    )


def states(rows: Any) -> dict[str, int]:
    return dict(rows("select state, count(*) from integration_deliveries group by 1"))


async def until_all(rows: Any, wanted: dict[str, int], seconds: float = 60) -> None:
    end = monotonic() + seconds
    while states(rows) != wanted:
        assert monotonic() < end, states(rows)
        await drain_notifications(5.0)
        await drain(5.0)
        await sleep(0.05)


async def test_everybody_gets_one_mail_whatever_happens(
    posting: SendGrid, mail_account: Post, rows: Any, org: UUID
):
    rows(
        "insert into integration_notification_settings (org_id, approve_above_recipients) values (%s, 9999)",
        org,
    )
    soon = {"x-ratelimit-reset": str(int(time()) + 2)}
    mail_account.fault("429", provider="sendgrid", path="mail/send", times=1, headers=soon)
    mail_account.fault("reset_after", provider="sendgrid", path="mail/send", times=1, skip=1)
    mail_account.tell("settings", duplicate_events=0.2, shuffle_events=True)
    await raised(org, 2_300)
    await until_all(rows, {"delivered": 2_300})
    counts = mail_account.ask("counts")
    assert len(counts) == 2_300
    assert set(counts.values()) == {1}
    mails = mail_account.ask("received", limit=3)
    assert all("Hello P " in mail["text"] for mail in mails)
    assert mail_account.ask("count")["mails"] <= 4


async def test_bulk_skips_who_refused_and_tells_the_rest(
    posting: SendGrid, mail_account: Post, rows: Any, org: UUID
):
    mail_account.tell("settings", mailboxes={"@bounce.example": "bounce", "@spam.example": "spam"})
    people = [
        {"email": f"a@{where}.example", "data": SAMPLE} for where in ("good", "bounce", "spam")
    ]
    for wanted in ({"delivered": 2, "bounced": 1}, {"delivered": 3, "bounced": 1, "suppressed": 2}):
        made = await SERVICE["send_bulk_email"].fn(posting, uuid4(), people, "invoice_sent")
        assert made["created"]
        total, open_ones = sum(wanted.values()), {"queued", "sending", "sent"}
        end = monotonic() + 60
        while sum(states(rows).values()) < total or open_ones & set(states(rows)):
            assert monotonic() < end, states(rows)
            await drain_notifications(5.0)
            await drain(5.0)
            await sleep(0.05)
        found = Counter(states(rows))
        found["suppressed"] += found.pop("skipped", 0)
        assert {state: n for state, n in found.items() if n} == wanted
        await sleep(0.2)
        await drain(5.0)
    assert {(word[0], word[2]) for word in mail_words(rows)} == {
        ("a@bounce.example", "unreachable"),
        ("a@spam.example", "refused"),
    }
