"""Twilio's flows without a Prefect server: their own bodies, their tasks called as functions.

Tests import it, or start it as a program: `twilio_run.py PAGE CHUNK` does a full sync, and may be killed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from prefect import Flow
from without_prefect import body

from flows import twilio as flows
from tasks.twilio import reading


async def run(flow: Flow[..., Any], **parameters: Any) -> dict[str, Any]:
    """One run of a flow's body; its summary."""
    return await body(flow, (flows,), **parameters)


async def full(**parameters: Any) -> dict[str, Any]:
    return await run(flows.full_sync, **parameters)


async def incremental(**parameters: Any) -> dict[str, Any]:
    return await run(flows.incremental_sync, **parameters)


if __name__ == "__main__":
    reading.PAGE, reading.CHUNK = (int(each) for each in sys.argv[1:3])
    asyncio.run(full())
