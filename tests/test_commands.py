"""The command line: what it does, what it says, how it ends."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from command_line import InProcess
from conftest import ENCRYPTION_KEY, Rows
from databases import new_database
from sandbox_client import Sandbox

from deployments.commands.line import app

pytest_plugins = ["command_fixtures"]
OTHER_KEY = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
WRONG = [
    (["nosuch"], "No such command"),
    (["status", "--bad"], "No such option"),
    (["connect"], "Missing argument"),
    (["connect", "nosuch"], "There is no 'nosuch'"),
    (["check", "nosuch"], "There is no 'nosuch'"),
    (["disconnect", "stripe"], "There is no stripe connection 'default'"),
    (["sync", "nosuch"], "There is no 'nosuch'"),
    (["sync", "stripe", "--only", "nosuch"], "there are: customer, product"),
    (["sync", "stripe", "--since", "yesterday"], "is no time"),
    (["sync", "stripe", "--full", "--since", "2026-11-01"], "--since goes with neither"),
    (["sync", "stripe"], "No Prefect server answers. Start one: atlvs up"),
    (["bootstrap", "--adopt", "--release"], "two different things"),
    (["webhooks", "list", "--state", "nosuch"], "'dead'"),
    (["webhooks", "list", "--limit", "0"], "greater than or equal to 1"),
    (["webhooks", "show", "evt_no"], "There is no event 'evt_no'"),
    (["api-keys", "create", "shop", "--scope", "services:strip"], "There is no scope"),
    (["api-keys", "create", "shop", "--scope", "services:stripe:nosuch"], "has no method"),
    (["api-keys", "create", "shop"], "Missing option"),
    (["api-keys", "revoke", "atlvs_none"], "atlvs api-keys list"),
    (["sandbox", "nosuch"], "There is no 'nosuch'"),
    (["sandbox", "--seed", "/nosuch.json"], "does not exist"),
]
LOOKING = [
    ["status"],
    ["check"],
    ["audit"],
    ["webhooks", "list"],
    ["api-keys", "list"],
    ["keys", "rotate"],
]


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group, by its words."""
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


ALL = list(commands(typer.main.get_command(app)))


# Usage


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_has_help(atlvs: InProcess, words: tuple[str, ...]):
    told = atlvs(*words, "--help")
    assert told.code == 0
    assert f"{' '.join(words)} [OPTIONS]" in " ".join(told.out.split())
    assert told.err == ""


def test_contracts_commands_are_there():
    wanted = {"demo", "up", "bootstrap", "check", "connect", "disconnect", "sync", "sandbox"}
    wanted |= {"webhooks list", "webhooks show", "webhooks replay", "keys rotate", "audit"}
    wanted |= {"status", "api-keys create", "api-keys list", "api-keys revoke"}
    assert wanted <= {" ".join(words) for words in ALL}


def test_wrong_usage_is_told_in_one_line(atlvs: InProcess, bootstrapped: str):
    for arguments, words in WRONG:
        assert atlvs(*arguments).says(2, words), arguments


# Configuration


@pytest.mark.parametrize("command", [*LOOKING, ["bootstrap"]], ids=" ".join)
def test_garbage_as_database_url(
    atlvs: InProcess, monkeypatch: pytest.MonkeyPatch, command: list[str]
):
    monkeypatch.setenv("DATABASE_URL", "garbage geheim")
    told = atlvs(*command)
    assert told.says(2, "DATABASE_URL", "postgresql://user:password@host/database")
    assert "geheim" not in told.err


@pytest.mark.parametrize("command", [["status"], ["bootstrap"]], ids=" ".join)
def test_unreachable_postgresql(
    atlvs: InProcess, monkeypatch: pytest.MonkeyPatch, command: list[str]
):
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:geheim@127.0.0.1:9/platform")
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", ENCRYPTION_KEY)
    began = time.monotonic()
    told = atlvs(*command)
    assert told.says(1, "PostgreSQL cannot be reached", "127.0.0.1")
    assert "geheim" not in told.err
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("command", [["bootstrap"], ["check"], ["connect", "stripe"]], ids=" ".join)
def test_missing_encryption_key(
    atlvs: InProcess, bootstrapped: str, monkeypatch: pytest.MonkeyPatch, command: list[str]
):
    monkeypatch.delenv("ATLVS_ENCRYPTION_KEYS")
    assert atlvs(*command).says(2, "ATLVS_ENCRYPTION_KEYS is not", "Make one with")


@pytest.mark.parametrize("command", [["bootstrap"], ["demo"], ["up"]], ids=" ".join)
def test_data_folder_that_cannot_be_written(
    atlvs: InProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str]
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATLVS_DATA_DIR", str(tmp_path / "file" / "data"))
    assert atlvs(*command).says(2, "cannot be written", "ATLVS_DATA_DIR")


