"""Twilio's flows without a Prefect server: their own bodies, their tasks called as functions.

Tests import it, or start it as a program: `twilio_run.py PAGE CHUNK` does a full sync, and may be killed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from prefect import Flow, Task

from flows import report
from flows import twilio as flows
from tasks.twilio import reading


@contextmanager
def without_prefect() -> Iterator[None]:
    """Tasks are plain functions and reports go nowhere, for as long as it lasts."""
    with ExitStack() as stack:
        for name, one in list(vars(flows).items()):
            if isinstance(one, Task):
                stack.enter_context(patch.object(flows, name, one.fn))
        stack.enter_context(patch.object(report, "acreate_markdown_artifact", _nowhere))
        yield


async def run(flow: Flow[..., Any], **parameters: Any) -> dict[str, Any]:
    """One run of a flow's body; its summary."""
    with without_prefect():
        return await flow.fn(**parameters)


async def full(**parameters: Any) -> dict[str, Any]:
    return await run(flows.full_sync, **parameters)


async def incremental(**parameters: Any) -> dict[str, Any]:
    return await run(flows.incremental_sync, **parameters)


async def _nowhere(**_: Any) -> None:
    """In place of an artifact."""


if __name__ == "__main__":
    reading.PAGE, reading.CHUNK = (int(each) for each in sys.argv[1:3])
    asyncio.run(full())
