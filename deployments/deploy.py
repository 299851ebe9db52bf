"""The deployments of prefect.yaml, registered through the API in one process.

The result is that of `prefect --no-prompt deploy --all` (tests/test_prefect_server.py compares
them), which takes seconds for each deployment, and pauses or resumes what people have set.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
)
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from atlvs.errors import Misconfigured

FILE = Path(__file__).resolve().parents[1] / "prefect.yaml"
COMPARED = (
    "entrypoint",
    "description",
    "tags",
    "parameters",
    "work_pool_name",
    "job_variables",
    "pull_steps",
    "enforce_parameter_schema",
    "parameter_openapi_schema",
)


@dataclass(frozen=True)
class Wanted:
    """One deployment as the file has it."""

    name: str
    flow: Flow[..., Any]
    fields: dict[str, Any]
    schedules: dict[str, dict[str, Any]]
    limit: int | None
    options: ConcurrencyOptions | None

    @property
    def full_name(self) -> str:
        return f"{self.flow.name}/{self.name}"


async def deploy_all(client: PrefectClient, file: Path = FILE) -> str:
    """Create what is missing, update what differs, leave the rest; how many of each."""
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    for entry in entries(file):
        counts[await _deploy(client, wanted(entry))] += 1
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "none"


def entries(file: Path = FILE) -> list[dict[str, Any]]:
    """The deployments in the file."""
    try:
        return (yaml.safe_load(file.read_text()) or {}).get("deployments") or []
    except FileNotFoundError as error:
        raise Misconfigured(f"{file} is missing: deployments are made from it.") from error


def wanted(entry: dict[str, Any]) -> Wanted:
    """An entry of the file, together with its flow's parameters and description."""
    flow = load_flow_from_entrypoint(entry["entrypoint"])
    limit = entry.get("concurrency_limit")
    options = None
    if isinstance(limit, dict):
        options = ConcurrencyOptions(**{key: limit[key] for key in limit if key != "limit"})
        limit = limit["limit"]
    pool = entry.get("work_pool") or {}
    return Wanted(
        name=entry["name"],
        flow=flow,
        fields={
            "entrypoint": entry["entrypoint"],
            "description": entry.get("description") or flow.description,
            "tags": entry.get("tags") or [],
            "parameters": entry.get("parameters") or {},
            "work_pool_name": pool.get("name"),
            "job_variables": pool.get("job_variables") or {},
            "pull_steps": entry.get("pull") or [],
            "enforce_parameter_schema": entry.get("enforce_parameter_schema", True),
            "parameter_openapi_schema": parameter_schema(flow).model_dump(exclude_unset=True),
        },
        schedules={schedule["slug"]: schedule for schedule in entry.get("schedules") or []},
        limit=limit,
        options=options,
    )


async def _deploy(client: PrefectClient, wanted: Wanted) -> str:
    try:
        found = await client.read_deployment_by_name(wanted.full_name)
    except ObjectNotFound:
        await client.create_deployment(
            await client.create_flow_from_name(wanted.flow.name),
            wanted.name,
            version=wanted.flow.version,
            schedules=[DeploymentScheduleCreate(**_schedule(s)) for s in wanted.schedules.values()],
            concurrency_limit=wanted.limit,
            concurrency_options=wanted.options,
            **wanted.fields,
        )
        return "created"
    if _is(found, wanted):
        return "unchanged"
    await _update(client, found, wanted)
    return "updated"


async def _update(client: PrefectClient, found: DeploymentResponse, wanted: Wanted) -> None:
    for schedule in found.schedules:
        if schedule.slug not in wanted.schedules:
            await client.delete_deployment_schedule(found.id, schedule.id)
    # Neither `paused` nor a schedule's `active` is sent: people set these in the Prefect UI.
    await client.update_deployment(
        found.id,
        DeploymentUpdate(
            version=wanted.flow.version,
            schedules=[DeploymentScheduleUpdate(**_schedule(s)) for s in wanted.schedules.values()],
            concurrency_limit=wanted.limit,
            concurrency_options=wanted.options,
            **wanted.fields,
        ),
    )


def _is(found: DeploymentResponse, wanted: Wanted) -> bool:
    limit = found.global_concurrency_limit.limit if found.global_concurrency_limit else None
    return (
        {name: getattr(found, name) for name in COMPARED} == wanted.fields
        and limit == wanted.limit
        and found.concurrency_options == wanted.options
        and {schedule.slug: _shown(schedule) for schedule in found.schedules}
        == {slug: _shown(_created(schedule)) for slug, schedule in wanted.schedules.items()}
    )


def _created(schedule: dict[str, Any]) -> DeploymentScheduleCreate:
    return DeploymentScheduleCreate(**_schedule(schedule))


def _schedule(schedule: dict[str, Any]) -> dict[str, Any]:
    """The file's flat form, in the API's nested one."""
    outer = {"slug", "active", "parameters"}
    inner = {key: value for key, value in schedule.items() if key not in outer}
    return {key: schedule[key] for key in outer & schedule.keys()} | {"schedule": inner}


def _shown(schedule: Any) -> dict[str, Any]:
    shown = schedule.schedule.model_dump(mode="json", exclude={"anchor_date"})
    return {"schedule": shown, "parameters": schedule.parameters}