def test_before_any_bootstrap(
    atlvs: InProcess, postgres: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    for command in LOOKING:
        assert atlvs(*command).says(2, "Run: atlvs bootstrap")
    assert not (tmp_path / "data").exists()
    with new_database(postgres) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", ENCRYPTION_KEY)
        for command in LOOKING:
            assert atlvs(*command).says(2, "Run: atlvs bootstrap")


def test_database_of_another_version(atlvs: InProcess, bootstrapped: str, rows: Rows):
    rows("alter table integration_calls rename column waited_ms to waited")
    assert atlvs("audit").says(2, "waited_ms", "Run: atlvs bootstrap")


def test_several_organizations(
    atlvs: InProcess, bootstrapped: str, rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    rows("insert into organizations (name, slug) values ('Other', 'other')")
    assert atlvs("audit").says(2, "ATLVS_ORG")
    monkeypatch.setenv("ATLVS_ORG", "other")
    assert atlvs("audit", "--json").json == {"calls": []}


def test_login_without_our_roles(
    atlvs: InProcess, bootstrapped: str, rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    rows("drop role if exists stranger")
    rows("create role stranger login")
    monkeypatch.setenv("DATABASE_URL", bootstrapped.replace("postgres@", "stranger@"))
    assert atlvs("status").says(2, "member of atlvs_app and atlvs_system")
    rows("drop role stranger")


# Looking


def test_json_is_one_object(atlvs: InProcess, bootstrapped: str):
    for command in LOOKING:
        assert isinstance(atlvs(*command, "--json").json, dict)
        told = atlvs(*command)
        assert (told.code, told.err, told.out.startswith("{")) == (0, "", False)


def test_status_of_a_connection(
    atlvs: InProcess, sandbox_connected: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STRIPE_SECRET_KEY", sandbox_connected.key)
    told = atlvs("status", "--json")
    assert told.json["facts"]["webhooks_waiting"] == 0
    assert told.json["facts"]["prefect"] == "no server answers"
    (one,) = told.json["connections"]
    assert (one["provider"], one["name"], one["enabled"]) == ("stripe", "default", True)
    assert one["set_by_environment"] == "secret_key"
    assert sandbox_connected.key not in told.out + atlvs("status").out


def test_audit_after_a_check(atlvs: InProcess, sandbox_connected: Sandbox):
    atlvs("check", "stripe")
    newest = atlvs("audit", "--limit", "2", "--json").json["calls"]
    assert [call["path"] for call in newest] == [
        "/stripe/v1/webhook_endpoints",
        "/stripe/v1/events",
    ]
    assert "/v1/events" in atlvs("audit").out


# Keys


def test_keys_rotate(atlvs: InProcess, sandbox_connected: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", f"{OTHER_KEY},{ENCRYPTION_KEY}")
    assert atlvs("keys", "rotate", "--json").json == {"secrets": 1}
    assert atlvs("keys", "rotate", "--json").json == {"secrets": 0}
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", OTHER_KEY)
    assert "May read customers." in atlvs("check", "stripe").out
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", ENCRYPTION_KEY)
    told = atlvs("check", "stripe")
    assert (told.code, "Add the old key behind the new one" in told.err) == (1, True)
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", "short")
    assert atlvs("keys", "rotate").says(2, "ATLVS_ENCRYPTION_KEYS")


def test_api_keys(atlvs: InProcess, bootstrapped: str, rows: Rows):
    key = atlvs("api-keys", "create", "shop", "--scope", "services:stripe").out.strip()
    assert re.fullmatch(r"atlvs_[\w-]{43}", key)
    assert key not in str(rows("integration_api_keys"))
    made = atlvs(
        *("api-keys", "create", "web", "--scope", "services:read"),
        *("--scope", "services:stripe:refund_payment", "--json"),
    ).json
    assert made["scopes"] == ["services:read", "services:stripe:refund_payment"]
    listed = atlvs("api-keys", "list", "--json").json["keys"]
    assert [one["name"] for one in listed] == ["web", "shop"]
    assert key not in atlvs("api-keys", "list").out
    assert atlvs("api-keys", "revoke", listed[1]["prefix"]).code == 0
    assert atlvs("api-keys", "revoke", made["id"]).code == 0
    assert all(one["revoked"] for one in atlvs("api-keys", "list", "--json").json["keys"])
    assert atlvs("api-keys", "revoke", made["id"]).says(2, "no valid key")


# Webhooks


@pytest.fixture
def inbox(sandbox_connected: Sandbox, rows: Rows) -> Rows:
    """Three events: one waits, one is done, one is dead."""
    for number, state in enumerate(("waiting", "done", "dead")):
        rows(
            "insert into integration_inbox (org_id, connection_id, provider, event_id, type, lane,"
            " payload, occurred_at, state, attempts, error) select org_id, id, 'stripe', %s,"
            " 'customer.updated', 'cus_1', '{\"a\": 1}', now(), %s, 3, 'why [not]'"
            " from integration_connections",
            f"evt_{number}",
            state,
        )
    return rows


def test_webhooks_list_and_show(atlvs: InProcess, inbox: Rows):
    def listed(*arguments: str) -> list[str]:
        found = atlvs("webhooks", "list", *arguments, "--json").json["webhooks"]
        return [one["event_id"] for one in found]

    assert listed() == ["evt_2", "evt_1", "evt_0"]
    assert listed("--state", "dead") == ["evt_2"]
    assert listed("--limit", "1") == ["evt_2"]
    assert listed("--type", "nosuch") == listed("--since", "2099-01-01") == []
    assert listed("--until", "2099-01-01T00:00+02:00", "--provider", "stripe") == listed()
    assert "why [not]" in atlvs("webhooks", "list").out
    whole = atlvs("webhooks", "show", "evt_1").json
    assert (whole["payload"], whole["state"]) == ({"a": 1}, "done")


def test_webhooks_replay(atlvs: InProcess, inbox: Rows):
    assert atlvs("webhooks", "replay", "--json").json == {"replayed": 1}
    assert set(inbox("integration_inbox", "event_id", "state", "attempts")) >= {
        ("evt_1", "done", 3),
        ("evt_2", "waiting", 0),
    }
    told = atlvs("webhooks", "replay", "evt_1", "evt_9")
    assert (told.code, told.err) == (1, "1 of 2 events are not in the inbox.\n")
    assert {row[0] for row in inbox("integration_inbox", "state")} == {"waiting"}
