"""Brings the database and the Prefect server to what this version needs. Twice changes nothing.

`python -m deployments.bootstrap` says what was done, a line for each step.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta

from prefect.automations import AutomationCore, EventTrigger, Posture
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed
from prefect.workers.process import ProcessWorker

import tasks.connections
from atlvs.db import migrate, organizations
from atlvs.db.engine import owner_url
from atlvs.errors import IntegrationError, Misconfigured
from atlvs.settings import Settings, settings, variable
from blocks import CONNECTORS
from blocks.base import resources
from deployments.deploy import deploy_all
from deployments.prefect_client import prefect_answers

POOL = "atlvs"
SILENT = "ATLVS: runs that fell silent"
UNFINISHED = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
# https://docs.prefect.io/v3/advanced/detect-zombie-flows
HEARTBEAT = "prefect.flow-run.heartbeat"
ENDS = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}


async def migrate_database(settings: Settings) -> str:
    """Our tables, under a lock that two bootstraps share."""
    await asyncio.to_thread(lambda: migrate.upgrade(owner_url(settings)))
    return "database: at the newest revision"


async def begin_organization(settings: Settings) -> None:
    """On our own database somebody has to be the first."""
    if settings.embedded:
        await organizations.ensure_first(owner_url(settings))


async def connect_from_environment() -> list[str]:
    """The default connections that the environment describes."""
    lines = [await tasks.connections.connection_from_environment(slug) for slug in CONNECTORS]
    return [line for line in lines if line]


async def exchange_blocks(settings: Settings, client: PrefectClient) -> str:
    """The environment's connections become blocks where there are none; blocks are copied here."""
    made = [await tasks.connections.block_from_environment(slug) for slug in CONNECTORS]
    problems = await tasks.connections.refresh_connections()
    return "; ".join([line for line in made if line] + (problems or ["blocks: taken over"]))


async def create_work_pool(settings: Settings, client: PrefectClient) -> str:
    """The pool that all deployments run on. A pool that somebody made or changed stays as it is."""
    try:
        await client.read_work_pool(POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        await client.create_work_pool(
            WorkPoolCreate(name=POOL, type="process", base_job_template=template)
        )
        return f"work pool {POOL}: created"
    return f"work pool {POOL}: there"


async def register_block_types(settings: Settings, client: PrefectClient) -> str:
    """A form for each provider's connection."""
    for connector in CONNECTORS.values():
        await connector.register_type_and_schema(client=client)  # pyright: ignore
    return f"block types: {', '.join(CONNECTORS)}"


async def register_deployments(settings: Settings, client: PrefectClient) -> str:
    """The deployments of prefect.yaml."""
    return f"deployments: {await deploy_all(client)}"


async def crash_silent_runs(settings: Settings, client: PrefectClient) -> str:
    """A run whose process and worker are both gone would stay Running for good."""
    wanted = _automation_for_silent_runs()
    found = await client.read_automations_by_name(SILENT)
    if any(_same(automation, wanted) for automation in found):
        return "automation for silent runs: there"
    for automation in found:
        await client.delete_automation(automation.id)
    await client.create_automation(wanted)
    return f"automation for silent runs: {'replaced' if found else 'created'}"


async def crash_lost_runs(settings: Settings, client: PrefectClient) -> str:
    """Runs that a former life of our own server left unfinished; one that is stuck in Pending
    holds its deployment's only slot."""
    if not variable("ATLVS_PREFECT_RESTARTED"):
        return ""
    lost = await _unfinished(client)
    for run in lost:
        await client.set_flow_run_state(
            run.id, Crashed(message="ATLVS was stopped while this run was under way."), force=True
        )
    return f"lost runs: {len(lost)} marked as crashed" if lost else ""


# In this order. A step says what it did, or nothing.
STEPS: list[Callable[[Settings, PrefectClient], Awaitable[str]]] = [
    create_work_pool,
    register_block_types,
    exchange_blocks,
    crash_lost_runs,
    crash_silent_runs,
    register_deployments,
]


async def bootstrap(settings: Settings) -> list[str]:
    """Everything, where there is a Prefect server; else the database alone."""
    said = [await migrate_database(settings)]
    await begin_organization(settings)
    async with resources():
        said += await connect_from_environment()
        async with prefect_answers(settings) as answers:
            if answers:
                async with get_client() as client:
                    said += [await step(settings, client) for step in STEPS]
            else:
                said.append("prefect: no server answers; run `atlvs bootstrap` again when one does")
            said += await tasks.connections.prepare_connections()
    return [line for line in said if line]


async def _unfinished(client: PrefectClient) -> list[FlowRun]:
    wanted = FlowRunFilter.model_validate(
        {"state": {"type": {"any_": UNFINISHED}}, "deployment_id": {"is_null_": False}}
    )
    return await client.read_flow_runs(flow_run_filter=wanted, limit=200)


def _automation_for_silent_runs() -> AutomationCore:
    return AutomationCore(
        name=SILENT,
        description="A run that sent no heartbeat for 90 seconds has lost its process.",
        trigger=EventTrigger(
            after={HEARTBEAT},
            expect={HEARTBEAT} | ENDS,
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=90),
        ),
        actions=[
            ChangeFlowRunState(
                name=None, state=StateType.CRASHED, message="The run fell silent.", force=False
            )
        ],
    )


def _same(one: AutomationCore, other: AutomationCore) -> bool:
    compared = {"trigger", "actions"}
    return one.model_dump(include=compared) == other.model_dump(include=compared)


def main() -> int:
    """Bootstrap, and say what was done."""
    try:
        for line in asyncio.run(bootstrap(settings())):
            sys.stdout.write(f"{line}\n")
    except (Misconfigured, IntegrationError) as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, Misconfigured) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
