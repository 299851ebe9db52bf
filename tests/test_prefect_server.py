"""Our own Prefect server: what bootstrap makes of it, and that scheduled and wanted runs happen.

An unlucky set of versions installs and starts, and never runs a schedule: this shows that ours does.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, LogFilter
from prefect.client.schemas.objects import FlowRun
from prefect_fixtures import no_schedules
from products import Up

from blocks import CONNECTORS
from deployments.bootstrap import SILENT
from deployments.deploy import FILE, deploy_all, entries, wanted
from deployments.prefect_server import client_environment, credential
from deployments.supervise import ROOT

KEYS = {
    "root": {"name", "prefect-version", "pull", "definitions", "deployments"},
    "deployment": {"name", "entrypoint", "description", "tags", "parameters", "paused"}
    | {"enforce_parameter_schema", "work_pool", "concurrency_limit", "schedules"},
    "work_pool": {"name", "work_queue_name", "job_variables"},
    "concurrency_limit": {"limit", "collision_strategy", "grace_period_seconds"},
    "schedules": {"slug", "cron", "interval", "rrule", "timezone", "active", "parameters"}
    | {"anchor_date", "day_or"},
}


@pytest.fixture
def own_flows(prefect_up: Up, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`slowly` can be imported here as well."""
    monkeypatch.syspath_prepend(prefect_up.home / "flows")
    return prefect_up.home


# prefect.yaml


def test_prefect_yaml_has_no_misspelt_key():
    """Prefect ignores unknown keys without a word."""
    text = yaml.safe_load(FILE.read_text())
    assert set(text) <= KEYS["root"]
    for entry in text["deployments"]:
        assert set(entry) <= KEYS["deployment"], entry
        assert set(entry["work_pool"]) <= KEYS["work_pool"]
        assert set(entry.get("concurrency_limit", {})) <= KEYS["concurrency_limit"]
        for schedule in entry.get("schedules", []):
            assert set(schedule) <= KEYS["schedules"]
            assert schedule["slug"]


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry["entrypoint"])
def test_entrypoint_is_dotted_and_leads_to_its_flow(entry: dict[str, Any]):
    assert re.fullmatch(r"flows(\.\w+)+", entry["entrypoint"])  # a path would shadow the SDK
    found = wanted(entry)
    provider = entry["entrypoint"].split(".")[1]
    assert f"{found.flow.name}-".startswith(f"{provider}-")
    assert found.flow.isasync
    assert found.fields["description"]
    assert provider in found.fields["tags"]


def test_deployments_have_names_of_their_own_and_scheduled_ones_run_alone():
    all_of_them = [wanted(entry) for entry in entries()]
    assert not [
        name for name, count in Counter(w.full_name for w in all_of_them).items() if count > 1
    ]
    for one in all_of_them:
        assert not one.schedules or one.limit == 1, one.full_name


# bootstrap


async def test_bootstrap_twice_changes_nothing(prefect_up: Up, prefect_api: PrefectClient):
    before = await everything(prefect_api)
    said = run(prefect_up, "-m", "deployments.bootstrap").splitlines()
    assert f"deployments: {len(entries())} unchanged" in said
    assert "work pool atlvs: there" in said
    assert await everything(prefect_api) == before
    assert len(before["deployments"]) >= len(entries())
    assert {*CONNECTORS} <= {name.removeprefix("atlvs-") for name in before["block types"]}
    assert [name for name, _ in before["automations"]] == [SILENT]


async def test_prefect_deploy_all_gives_the_same(prefect_up: Up, prefect_api: PrefectClient):
    before = (await everything(prefect_api))["deployments"]
    run(prefect_up, "-m", "prefect", "--no-prompt", "deploy", "--all")
    after = (await everything(prefect_api))["deployments"]
    await no_schedules()  # it has switched them on again
    for one in (*before.values(), *after.values()):
        one.pop("updated")
        one.pop("paused")
    assert after == before
    assert "unchanged" in await deploy_all(prefect_api)


async def test_schedule_paused_by_a_person_stays_paused(
    prefect_up: Up, prefect_api: PrefectClient, own_flows: Path
):
    file = own_flows / "paused.yaml"
    text = (
        "deployments: [{name: paused, entrypoint: slowly.tick, work_pool: {name: atlvs},"
        " schedules: [{slug: hourly, cron: '0 * * * *'}, {slug: daily, cron: '0 2 * * *'}]}]"
    )
    file.write_text(text)
    assert await deploy_all(prefect_api, file) == "1 created"
    made = await prefect_api.read_deployment_by_name("slowly-tick/paused")
    hourly = next(schedule for schedule in made.schedules if schedule.slug == "hourly")
    await prefect_api.update_deployment_schedule(made.id, hourly.id, active=False)
    assert await deploy_all(prefect_api, file) == "1 unchanged"

    file.write_text(text.replace("0 * * * *", "30 * * * *").replace("slug: daily", "slug: nightly"))
    assert await deploy_all(prefect_api, file) == "1 updated"
    made = await prefect_api.read_deployment_by_name("slowly-tick/paused")
    assert {schedule.slug: schedule.active for schedule in made.schedules} == {
        "hourly": False,
        "nightly": True,
    }
    assert await deploy_all(prefect_api, file) == "1 unchanged"
    await prefect_api.delete_deployment(made.id)


