"""`atlvs api-keys` for Zapier: signed keys, whom they belong to, what ends with them."""

import re
from typing import Any
from uuid import UUID

import pytest
from command_line import InProcess
from conftest import Rows
from web_client import run

from atlvs.crypto import key_ring
from atlvs.db import api_keys, hooks
from atlvs.settings import settings

pytest_plugins = ["command_fixtures"]
CREATE = ("api-keys", "create", "Zaps")


def test_signed_key_shows_its_secret_once(
    atlvs: InProcess, bootstrapped: str, rows: Rows, org: UUID
):
    told = atlvs(*CREATE, "--scope", "zapier", "--signed", "--owner-email", "ada@example.com").out
    key, secret = told.split("\n")[0], told.split("signing secret: ")[1].strip()
    assert re.fullmatch(r"atlvs_[\w-]{43}", key)
    assert re.fullmatch(r"atlvssig_[\w-]{43}", secret)
    [(sealed, owner)] = rows("integration_api_keys", "signing_secret", "owner_email")
    ring = key_ring(settings())
    assert ring.open(bytes(sealed), str(org)).decode() == secret
    assert ring.open(bytes(owner), str(org)).decode() == "ada@example.com"
    listed = atlvs("api-keys", "list").out + atlvs("api-keys", "list", "--json").out
    assert secret not in listed
    assert "ada@example.com" not in listed


def test_key_says_whether_it_is_signed(atlvs: InProcess, bootstrapped: str):
    signed = atlvs(*CREATE, "--scope", "zapier:actions", "--signed", "--json").json
    assert (signed["signed"], signed["signing_secret"][:9]) == (True, "atlvssig_")
    plain = atlvs(*CREATE, "--scope", "zapier:triggers", "--scope", "notifications", "--json").json
    assert plain["signed"] is False
    assert "signing_secret" not in plain
    listed = atlvs("api-keys", "list", "--json").json["keys"]
    assert [one["signed"] for one in listed] == [False, True]


@pytest.mark.parametrize(
    "scope", ["zapier:", "zapier:eat", "zapiers", "zapier:actions:task.create"]
)
def test_scope_that_allows_nothing_is_refused(atlvs: InProcess, bootstrapped: str, scope: str):
    assert atlvs(*CREATE, "--scope", scope).says(2, "There is no scope", "zapier:actions")


def test_owner_has_an_address(atlvs: InProcess, bootstrapped: str, rows: Rows):
    for address in ("ada", "a b@c.example", "@", "", "ada@example"):
        told = atlvs(*CREATE, "--scope", "zapier", "--owner-email", address)
        assert told.says(2, "--owner-email is no e-mail address")
    assert rows("integration_api_keys") == []


def test_revoked_key_ends_what_it_subscribed(
    atlvs: InProcess, bootstrapped: str, rows: Rows, org: UUID
):
    made = [atlvs(*CREATE, "--scope", "zapier", "--json").json for _ in range(2)]

    async def subscribe() -> None:
        for number, one in enumerate(made):
            target = f"https://hooks.zapier.com/{number}"
            await hooks.subscribe(org, UUID(one["id"]), "deal.won", target, "hooks.zapier.com/…")

    run(subscribe())
    assert atlvs("api-keys", "revoke", made[0]["id"]).code == 0
    found: Any = rows("select api_key_id, state, farewell_at is not null from integration_hooks")
    assert set(found) == {
        (UUID(made[0]["id"]), "ended", True),
        (UUID(made[1]["id"]), "active", False),
    }


def test_revoking_is_one_with_the_end_of_its_subscriptions(
    bootstrapped: str, rows: Rows, org: UUID, monkeypatch: pytest.MonkeyPatch
):
    key, _ = run(api_keys.create(org, "Zaps", ("zapier",)))

    async def fails(*_: Any) -> int:
        raise RuntimeError

    monkeypatch.setattr(hooks, "end_of_key", fails)
    with pytest.raises(RuntimeError):
        run(api_keys.revoke(org, key[:12]))
    assert rows("integration_api_keys", "revoked_at") == [(None,)]
