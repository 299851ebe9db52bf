"""Zapier as a connection: what `atlvs check` says of it, where its app is, how it is disconnected."""

from uuid import UUID

import httpx
import pytest
from command_line import InProcess
from conftest import ENCRYPTION_KEY, Rows
from connector_samples import assembled
from hooked_world import Hooked, done, failing_for_days, secrets_of
from web_client import serving

from atlvs.crypto import key_ring
from atlvs.db import api_keys, connections, hooks
from atlvs.db.actions import begun, earlier, remember
from atlvs.db.engine import database
from atlvs.db.notifications import Asked, raise_in
from atlvs.errors import Rejected, Unauthorized
from atlvs.records import Finding
from atlvs.settings import settings
from blocks import CONNECTORS
from blocks.zapier import Zapier
from blocks.zapier_check import findings_of, is_zapiers
from tasks.triggers.subscribing import subscribe

pytest_plugins = ["command_fixtures", "connector_fixtures", "hooked_fixtures"]
TARGET = "https://hooks.zapier.com/hooks/standard/1/secret-part-1"
NEW_KEY = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU="


def findings(org: UUID) -> list[Finding]:
    found = done(findings_of(org))
    assert all(one.text.endswith(".") and (one.ok or one.mend) for one in found), found
    return found


def troubles(org: UUID) -> list[Finding]:
    return [one for one in findings(org) if not one.ok]


def new_key(org: UUID, *scopes: str, **more: str) -> UUID:
    return done(api_keys.create(org, "key", scopes or ("zapier",), **more))[1].id


@pytest.fixture
def zapier_public(org: UUID, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """An organization whose web process is public, and Zapier has a key."""
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://atlvs.example.com")
    settings.cache_clear()
    new_key(org)
    return org


def test_all_is_well(zapier_public: UUID):
    assert troubles(zapier_public) == []
    texts = [one.text for one in findings(zapier_public)]
    assert texts == [
        "1 API key has a scope for Zapier.",
        "Zapier calls https://atlvs.example.com.",
        "Nobody has subscribed to an event yet.",
        "Nothing waits for the drainer.",
    ]
    done(subscribe(zapier_public, None, "contact.created", TARGET))
    paused, _ = done(subscribe(zapier_public, None, "deal.won", TARGET))
    done(hooks.pause(zapier_public, paused.id))
    assert "Subscriptions: 1 active, 1 paused." in [one.text for one in findings(zapier_public)]


def test_a_key_for_zapier_is_missing(zapier_public: UUID, rows: Rows):
    rows("update integration_api_keys set revoked_at = now()")
    new_key(zapier_public, "services", "notifications", "services:zapier")
    [one] = troubles(zapier_public)
    assert one.text == "No API key has a scope for Zapier."
    assert "atlvs api-keys create zapier --scope zapier" in one.mend
    new_key(zapier_public, "services", "zapier:actions")
    assert troubles(zapier_public) == []
    assert not is_zapiers("zapierx")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://atlvs.example.com", "must begin with https://"),
        ("https://127.0.0.1:8080", "is not on the public internet"),
        ("https://localhost", "is not on the public internet"),
        ("https://atlvs.internal", "is not on the public internet"),
    ],
)
def test_zapier_cannot_reach_us(
    zapier_public: UUID, monkeypatch: pytest.MonkeyPatch, url: str, why: str
):
    monkeypatch.setenv("PUBLIC_BASE_URL", url)
    settings.cache_clear()
    [one] = troubles(zapier_public)
    assert one.text == f"Zapier cannot call {url}: it {why}."
    assert "PUBLIC_BASE_URL" in one.mend


def test_hooks_into_this_machine_are_a_finding(hooked: Hooked):
    found = [one for one in troubles(hooked.org) if "ATLVS_HOOKS_LOOPBACK" in one.text]
    assert [one.mend for one in found] == ["Unset ATLVS_HOOKS_LOOPBACK."]