# The server and its worker


async def test_scheduled_run_appears_by_itself_and_completes(
    prefect_api: PrefectClient, own_flows: Path
):
    file = own_flows / "often.yaml"
    file.write_text(
        "deployments: [{name: often, entrypoint: slowly.tick, parameters: {word: hello},"
        " work_pool: {name: atlvs, job_variables: {command: python -m prefect.engine}},"
        " concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW, grace_period_seconds: 60},"
        " schedules: [{slug: often, interval: 5}]}]"
    )
    await deploy_all(prefect_api, file)
    made = await prefect_api.read_deployment_by_name("slowly-tick/often")
    found = await completed_run(prefect_api, made.id)
    await prefect_api.delete_deployment(made.id)
    assert found.auto_scheduled
    assert await logged(prefect_api, found, "said hello")


async def test_wanted_run_completes_on_the_worker(
    prefect_up: Up, prefect_api: PrefectClient, own_flows: Path
):
    await deploy_all(prefect_api, prefect_up.deployments)
    made = await prefect_api.read_deployment_by_name("slowly-tick/on-demand")
    await prefect_api.create_flow_run_from_deployment(made.id, parameters={"word": "now"})
    assert await logged(prefect_api, await completed_run(prefect_api, made.id), "said now")


async def test_only_those_with_the_credential_get_in(prefect_up: Up):
    user, password = credential(prefect_up.settings).split(":")
    async with httpx.AsyncClient(base_url=prefect_up.url) as client:
        assert (await client.get("/health")).status_code == 200
        assert (await client.post("/deployments/filter")).status_code == 401
        allowed = await client.post("/deployments/filter", json={}, auth=(user, password))
        assert allowed.status_code == 200
        strange = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        preflight = await client.options("/deployments/filter", headers=strange)
        assert "access-control-allow-origin" not in preflight.headers
    for secret in ("auth", "encryption.key"):
        file = prefect_up.settings.data_dir / "prefect" / secret
        assert file.stat().st_mode & 0o777 == 0o600


def test_no_secret_stands_on_a_command_line(prefect_up: Up):
    password = credential(prefect_up.settings).split(":")[1]
    assert password not in str(prefect_up.told)
    assert not [line for line in prefect_up.lines if password in line]


def run(up: Up, *arguments: str) -> str:
    """What a process of ours prints that talks to this server."""
    given = {"ATLVS_DATA_DIR": str(up.settings.data_dir), "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **given, **client_environment(up.settings, up.url)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def completed_run(client: PrefectClient, deployment: Any) -> FlowRun:
    wanted = FlowRunFilter.model_validate(
        {"deployment_id": {"any_": [deployment]}, "state": {"type": {"any_": ["COMPLETED"]}}}
    )
    for _ in range(300):
        if runs := await client.read_flow_runs(flow_run_filter=wanted):
            return runs[0]
        await asyncio.sleep(0.3)
    raise AssertionError("no run completed")


async def logged(client: PrefectClient, run: FlowRun, line: str) -> bool:
    wanted = LogFilter.model_validate({"flow_run_id": {"any_": [run.id]}})
    for _ in range(600):  # lines are sent in batches
        if line in [log.message for log in await client.read_logs(wanted)]:
            return True
        await asyncio.sleep(0.1)
    return False


async def everything(client: PrefectClient) -> dict[str, Any]:
    """What bootstrap makes, without when and by whom."""
    unimportant = {"last_polled", "status", "version_info", "version_id", "created_by"}
    unimportant |= {"updated_by", "branch", "base", "root", "version", "labels"}
    deployments = {
        f"{one.flow_id}/{one.name}": one.model_dump(mode="json", exclude=unimportant)
        for one in await client.read_deployments()
    }
    for one in deployments.values():
        limit = one.pop("global_concurrency_limit")  # its slots come and go
        one["limit"] = limit and limit["limit"]
        for schedule in one["schedules"]:
            schedule.pop("updated")
    return {
        "deployments": deployments,
        "pools": [pool.name for pool in await client.read_work_pools()],
        "automations": [(one.name, one.id) for one in await client.read_automations()],
        "block types": [one.slug for one in await client.read_block_types()],
    }
