"""Stripe's flows without a Prefect server: the flows' own bodies, their tasks called as functions.

Tests import it, or start it as a process that may be killed:

    python tests/stripe_run.py full|incremental|drain|replay|service [--lease SECONDS] [--chunk ROWS] …

It prints one line of JSON: the run's summary, or what a service method answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from prefect import Flow, Task

from atlvs.db import inbox, requests
from blocks.base import release
from blocks.stripe import Stripe
from flows import report, webhooks
from flows.stripe import sync
from tasks.stripe import feed, pages
from tasks.stripe.service import SERVICE


@contextmanager
def without_prefect() -> Iterator[None]:
    """Tasks are plain functions and reports go nowhere, for as long as it lasts."""
    with ExitStack() as stack:
        for module in (feed, pages, sync, webhooks):
            for name, one in list(vars(module).items()):
                if isinstance(one, Task):
                    stack.enter_context(patch.object(module, name, one.fn))
        stack.enter_context(patch.object(report, "acreate_markdown_artifact", _nowhere))
        yield


async def run(flow: Flow[..., Any], **parameters: Any) -> dict[str, Any]:
    """One run of a flow's body; its summary."""
    with without_prefect():
        return await flow.fn(**parameters)


async def full(**parameters: Any) -> dict[str, Any]:
    return await run(sync.full_sync, **parameters)


async def incremental(**parameters: Any) -> dict[str, Any]:
    return await run(sync.incremental_sync, **parameters)


async def drain() -> dict[str, Any]:
    return await run(webhooks.drain_webhooks)


async def service(method: str, request: UUID, **parameters: Any) -> dict[str, Any]:
    """One method of Stripe's service interface."""
    async with Stripe.opened() as connection:
        return await SERVICE[method].fn(connection, request, **parameters)


async def _nowhere(**_artifact: Any) -> None:
    """Where a Prefect server would keep the report."""


async def _main(asked: argparse.Namespace) -> dict[str, Any]:
    given = json.loads(asked.given)
    try:
        match asked.what:
            case "full":
                return await full(**given)
            case "incremental":
                return await incremental(**given)
            case "drain":
                return await drain()
            case "replay":
                return await run(webhooks.replay, **given)
            case _:
                return await service(asked.what, UUID(given.pop("request")), **given)
    finally:
        await release()


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what")
    parser.add_argument("--given", default="{}")
    parser.add_argument("--lease", type=float, default=inbox.LEASE_SECONDS)
    parser.add_argument("--chunk", type=int, default=pages.CHUNK)
    return parser.parse_args()


if __name__ == "__main__":
    arguments = _asked()
    inbox.LEASE_SECONDS = requests.LEASE_SECONDS = arguments.lease  # pyright: ignore
    pages.CHUNK = arguments.chunk
    print(json.dumps(asyncio.run(_main(arguments)), default=str))