def test_failing_subscriptions_are_named_with_their_reason(hooked: Hooked, rows: Rows):
    hook, target = hooked.hook()
    healthy, _ = hooked.hook("deal.won")
    by_hand, _ = hooked.hook("deal.created")
    done(hooks.disable(hooked.org, by_hand.id, "not needed"))
    hooked.zaps.behave(target, "status", status=500, times=1_000)
    hooked.contacts(2)
    hooked.drain()
    [one] = [one for one in troubles(hooked.org) if "contact.created" in one.text]
    assert "fails since 20" in one.text
    assert one.text.endswith("2 posts wait: The target said 500.")
    assert str(hook.id) in one.mend
    failing_for_days(rows)
    rows("update integration_hooks set rests_until = null")
    rows("update integration_hooks set failing_since = null where id <> %s", hook.id)
    rows("update integration_hook_deliveries set due_at = now()")
    hooked.drain()
    [one] = [one for one in troubles(hooked.org) if "contact.created" in one.text]
    assert "is disabled, failing since 20" in one.text
    assert one.mend == f"When its target is mended: atlvs hooks enable {hook.id}"
    told = " ".join(one.text + one.mend for one in findings(hooked.org))
    assert "deal.won" not in told
    assert "deal.created" not in told
    assert str(healthy.id) not in told
    assert not [secret for secret in secrets_of(target) if secret in told]
    assert "1 active, 2 disabled" in told


def test_it_shows_that_no_drainer_runs(zapier_public: UUID, rows: Rows):
    done(subscribe(zapier_public, None, "contact.created", TARGET))
    insert = "insert into contacts (org_id, first_name) values (%s, 'Ada') returning id"
    rows(insert, zapier_public)
    assert troubles(zapier_public) == []  # a drainer would be on its way
    rows("update integration_outbox set due_at = now() - interval '2 minutes'")
    [one] = troubles(zapier_public)
    assert one.text.startswith("An event that is to be told is due since 20")
    assert "atlvs up" in one.mend
    rows("update integration_outbox set state = 'done'")
    rows(
        "insert into integration_hook_deliveries (org_id, hook_id, event_id, seq, record_id, due_at)"
        " select o.org_id, h.id, o.id, o.seq, o.record_id, now() - interval '2 minutes'"
        " from integration_outbox as o, integration_hooks as h"
    )
    [one] = troubles(zapier_public)
    assert one.text.startswith("A post is due since 20")
    rows("update integration_hooks set last_success_at = now()")
    assert troubles(zapier_public) == []
    rows(
        "update integration_hooks set last_success_at = null, rests_until = now() + interval '1 hour'"
    )
    assert troubles(zapier_public) == []


def test_nothing_but_its_page_is_its_own():
    zapier = assembled("zapier")
    assert zapier.get_auth_url() == "https://zapier.com/developer/public-invite/1/shown/"
    assert zapier.limits() == {}
    with pytest.raises(Unauthorized, match="signs no webhooks"):
        zapier.verify(b"{}", {}, "https://atlvs.example.com/api/webhooks/zapier")
    for url in (None, "http://zapier.com/app"):
        with pytest.raises(Rejected, match="ZAPIER_APP_URL") as refused:
            Zapier(app_url=url, organization=None).get_auth_url()
        assert refused.value.field == "app_url"
        assert Zapier(app_url=url, organization=None).is_configured()


def test_disconnecting_revokes_keys_ends_subscriptions_and_pauses_zaps(hooked: Hooked, rows: Rows):
    org = hooked.org
    [(other,)] = rows("insert into organizations (name) values ('Other') returning id")
    mine, part = new_key(org), new_key(org, "services", "zapier:triggers")
    kept, theirs = new_key(org, "services", "notifications"), new_key(other)
    target = hooked.zaps.target()
    done(subscribe(org, mine, "contact.created", target))
    done(subscribe(other, theirs, "contact.created", hooked.zaps.target()))
    hooked.contacts(2)
    done(connections.save(org, "zapier", "default", {}))

    async def disconnect() -> None:
        async with Zapier.opened() as zapier:
            await zapier.disconnect()
            await zapier.disconnect()

    done(disconnect())
    revoked = {
        row[0] for row in rows("select id from integration_api_keys where revoked_at < now()")
    }
    assert revoked == {mine, part}
    assert {kept, theirs}.isdisjoint(revoked)
    assert rows("select org_id, state, reason from integration_hooks where org_id = %s", org) == [
        (org, "ended", "Zapier was disconnected")
    ]
    assert rows("select state from integration_hooks where org_id = %s", other) == [("active",)]
    told = hooked.drain()
    assert (told.posts, told.farewells) == ({}, 1)
    assert hooked.zaps.stats(target)["deleted"] == 1
    with pytest.raises(Unauthorized, match="Connect it again"):
        done(Zapier.open())


