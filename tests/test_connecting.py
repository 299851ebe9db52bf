"""Connecting from the command line: asking, checking, wiping."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest
from command_line import ROOT, InProcess, ended, start
from conftest import ENCRYPTION_KEY, Rows
from sandbox_client import Sandbox
from web_client import connect_door

pytest_plugins = ["command_fixtures"]


# Checking


def test_check_names_what_to_mend(atlvs: InProcess, sandbox_connected: Sandbox):
    told = atlvs("check", "stripe", "--json")
    assert told.code == 1
    assert '"May read customers."' in told.out
    assert told.err.count("\n") == 1
    assert "has no webhook endpoint" in told.err
    assert "atlvs bootstrap" in told.err


def test_check_of_a_refused_key(atlvs: InProcess, org: UUID, rows: Rows, sandbox: Sandbox):
    connect_door(org, sandbox, secret_key="sk_nonsense")
    told = atlvs("check")
    assert told.code == 1
    assert "The key does not work" in told.err
    assert "sk_nonsense" not in told.out + told.err


def test_check_of_nothing(atlvs: InProcess, bootstrapped: str):
    assert "Not connected" in atlvs("check").out
    told = atlvs("check", "stripe")
    assert (told.code, "atlvs connect stripe" in told.err) == (1, True)


def test_check_tells_what_is_not_adopted(atlvs: InProcess, bootstrapped: str, rows: Rows):
    rows("delete from integration_adoptions where table_name = 'invoices'")
    (found,) = [
        row for row in atlvs("check", "--json").json["findings"] if row["connection"] == "platform"
    ]
    assert found["well"] == "off"
    assert "invoices" in found["found"]
    assert "--adopt" in found["mend"]
    assert "invoices is not taken on" in atlvs("bootstrap").out


# Connecting


def test_connect_from_a_pipe(bootstrapped: str, sandbox: Sandbox, rows: Rows):
    """The answers, a line each; the endpoint is made at once."""
    environment = {"DATABASE_URL": bootstrapped, "ATLVS_ENCRYPTION_KEYS": ENCRYPTION_KEY}
    answers = f"{sandbox.key}\npk_test_1\n\n{sandbox.base('stripe')}\n"
    told = ended(start("connect", "stripe", "--json", **environment), answers)
    assert [row["well"] for row in told.json["findings"]] == ["yes"] * 5
    assert sandbox.key not in told.out + told.err
    assert told.err == ""
    assert rows("integration_connections", "name", "enabled") == [("default", True)]


def test_connect_keeps_what_is_not_answered(
    atlvs: InProcess, sandbox_connected: Sandbox, monkeypatch: pytest.MonkeyPatch, rows: Rows
):
    before = atlvs("status", "--json").json["connections"]
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert atlvs("connect", "stripe").code == 0
    assert atlvs("check", "stripe").code == 0
    after = atlvs("status", "--json").json["connections"]
    assert [one["name"] for one in after] == [one["name"] for one in before]


@pytest.mark.parametrize(
    ("typed", "name", "words"),
    [
        ("", "default", "lacks: secret_key"),
        ("hello\n", "default", "no key of stripe"),
        ("sk_test_a\n", "Not A Name", "lowercase"),
    ],
)
def test_connection_that_cannot_be(
    atlvs: InProcess,
    bootstrapped: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    rows: Rows,
    typed: str,
    name: str,
    words: str,
):
    (tmp_path / "typed").write_text(typed)
    with (tmp_path / "typed").open() as answers:
        monkeypatch.setattr(sys, "stdin", answers)
        assert atlvs("connect", "stripe", "--name", name).says(2, words)
    assert rows("integration_connections") == []


def test_secrets_are_not_echoed(bootstrapped: str, sandbox: Sandbox, rows: Rows):
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STRIPE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "deployments", "connect", "stripe"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=kept,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(theirs), os.O_RDWR)),  # its terminal
    )
    os.close(theirs)
    answers = {
        "secret_key": sandbox.key,
        "publishable_key": "pk_test_1",
        "webhook_secrets": "whsec_typed",
        "api_base": sandbox.base("stripe"),
    }
    shown = ""
    for field, answer in answers.items():
        shown += read_until(ours, f"{field} (")
        shown += read_until(ours, ": ")
        time.sleep(0.1)  # the echo is off a moment after the prompt
        os.write(ours, f"{answer}\n".encode())
    shown += read_until(ours, None)
    assert process.wait(30) == 0, shown
    assert "pk_test_1" in shown
    assert sandbox.key not in shown
    assert "whsec_typed" not in shown
    assert rows("integration_connections", "name") == [("default",)]


def read_until(terminal: int, words: str | None) -> str:
    """What the terminal shows until these words come, or until its end."""
    shown = ""
    while words is None or words not in shown:
        assert select.select([terminal], [], [], 30)[0], shown
        try:
            shown += os.read(terminal, 1).decode(errors="replace")
        except OSError:  # closed
            assert words is None, shown
            break
    return shown


def test_disconnect_wipes_and_connect_comes_back(
    atlvs: InProcess, sandbox_connected: Sandbox, rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    assert "secrets wiped" in atlvs("disconnect", "stripe").out
    assert rows("select sealed, enabled from integration_connections", *()) == [(None, False)]
    told = atlvs("check", "stripe")
    assert (told.code, "is disconnected" in told.err) == (1, True)
    assert atlvs("disconnect", "stripe").code == 0
    monkeypatch.setenv("STRIPE_SECRET_KEY", sandbox_connected.key)
    monkeypatch.setenv("STRIPE_API_BASE", sandbox_connected.base("stripe"))
    atlvs("bootstrap")  # the environment alone does not bring it back
    assert rows("integration_connections", "enabled") == [(False,)]
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert atlvs("connect", "stripe").code == 0
    assert rows("integration_connections", "enabled") == [(True,)]
