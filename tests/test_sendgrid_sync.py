"""Our copy of SendGrid's lists and templates, and what it means for who may be written to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sendgrid_client import Post
from sendgrid_deliveries import fields_of, mail_words
from without_prefect import body

from atlvs.db import connections, consents
from atlvs.db.engine import database
from atlvs.errors import Rejected, Unavailable
from atlvs.records import Word
from blocks.sendgrid import SendGrid
from flows import webhooks
from flows.alone import alone
from flows.sendgrid import sync

pytest_plugins = ["sendgrid_fixtures"]
Json = dict[str, Any]
ROOT = Path(__file__).parents[1]


MODULES = (sync, webhooks)


async def full(**given: Any) -> Json:
    return await body(sync.full_sync, MODULES, **given)


async def incremental(**given: Any) -> Json:
    return await body(sync.incremental_sync, MODULES, **given)


def stored(rows: Any) -> set[tuple[str, str]]:
    """(list, address) of what is on a list."""
    return set(rows("select list, email from sendgrid_suppressions where deleted_at is null"))


def people(account: Post, name: str) -> list[str]:
    found: list[str] = []
    while page := account(
        "GET", f"suppression/{name}", query={"limit": 500, "offset": len(found)}
    ).json():
        found += [one["email"] for one in page]
    return found


async def standing(org: UUID, *emails: str, category: str | None = None) -> dict[str, str]:
    async with database().org(org) as tx:
        return await consents.refusals(tx, "email", emails, category)


async def test_everything_is_copied_once(
    mailer: SendGrid, mail_account: Post, rows: Any, org: UUID
):
    versions = [{"subject": "Hi", "html_content": "<p>"}]
    made = mail_account.sow(
        bounces=1_203,
        blocks=3,
        spam_reports=["Spam@Example.net"],
        invalid_emails=2,
        unsubscribes=501,
        groups=[{"name": "News"}],
        templates=[{"name": f"T{n}", "versions": versions} for n in range(201)],
    )
    group = made["groups"]["News"]
    mail_account(
        "POST", f"asm/groups/{group}/suppressions", {"recipient_emails": ["g@example.net"]}
    )
    first = await full()
    counts = {name: one["created"] for name, one in first["streams"].items()}
    assert counts == {
        "bounces": 1203,
        "blocks": 3,
        "spam_reports": 1,
        "invalid_emails": 2,
        "unsubscribes": 501,
        f"group:{group}": 1,
        "templates": 201,
    }
    lists = ("bounces", "blocks", "spam_reports", "invalid_emails", "unsubscribes")
    truth = {(name, email.lower()) for name in lists for email in people(mail_account, name)}
    assert stored(rows) == truth | {(f"group:{group}", "g@example.net")}
    assert len(mail_words(rows)) == 1203 + 1 + 2 + 501 + 1  # blocks say nothing
    assert await standing(org, "spam@example.net") == {"spam@example.net": "refused: spam report"}
    before = rows("select * from sendgrid_suppressions order by id")
    second = await full()
    assert sum(one["created"] + one["updated"] for one in second["streams"].values()) == 0
    assert rows("select * from sendgrid_suppressions order by id") == before
    assert len(mail_words(rows)) == 1708
    assert rows("select account_id from integration_connections") == [
        (str(account_number(mail_account)),)
    ]
    assert rows("select state, count(*) from integration_syncs group by 1") == [("done", 2)]


def account_number(account: Post) -> int:
    return account("GET", "user/username").json()["user_id"]


async def test_incremental_brings_what_is_new(
    mailer: SendGrid, mail_account: Post, rows: Any, org: UUID
):
    mail_account.sow(bounces=5)
    first = await incremental()
    assert "reads everything" in " ".join(first["notes"])
    old = stored(rows)
    mail_account("POST", "asm/suppressions/global", {"recipient_emails": ["new@example.net"]})
    mail_account("DELETE", "suppression/bounces/bounce1@example.net")
    again = await incremental()
    assert again["streams"]["unsubscribes"]["created"] == 1
    assert stored(rows) == old | {
        ("unsubscribes", "new@example.net")
    }  # not read whole: nothing deleted
    assert await standing(org, "new@example.net")
    third = await incremental()
    assert sum(one["created"] for one in third["streams"].values()) == 0
    whole = await full()
    assert whole["streams"]["bounces"]["deleted"] == 1
    assert ("bounces", "bounce1@example.net") not in stored(rows)
    assert await standing(org, "bounce1@example.net") == {}


async def test_who_leaves_a_list_may_be_written_to_again(
    mailer: SendGrid, mail_account: Post, rows: Any, org: UUID
):
    names = ["free", "twice", "own"]
    emails = [f"{name}@example.net" for name in names]
    group = mail_account.sow(groups=[{"name": "News"}])["groups"]["News"]
    mail_account.sow(bounces=emails, unsubscribes=["twice@example.net"])
    mail_account(
        "POST", f"asm/groups/{group}/suppressions", {"recipient_emails": ["member@example.net"]}
    )
    await connections.save(
        org, "sendgrid", "default", fields_of(mail_account, unsubscribe_groups={"news": group})
    )
    async with database().org(org) as tx:
        word = Word("email", "own@example.net", "refused", "asked us", "page")
        await consents.record(tx, org, [word])
    await full()
    assert len(await standing(org, *emails)) == 3
    assert await standing(org, "member@example.net", category="news")
    for email in emails:
        mail_account("DELETE", f"suppression/bounces/{email}")
    mail_account("DELETE", f"asm/groups/{group}/suppressions/member@example.net")
    await full()
    assert set(await standing(org, *emails)) == {"twice@example.net", "own@example.net"}
    assert await standing(org, "member@example.net", category="news") == {}
    mail_account("DELETE", "asm/suppressions/global/twice@example.net")
    await full()
    assert set(await standing(org, *emails)) == {"own@example.net"}
    # And back again.
    mail_account.sow(bounces=["free@example.net"], rng=7)
    mail_account(
        "POST", f"asm/groups/{group}/suppressions", {"recipient_emails": ["member@example.net"]}
    )
    await full()
    assert ("bounces", "free@example.net") in stored(rows)
    assert await standing(org, "member@example.net", category="news")


async def test_many_that_vanish_wait_for_a_person(
    mailer: SendGrid, mail_account: Post, rows: Any, org: UUID
):
    mail_account.sow(bounces=100)
    await full()
    mail_account("DELETE", "suppression/bounces", {"delete_all": True})
    held = await full()
    assert "allow_deletes" in " ".join(held["notes"])
    assert held["streams"]["bounces"]["skipped"] == {"vanished, held": 100}
    assert len(stored(rows)) == 100
    assert len(await standing(org, "bounce7@example.net")) == 1
    done = await full(allow_deletes=True)
    assert done["streams"]["bounces"]["deleted"] == 100
    assert stored(rows) == set()
    assert await standing(org, "bounce7@example.net") == {}


async def test_dry_run_stores_nothing(mailer: SendGrid, mail_account: Post, rows: Any):
    mail_account.sow(bounces=5, templates=[{"name": "T"}])
    told = await full(dry_run=True)
    assert told["streams"]["bounces"]["created"] == 5
    assert "dry run" in " ".join(told["notes"])
    for table in ("sendgrid_suppressions", "sendgrid_templates", "integration_consents"):
        assert rows(f"select count(*) from {table}") == [(0,)], table
    assert rows("select count(*) from integration_cursors") == [(0,)]
    assert rows("select count(*) from integration_syncs") == [(0,)]


async def test_templates_come_and_go(mailer: SendGrid, mail_account: Post, rows: Any):
    versions = [{"subject": "Old", "html_content": "<p>"}]
    id = mail_account.sow(templates=[{"name": "T", "versions": versions}])["templates"]["T"]
    await full(only=["templates"])
    new = {"name": "2", "subject": "New", "html_content": "<p>", "active": 1}
    mail_account("POST", f"templates/{id}/versions", new)
    await incremental()
    assert rows("select name, subject from sendgrid_templates") == [("T", "New")]
    mail_account("DELETE", f"templates/{id}")
    told = await full(only=["templates"])
    assert list(told["streams"]) == ["templates"]
    assert rows("select count(*) from sendgrid_templates where deleted_at is null") == [(0,)]


async def test_entries_of_one_second_and_those_that_leave_meanwhile(
    mailer: SendGrid, mail_account: Post, rows: Any
):
    """More of one second than a page holds."""
    mail_account.sow(unsubscribes=1_300, days=0)
    mail_account.sow(bounces=1_300, days=1)
    await full(only=["unsubscribes", "bounces"])
    assert len(stored(rows)) == 2_600


async def test_another_account_is_refused(mailer: SendGrid, mail_account: Post, org: UUID):
    await full()
    other = Post(mail_account.url)
    await connections.save(org, "sendgrid", "default", fields_of(other))
    with pytest.raises(Rejected, match="is bound to"):
        await full()


async def test_one_at_a_time(mailer: SendGrid):
    async with alone(mailer, "full or incremental"):
        with pytest.raises(Unavailable, match="running already"):
            await full()


async def test_faults_are_ridden_out(mailer: SendGrid, mail_account: Post, rows: Any):
    mail_account.sow(bounces=1_200)
    for kind in ("500_before", "429", "reset", "truncate"):
        mail_account.fault(kind, provider="sendgrid", path="suppression", times=1)
    await full()
    assert len(stored(rows)) == 1_200


KILLED = """
import asyncio, sys
sys.path[:0] = ["tests", "."]
import conftest
from test_sendgrid_sync import full
from blocks.base import release
async def main():
    try:
        await full()
    finally:
        await release()
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "place", ["suppressions.read:2", "suppressions.in-store:1", "suppressions.in-store:5"]
)
async def test_killed_run_is_finished_by_the_next(
    mailer: SendGrid, mail_account: Post, rows: Any, place: str
):
    mail_account.sow(bounces=30, unsubscribes=20)
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={**os.environ, "ATLVS_KILL_AT": place},
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    told = await full()
    assert "Goes on" in " ".join(told["notes"])
    assert len(stored(rows)) == 50
    assert len(mail_words(rows)) == 50
    assert rows("select state from integration_syncs") == [("done",)]