def test_zapier_by_command(
    atlvs: InProcess, hooked: Hooked, no_credentials: None, monkeypatch: pytest.MonkeyPatch
):
    assert "Not connected. Run: atlvs connect zapier" in atlvs("check", "zapier").err
    monkeypatch.setenv("ZAPIER_APP_URL", "https://zapier.com/developer/public-invite/1/x/")
    connected = atlvs("connect", "zapier")
    assert (connected.code, connected.err.count("\n")) == (1, 2)
    assert "app_url: taken from ZAPIER_APP_URL" in connected.err
    assert "zapier default is saved, but No API key has a scope for Zapier." in connected.err
    made = atlvs("api-keys", "create", "zaps", "--scope", "zapier", "--json").json
    checked = atlvs("check", "zapier", "--json")
    assert checked.code == 1
    assert "Set PUBLIC_BASE_URL" in checked.err
    assert made["key"] not in checked.out
    assert atlvs("sync", "zapier").says(2, "zapier keeps nothing that could be synced")
    assert atlvs("api-keys", "create", "x", "--scope", "services:zapier").says(2, "no scope")
    status = atlvs("status", "--json").json
    assert [one["provider"] for one in status["connections"]] == ["zapier"]
    hooked.hook()
    gone = atlvs("disconnect", "zapier", "--json").json
    assert gone == {"provider": "zapier", "connection": "default"}
    assert hooked.rows("select count(*) from integration_hooks where state = 'ended'") == [(1,)]
    assert "is disconnected" in atlvs("check", "zapier").err


def test_zapier_is_checked_and_disconnected_although_nobody_has_connected_it(
    atlvs: InProcess, hooked: Hooked, no_credentials: None
):
    assert atlvs("check", "--json").out.count("Not connected.") == len(CONNECTORS)
    assert atlvs("disconnect", "zapier").says(2, "There is no zapier connection")
    atlvs("api-keys", "create", "zaps", "--scope", "zapier")
    hooked.hook()
    for command in (["check"], ["check", "zapier"]):
        checked = atlvs(*command, "--json")
        assert (checked.code, "Subscriptions: 1 active." in checked.out) == (1, True)
    atlvs("disconnect", "zapier")
    assert hooked.rows("select state from integration_hooks") == [("ended",)]
    assert hooked.rows("select count(*) from integration_connections") == [(0,)]
    assert "Not connected" in atlvs("check", "zapier").err


def test_zapier_has_no_place_for_webhooks_of_its_own(hooked: Hooked):
    done(connections.save(hooked.org, "zapier", "default", {}))
    with serving() as url, httpx.Client(base_url=url) as web:
        assert web.post("/api/webhooks/zapier/default", json={}).status_code == 404
        assert (
            web.post("/api/webhooks/zapier", json={}).status_code == 401
        )  # an action, without key
        assert web.post("/api/services/zapier/anything", json={}).status_code == 404


# Keys


def test_rotating_reaches_all_that_is_sealed(
    hooked: Hooked, rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    """Also of an organization without any connection."""
    org = hooked.org
    key = new_key(org, signing_secret="atlvssig_x", owner_email="owner@example.com")
    target = hooked.zaps.target()
    hook, _ = done(subscribe(org, key, "contact.created", target))
    given = {"asked": "f", "action": "note.create", "api_key_id": key, "status": 201}

    async def more() -> None:
        async with begun(org, "zapier") as tx:
            await remember(tx, org, key="k", result={"id": "1"}, **given)
            reset = {"reset_url": "https://example.com/reset", "expires_in_minutes": 5}
            people = {"kind": "people", "people": [{"email": "ada@example.com"}]}
            await raise_in(tx, org, Asked("password_reset", "k", people, "api", data=reset))

    done(more())
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", f"{NEW_KEY},{ENCRYPTION_KEY}")
    settings.cache_clear()
    assert done(connections.reseal()) == 6
    assert done(connections.reseal()) == 0
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", NEW_KEY)
    settings.cache_clear()

    async def look() -> None:
        found = await hooks.find(org, hook.id)
        assert found
        assert found.secret == hook.secret
        [one] = await api_keys.every(org)
        assert api_keys.signing_secret(one) == "atlvssig_x"
        async with database().org(org) as tx:
            assert await hooks.owner_of(tx, hook.id) == "owner@example.com"
            assert await earlier(tx, org, "k", "f") == {"id": "1"}
        [(sealed,)] = rows("select sealed from integration_notifications")
        assert b"reset" in key_ring(settings()).open(bytes(sealed), str(org))

    done(look())
    hooked.contacts(1)
    assert hooked.drain().posts == {"delivered": 1}
    assert len(hooked.zaps.received(target)) == 1
