"""Talking to the Prefect server from a process of ours."""

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import prefect.settings
from prefect.client.orchestration import get_client
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import temporary_settings

from atlvs.settings import Settings
from deployments import leftovers
from deployments.prefect_server import client_environment


def prefect_url(settings: Settings) -> str | None:
    """PREFECT_API_URL, else the server of the `atlvs up` that runs on this data folder."""
    if settings.prefect_api_url:
        return settings.prefect_api_url
    return (leftovers.running(settings.data_dir) or {}).get("prefect_api_url")


@contextmanager
def prefect_settings(settings: Settings) -> Generator[str | None]:
    """Prefect in this block talks to that server, if there is one; its address."""
    url = prefect_url(settings)
    if not url:
        yield None
        return
    wanted = {
        getattr(prefect.settings, name): value
        for name, value in client_environment(settings, url).items()
        if hasattr(prefect.settings, name)
    }
    with temporary_settings(wanted):
        yield url


@asynccontextmanager
async def prefect_answers(settings: Settings) -> AsyncGenerator[bool]:
    """Whether a Prefect server answers; in this block, Prefect talks to it."""
    with prefect_settings(settings) as url:
        if not url:
            yield False
            return
        async with get_client() as client:
            answers = await client.api_healthcheck() is None
        yield answers


def quiet_console() -> None:
    """Prefect's own lines stay in its pages; the console shows what went wrong."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.setLevel(logging.WARNING)
