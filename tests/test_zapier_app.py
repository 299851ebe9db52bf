"""The app that is pushed to Zapier, run by the platform's own code against our web process."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from conftest import Rows
from web_client import NOWHERE, run, serving
from webhook_listener import Listener

from atlvs.db import api_keys
from atlvs.hooks import TRIGGERS
from atlvs.settings import settings
from blocks.targets import close_targets
from tasks.triggers.draining import drain_triggers
from tasks.triggers.subscribing import subscribe

APP = Path(__file__).parent.parent / "deployments" / "zapier"
NODE = (20, 10)
# how npm says that it could not reach a registry
AWAY = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ECONN\w+|ETIMEDOUT|ENETUNREACH|ENOTCACHED|E50[234])\b")
# Each of the sixteen happens: to a record with all that there is, and to one with nothing around it.
HAPPENINGS = (
    "insert into contacts (org_id, first_name, email) values (%s, 'Ada', 'ada@example.com')",
    "insert into contacts (org_id) values (%s)",
    "update contacts set last_name = 'Lovelace', email = 'ada@lovelace.example'",
    "insert into events (org_id, name, starts_at) values (%s, 'Summer Gala', now())",
    "update events set status = 'published'",
    "insert into leads (org_id, name, contact_id) select %s, 'Ada', id from contacts",
    "update leads set status = 'qualified'",
    "insert into deals (org_id, name, amount_cents, contact_id)"
    " select %s, 'Catering', 125000, id from contacts",
    "insert into deals (org_id, name) values (%s, 'Music'), (%s, 'Lights')",
    "update deals set status = case when amount_cents is null then 'lost' else 'won' end, closed_at = now()",
    "insert into registrations (org_id, event_id, contact_id, amount_cents)"
    " select e.org_id, e.id, c.id, 4500 from events as e, contacts as c",
    "insert into registrations (org_id, event_id) select org_id, id from events",
    "update registrations set status = 'confirmed'",
    "update registrations set status = 'cancelled'",
    "insert into invoices (org_id, contact_id, amount_cents, due_on)"
    " select org_id, id, 125000, now() from contacts",
    "insert into invoices (org_id) values (%s)",
    "update invoices set status = 'paid', paid_at = now()",
    "insert into tasks (org_id, title, event_id) select org_id, 'Book the hall', id from events",
    "insert into tasks (org_id, title) values (%s, 'Call')",
    "update tasks set status = 'completed', completed_at = now()",
)


def node_or_skip() -> None:
    """Skip where there is no Node that Zapier's own code runs on."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", told)))[:2] < NODE:
        pytest.skip(f"Node is {told.strip()}; at least {'.'.join(map(str, NODE))} is needed")


@pytest.fixture(scope="module")
def zapier_app_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app with what it depends on, outside the tree."""
    node_or_skip()
    folder = tmp_path_factory.mktemp("zapier") / "app"
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns("node_modules"))
    quietly = ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
    installed = subprocess.run(
        ["npm", "ci", *quietly, "--fetch-retries=1", "--fetch-timeout=30000"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if installed.returncode and AWAY.search(installed.stderr):
        pytest.skip("npm reaches no registry, and its cache lacks the platform's packages")
    assert installed.returncode == 0, installed.stderr
    return folder


def passes(folder: Path, file: str, **environment: str) -> None:
    """Run a test file of the app; everything in it has to pass, and nothing may be skipped."""
    told = {name: value for name, value in os.environ.items() if not name.startswith("ATLVS_")}
    ended = subprocess.run(
        ["node", "--test", "--test-reporter=tap", f"tests/{file}.test.js"],
        cwd=folder,
        env={**told, **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    failed = re.findall(r"^not ok.*?^  \.\.\.$", ended.stdout, re.M | re.S)
    assert ended.returncode == 0, "\n".join(failed) or ended.stdout + ended.stderr
    counts = {
        name: int(number) for name, number in re.findall(r"^# (\w+) (\d+)$", ended.stdout, re.M)
    }
    assert counts["pass"] == counts["tests"] > 0, ended.stdout


@pytest.fixture
def zapier_app_connected(
    org: UUID, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """What the app's tests need to know of our running web process."""
    monkeypatch.setenv("PREFECT_API_URL", NOWHERE)
    event = rows("insert into events (org_id, name) values (%s, 'Gala') returning id", org)[0][0]
    secret = api_keys.new_signing_secret()
    with serving() as address:
        yield {
            "ATLVS_BASE_URL": address,
            "ATLVS_API_KEY": run(api_keys.create(org, "Zaps", ("zapier",)))[0],
            "ATLVS_SIGNED_KEY": run(
                api_keys.create(org, "Signed Zaps", ("zapier",), signing_secret=secret)
            )[0],
            "ATLVS_SIGNING_SECRET": secret,
            "ATLVS_EVENT_ID": str(event),
        }


async def posted(org: UUID, rows: Rows, target: str) -> None:
    """Have all sixteen events happen and be posted."""
    try:
        for event in TRIGGERS:
            await subscribe(org, None, event, target)
        for statement in HAPPENINGS:
            rows(statement, *([org] * statement.count("%s")))
        await drain_triggers()
    finally:
        await close_targets()


@pytest.fixture
def zapier_app_posts(
    org: UUID, rows: Rows, listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """A file with what a target receives when all sixteen events happen, with and without the records
    around them."""
    monkeypatch.setenv("ATLVS_HOOKS_LOOPBACK", "true")
    settings.cache_clear()
    run(posted(org, rows, listener.url))
    posts: dict[str, list[Any]] = {str(event): [] for event in TRIGGERS}
    for body, _ in listener.received:
        post = orjson.loads(body)
        posts[post["type"]].append(post)
    assert all(posts.values()), {event for event in TRIGGERS if not posts[event]}
    file = tmp_path / "posts.json"
    file.write_bytes(orjson.dumps(posts))
    return file


@pytest.mark.parametrize("file", ["definition", "requests"])
def test_app_by_itself(zapier_app_folder: Path, file: str):
    passes(zapier_app_folder, file)


@pytest.mark.parametrize("file", ["authentication", "creates"])
def test_app_against_our_web_process(
    zapier_app_folder: Path, zapier_app_connected: dict[str, str], file: str
):
    passes(zapier_app_folder, file, **zapier_app_connected)


def test_triggers_against_our_web_process(
    zapier_app_folder: Path, zapier_app_posts: Path, zapier_app_connected: dict[str, str]
):
    told = {"ATLVS_LIVE_PAYLOADS": str(zapier_app_posts), "ATLVS_HOOK_BASE": "http://127.0.0.1:9"}
    passes(zapier_app_folder, "triggers", **zapier_app_connected, **told)


def test_lock_file_names_checksums_and_no_address():
    lock = (APP / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
    assert "://" not in lock, "write it with: npm run lock"


def test_nothing_is_installed_or_vendored_in_the_tree():
    assert not (APP / "node_modules").exists()
    assert '"19.1.0"' in (APP / "package.json").read_text()
