"""`atlvs demo`: the main jobs, for real, against the sandbox. No account, no server, no variable.

Everything runs below `<data folder>/demo` and ends with the demo; the next one is quicker, since
Prefect's database is ready.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from inspect import isawaitable
from pathlib import Path
from time import monotonic

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler

from atlvs.db import embedded
from atlvs.settings import Settings, set_variables, settings
from blocks import CONNECTORS
from blocks.base import resources
from deployments.commands.around import stop_unused
from deployments.commands.output import console, hush_prefect, step
from deployments.leftovers import Record
from deployments.prefect_client import prefect_settings
from deployments.prefect_server import HOST, check_free
from deployments.story import KEY, Story
from deployments.supervise import Product


def run_demo(*, stay: bool = False, keep: bool = False) -> None:
    """Run it; `stay` leaves everything up until Ctrl-C, `keep` goes on with the last demo's data."""
    home = settings().data_dir.expanduser().resolve() / "demo"
    # Whatever the environment names is somebody's real database, account or server.
    names = {str(field.alias) for field in Settings.model_fields.values()} - {"ATLVS_LISTEN_PORT"}
    names |= {name for kind in CONNECTORS.values() for name in kind.environment.values()}
    set_variables(**dict.fromkeys(names, ""))
    set_variables(ATLVS_DATA_DIR=str(home))
    try:
        if not keep:
            _forget_last_demo(home)
        asyncio.run(_demo(stay, keep))
    finally:
        stop_unused(home)


def _forget_last_demo(data_dir: Path) -> None:
    """Its database goes, unless a demo runs there at this moment."""
    if not embedded.folder(data_dir).exists():
        return
    record = Record(data_dir)
    record.take()
    try:
        embedded.drop_database(data_dir, "atlvs")
    finally:
        record.release()


async def _demo(stay: bool, keep: bool) -> None:
    began = monotonic()
    port = check_free(HOST, 0, "")
    sandbox = f"http://{HOST}:{port}"
    set_variables(
        STRIPE_SECRET_KEY=KEY,
        STRIPE_PUBLISHABLE_KEY="pk_test_demo",
        STRIPE_API_BASE=f"{sandbox}/stripe",
        STRIPE_WEBHOOK_SECRET="",
        ATLVS_HOOKS_LOOPBACK="1",  # the sandbox's Zapier is on this machine
    )
    step("Starting PostgreSQL, the Prefect server, the web and the drainer")
    product = _product(port, stay)
    async with product:
        set_variables(
            PUBLIC_BASE_URL=product.web_url, PREFECT_API_URL=product.prefect_api_url or ""
        )
        with prefect_settings(product.settings.model_copy(update={"prefect_api_url": None})):
            async with resources(), told_prefect():
                hush_prefect()
                await Story(sandbox, product, other_demos=keep).tell()
        if stay:
            _where_to_look(product)
            await _ctrl_c()
    console.print(
        f"\nEverything has ended again.{'' if stay else ' To look around: atlvs demo --stay'}"
    )
    console.print(f"[bold green]Done in {monotonic() - began:.0f} s.[/] Both sides agree.")


def _product(sandbox_port: int, stay: bool) -> Product:
    sandbox = [sys.executable, "-m", "deployments.sandbox", "--port", str(sandbox_port)]
    return Product(
        settings(),
        parts={"prefect", "web", "drainer"} | ({"worker"} if stay else set()),
        prefect_port=None if stay else 0,
        web_port=None if stay else 0,
        beside={"sandbox": sandbox},
        say=_quiet,
    )


async def _ctrl_c() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


@asynccontextmanager
async def told_prefect() -> AsyncGenerator[None]:
    """What Prefect has still to send is sent while its server is there: at the process's exit, it
    would try for a minute to reach one that has ended."""
    try:
        yield
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await APILogHandler.aflush()
                if isawaitable(drained := EventsWorker.drain_all()):
                    await drained


def _where_to_look(product: Product) -> None:
    home = settings().data_dir
    console.print(
        f"\n[bold green]Both sides agree.[/] Prefect's pages: {product.prefect_url} "
        f"(user and password in {home}/prefect/auth)\n"
        f"API: {product.web_url}/docs   webhooks: {product.web_url}/metrics\n"
        f"On the command line: ATLVS_DATA_DIR={home} atlvs status\nCtrl-C ends all of it."
    )


def _quiet(name: str, line: str) -> None:
    """Children's lines are shown when something is wrong only."""
    if "rror" in line or "gone" in line or "failed" in line:
        console.print(f"{name:<9} | {line}", markup=False)
