"""Sending again, on a real PostgreSQL; and what people are shown of addresses."""

from uuid import UUID

import pytest
from conftest import Rows

from atlvs.db import overview, resending
from atlvs.db.engine import database
from atlvs.db.resending import Again
from atlvs.errors import Rejected
from blocks.base import resources
from flows.notify.report import markdown_table, mask, masked_text
from tasks.notify.raising import raise_notification
from tasks.notify.telling import is_open, pause, read_standing

RESET = {"reset_url": "https://example.com/geheim"}


async def raised(
    org: UUID, rows: Rows, state: str = "done", mode: str = "all", **more: object
) -> UUID:
    """A notification that is planned, with no deliveries yet."""
    asked = {"type": "announcement", "data": {"message": "x"}} | more
    made = await raise_notification(
        org,
        key=f"{asked['type']} {state} {mode}",
        audience={"kind": "everyone"},
        origin="test",
        mode=mode,  # pyright: ignore[reportArgumentType]
        **asked,  # pyright: ignore[reportArgumentType]
    )
    rows("update integration_notifications set state = %s, position = 'end'", state)
    return UUID(made["id"])


def delivery(
    rows: Rows, org: UUID, id: UUID, who: str, channel: str, state: str, due: str = "now()"
) -> UUID:
    return rows(
        "insert into integration_deliveries (org_id, notification_id, recipient, channel, address, state,"
        f" attempts, provider_id, due_at) values (%s, %s, %s, %s, %s, %s, 50, 'gone', {due}) returning id",
        *(org, id, who, channel, f"{who}.{channel}", state),
    )[0][0]


async def again(org: UUID, id: UUID, **more: object) -> Again:
    async with database().org(org) as tx:
        return await resending.resend(tx, id, "Ada", **more)  # pyright: ignore


async def test_one_channel_is_enough_where_the_first_that_works_was_asked_for(
    org: UUID, rows: Rows
):
    async with resources():
        id = await raised(org, rows, mode="first")
        delivery(rows, org, id, "ada", "slack", "failed")
        delivery(rows, org, id, "ada", "email", "delivered")
        first = delivery(rows, org, id, "bob", "slack", "failed")
        delivery(rows, org, id, "bob", "email", "bounced")
        done = await again(org, id)
    assert (done.queued, dict(done.left)) == (
        1,
        {"was reached on another channel": 1, "will be tried on another channel": 1},
    )
    queued = "select id, attempts, provider_id from integration_deliveries where state = 'queued'"
    assert rows(queued) == [(first, 0, None)]
    assert rows("select state, decided_by from integration_notifications") == [("sending", "Ada")]


async def test_each_failed_channel_is_tried_where_all_were_asked_for(org: UUID, rows: Rows):
    async with resources():
        id = await raised(org, rows)
        for channel, state in (("slack", "failed"), ("email", "bounced"), ("sms", "delivered")):
            delivery(rows, org, id, "ada", channel, state)
        assert (await again(org, id)).queued == 2
        assert (await again(org, id)).queued == 0


async def test_what_was_secret_cannot_be_sent_again_once_it_is_wiped(org: UUID, rows: Rows):
    async with resources():
        id = await raised(org, rows, type="password_reset", data=RESET)
        delivery(rows, org, id, "ada", "email", "failed")
        with pytest.raises(Rejected, match="was wiped"):
            await again(org, id)
        rows("update integration_notifications set state = 'sending'")
        assert (await again(org, id)).queued == 1


@pytest.mark.parametrize("state", ["raised", "cancelled", "refused"])
async def test_what_was_not_sent_is_not_sent_again(org: UUID, rows: Rows, state: str):
    async with resources():
        id = await raised(org, rows, state=state)
        with pytest.raises(Rejected, match="raise it anew"):
            await again(org, id)
        rows("update integration_notifications set dry_run = true, state = 'done'")
        with pytest.raises(Rejected, match="dry run"):
            await again(org, id)


async def test_another_organization_sees_nothing_of_it(org: UUID, rows: Rows):
    other = rows("insert into organizations (name, slug) values ('B', 'b') returning id")[0][0]
    async with resources():
        id = await raised(org, rows)
        one = delivery(rows, org, id, "ada", "email", "failed")
        with pytest.raises(Rejected, match="there is no notification"):
            await again(other, id)
        with pytest.raises(Rejected, match="there is no notification"):
            await read_standing(other, id)
        async with database().org(other) as tx:
            assert await overview.whole(tx, one) is None
            assert await overview.chosen(tx, overview.Selection(), 10) == []
        assert await overview.organization_of(id) == org
        assert await overview.organizations() == [org, other]


async def test_how_long_there_is_something_to_wait_for(org: UUID, rows: Rows):
    async with resources():
        id = await raised(org, rows, state="sending")
        assert not is_open(await read_standing(org, id), 600)
        delivery(rows, org, id, "ada", "sms", "queued", "now() + interval '1 hour'")
        later = await read_standing(org, id)
        assert (later.later, later.channels, is_open(later, 600)) == (1, [], False)
        delivery(rows, org, id, "bob", "sms", "unknown", "now() + interval '30 seconds'")
        doubtful = await read_standing(org, id)
        assert (doubtful.doubtful, is_open(doubtful, 600), is_open(doubtful, 10)) == (
            1,
            True,
            False,
        )
        assert 5 < pause(doubtful, 600) <= 30
        delivery(rows, org, id, "cy", "email", "queued")
        due = await read_standing(org, id)
        assert (due.due, sorted(due.channels), is_open(due, 1)) == (1, ["email", "sms"], True)
        rows("update integration_notifications set state = 'paused'")
        assert not is_open(await read_standing(org, id), 600)


def test_nobody_is_known_by_what_is_shown():
    assert mask("email", "ada@example.com") == "a***@example.com"
    assert mask("slack", "ada@example.com") == "a***@example.com"
    assert mask("sms", "+14155550123") == "***23"
    assert mask("slack", "C0123") == "C0123"
    assert mask("email", None) == ""
    told = masked_text("550 <ada@example.com>: +1 (415) 555-0123, 14155550123 unknown, code 21610")
    assert told == "550 <***>: ***, *** unknown, code 21610"


def test_a_cell_cannot_end_its_table():
    text = markdown_table([{"reason": "a|b\n| c <img src=x onerror=y>"}])
    assert text.splitlines()[2:] == ["| a\\|b \\| c &lt;img src=x onerror=y> |"]
    many = markdown_table([{"n": number} for number in range(50)])
    assert many.endswith("and 10 more rows.")
