"""What `check` and `bootstrap` find out: connections, the running product, an existing platform."""

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import psycopg

import tasks.connections
from atlvs.db import connections, platform
from atlvs.db.engine import owner_url
from atlvs.records import Finding
from atlvs.settings import settings
from blocks import CONNECTORS
from blocks.wire import session
from deployments import leftovers
from deployments.commands.output import warn

Row = dict[str, Any]
SHORTLY = aiohttp.ClientTimeout(total=5)


async def of_connections(providers: Sequence[str], wanted: bool) -> list[Row]:
    """Every connection of these providers; one that was asked for by name has to be there."""
    rows: list[Row] = []
    for slug in providers:
        there = await connections.every(slug)
        for one in there:
            checked = await tasks.connections.check(slug, one.name)
            rows += rows_of(f"{slug} {one.name}", checked.findings)
        if not there and await CONNECTORS[slug].is_used():
            checked = await tasks.connections.check(slug)
            rows += rows_of(slug, checked.findings)
        elif not there:
            missing = Finding(False, "Not connected.", f"Run: atlvs connect {slug}")
            rows += rows_of(slug, [missing], "no" if wanted else "-")
    return rows


async def of_product() -> list[Row]:
    """The parts of the `atlvs up` that runs on this data folder, if one does."""
    told = leftovers.running(settings().data_dir)
    if not told:
        return []
    if not all(_alive(told).values()):
        await asyncio.sleep(3)  # a part that died is started again within a second
        told = leftovers.running(settings().data_dir) or told
    found = [
        Finding(well, f"{name} {'runs' if well else 'does not stay alive'}.")
        for name, well in _alive(told).items()
    ]
    if told.get("web_url"):
        found.append(await _web(told["web_url"]))
    return rows_of("atlvs up", found)


def _alive(told: dict[str, Any]) -> dict[str, bool]:
    parts = ("prefect", "worker", "drainer")
    processes = told["processes"]
    return {name: leftovers.is_same(processes[name]) for name in parts if name in processes}


def of_platform() -> list[Finding]:
    """Tables of an existing platform that are not taken on."""
    try:
        return [one for one in platform.findings(owner_url(settings())) if not one.ok]
    except psycopg.errors.InsufficientPrivilege:
        warn("Whether all platform tables are taken on is told with ATLVS_OWNER_DATABASE_URL only.")
        return []


def rows_of(what: str, found: Sequence[Finding], unwell: str = "no") -> list[Row]:
    """Findings as rows of a table."""
    return [
        {
            "connection": what,
            "well": "yes" if one.ok else unwell,
            "found": one.text,
            "mend": one.mend,
        }
        for one in found
    ]


async def _web(url: str) -> Finding:
    try:
        async with session().get(f"{url}/readyz", timeout=SHORTLY) as answer:
            lacking = [] if answer.status == 200 else (await answer.json()).get("missing", [])
            return Finding(
                answer.status == 200, f"web at {url} {'; '.join(lacking) or 'is ready.'}"
            )
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return Finding(False, f"web at {url} does not answer ({type(error).__name__}).")
