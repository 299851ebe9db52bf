"""Our fan-out's steps in a process of their own. Prints one line of JSON.

python -m tests.benchmarks.fan_out plan|send --given '{"org": "…", "asked": {…}, "channel": "sms"}'
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from time import monotonic, process_time
from typing import Any
from uuid import UUID

import tasks.sendgrid
import tasks.twilio  # noqa: F401  # loaded when they are needed, which is the program's start
from atlvs.db.leases import leasing
from blocks.base import resources
from tasks.notify.planning import plan
from tasks.notify.raising import raise_notification
from tasks.notify.sending import send_due
from tests.benchmarks.own_memory import peak

PATIENCE = 600.0


async def planned(org: UUID, asked: dict[str, Any]) -> dict[str, Any]:
    """Raise a notification and write its deliveries."""
    raised = await raise_notification(org, origin="api", **asked)
    notification = await plan(org, UUID(raised["id"]))
    return {"id": raised["id"], "state": notification.state, "reason": notification.reason}


async def sent(org: UUID, channel: str) -> dict[str, Any]:
    """Send what is due."""
    async with leasing() as lease:
        done = await send_due(org, channel, lease, seconds=PATIENCE)
    return {
        "states": Counter(done.states),
        "calls": done.calls,
        "troubles": sorted(done.troubles),
    }


async def run(steps: list[str], given: dict[str, Any]) -> dict[str, Any]:
    """One step after the other; what each took, without this program's start."""
    told: dict[str, Any] = {}
    async with resources():
        for step in steps:
            began, cpu = monotonic(), process_time()
            org = UUID(given["org"])
            work = planned(org, given["asked"]) if step == "plan" else sent(org, given["channel"])
            told[step] = await work
            told[step] |= {"seconds": monotonic() - began, "cpu": process_time() - cpu}
    return told | {"peak": peak()}


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("steps", nargs="+", choices=["plan", "send"])
    parser.add_argument("--given", type=json.loads, default={})
    asked = parser.parse_args()
    sys.stdout.write(json.dumps(asyncio.run(run(asked.steps, asked.given))) + "\n")


if __name__ == "__main__":
    main()
