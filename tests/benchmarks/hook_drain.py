"""One drain of triggers in a process of its own: all that waits. Prints one line of JSON.

python -m tests.benchmarks.hook_drain
"""

import asyncio
import json
import sys
from time import monotonic, process_time
from typing import Any

from blocks.base import resources
from tasks.triggers.draining import drain_triggers
from tests.benchmarks.own_memory import peak

PATIENCE = 600.0


async def run() -> dict[str, Any]:
    """Post it all; what that took, without this program's start. `linger` as the drainer has it: what
    Prefect is told is not waited for."""
    async with resources():
        began, cpu = monotonic(), process_time()
        told = await drain_triggers(PATIENCE, linger=True)
        return {
            "posts": dict(told.posts),
            "seconds": monotonic() - began,
            "cpu": process_time() - cpu,
            "peak": peak(),
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(run())) + "\n")
