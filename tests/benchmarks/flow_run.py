"""One flow run in a process of its own, as a worker starts it. Prints one line of JSON.

python -m tests.benchmarks.flow_run empty|full|count --given '{"connection": "large"}'
"""

import argparse
import asyncio
import json
import sys
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State

from flows.stripe import full_sync
from tests.benchmarks.own_memory import peak


@flow(name="nothing", persist_result=False)
async def nothing() -> dict[str, Any]:
    """What any run costs: its process, its imports, its states."""
    return {}


async def run(what: str, given: dict[str, Any]) -> dict[str, Any]:
    """Run it to its end; its summary, and what it took."""
    wanted = full_sync if what == "full" else nothing
    running: Any = wanted(**given, return_state=True)
    state: State[Any] = await running
    summary = await state.aresult()
    return {
        "flow_run": str(state.state_details.flow_run_id),
        "summary": summary,
        "peak": peak(),
    }


async def count(flow_run: str) -> dict[str, int]:
    """Task runs of a flow run. They reach the server as events, a little later."""
    await asyncio.sleep(5)
    wanted = FlowRunFilter.model_validate({"id": {"any_": [UUID(flow_run)]}})
    async with get_client() as client:
        return {"task_runs": len(await client.read_task_runs(flow_run_filter=wanted, limit=200))}


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["empty", "full", "count"])
    parser.add_argument("--given", type=json.loads, default={})
    asked = parser.parse_args()
    work = count(**asked.given) if asked.what == "count" else run(asked.what, asked.given)
    sys.stdout.write(json.dumps(asyncio.run(work), default=str) + "\n")


if __name__ == "__main__":
    main()
