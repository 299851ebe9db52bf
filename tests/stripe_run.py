"""Stripe's flows without a Prefect server: the flows' own bodies, their tasks called as functions.

Tests import it, or start it as a program that makes processes to be killed: see `main`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from threading import Timer
from typing import Any
from uuid import UUID

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from prefect import Flow
from without_prefect import body

from atlvs.db import inbox, requests
from atlvs.settings import settings
from blocks.base import release
from blocks.stripe import Stripe
from flows import webhooks
from flows.stripe import sync
from tasks.stripe import feed, pages
from tasks.stripe.service import SERVICE

MODULES = (feed, pages, sync, webhooks)


async def run(flow: Flow[..., Any], **parameters: Any) -> dict[str, Any]:
    """One run of a flow's body; its summary."""
    return await body(flow, MODULES, **parameters)


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


async def act(what: str, given: dict[str, Any]) -> dict[str, Any]:
    """What a process of its own is asked for: a run, or a service method by its name."""
    try:
        match what:
            case "full":
                return await full(**given)
            case "incremental":
                return await incremental(**given)
            case "drain":
                return await drain()
            case _:
                return await service(what, UUID(given.pop("request")), **given)
    finally:
        await release()


def one_process(asked: dict[str, Any]) -> None:
    """Do what is asked in this process, which may die of it."""
    if asked["die_after"] is not None:
        Timer(asked["die_after"], os.kill, (os.getpid(), signal.SIGKILL)).start()
    os.environ.update(asked["environment"])
    settings.cache_clear()
    inbox.LEASE_SECONDS = requests.LEASE_SECONDS = asked["lease"]
    pages.CHUNK = asked["chunk"]
    asyncio.run(act(asked["what"], asked["given"]))


def main() -> None:
    """For each line on stdin a forked process; how it ended, on stdout.

    Forked, because importing everything takes much longer than a run.
    """
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                one_process(json.loads(line))
                code = 0
            except BaseException:  # noqa: BLE001  whatever it is, this process ends here
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
