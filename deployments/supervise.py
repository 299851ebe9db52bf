"""`atlvs up`: PostgreSQL, the Prefect server, web, worker and drainer, kept running together.

    async with Product(settings()) as product:
        print(product.web_url, product.prefect_url)

Each part may die at any time and is started again. When the product ends, or is killed, nothing of
it stays behind (`deployments.lifeline`, `deployments.leftovers`).
"""

import asyncio
import contextlib
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Self

import psutil

from atlvs.db import embedded
from atlvs.errors import Misconfigured, Unavailable
from atlvs.settings import Settings, settings, variable
from deployments import prefect_server
from deployments.child import Child, Say, say
from deployments.leftovers import MARK, Record, described, end, end_all
from deployments.parts import COMMANDS, PARTS, ROOT, surroundings


class Product:
    """All parts, or some of them, for as long as the block lasts. Port 0 takes any free one."""

    def __init__(
        self,
        settings: Settings,
        *,
        parts: Collection[str] = PARTS,
        prefect_port: int | None = None,
        web_port: int | None = None,
        environment: Mapping[str, str] | None = None,
        commands: Mapping[str, Sequence[str]] | None = None,
        beside: Mapping[str, Sequence[str]] | None = None,
        say: Say = say,
    ) -> None:
        self.settings = settings
        self.parts = frozenset(parts)
        self.prefect_api_url = settings.prefect_api_url
        self.web_url = ""
        self._say = say
        self._ports = (prefect_port, web_port)
        self._given = dict(environment or {})
        self._beside = dict(beside or {})  # started before all others
        self._commands = {**COMMANDS, **(commands or {}), **self._beside}
        self._record = Record(settings.data_dir)
        self._children: dict[str, Child] = {}
        self._scratch = self._record.data_dir / "tmp"
        self._mark = secrets.token_hex(16)
        self._lifeline: subprocess.Popen[bytes] | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def prefect_url(self) -> str | None:
        """Where the pages of Prefect are."""
        return self.prefect_api_url and self.prefect_api_url.removesuffix("/api")

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to take part: for children, and for the caller's own."""
        return (
            {"ATLVS_DATA_DIR": str(self._record.data_dir), "DATABASE_URL": self._database_url()}
            | prefect_server.client_environment(self.settings, self.prefect_api_url)
            | self._web_environment()
            | self._given
        )

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self._end_last_life)
            self._hold_lifeline()
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    def child(self, name: str) -> Child:
        """One of the running parts."""
        return self._children[name]

    def _end_last_life(self) -> None:
        self._record.take()
        end(self._record.told)
        self._record.begin(self._mark)
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700)

    async def _start(self) -> None:
        self._choose_web_port()
        for name in self._beside:
            await self._child(name).start()
        if self._needs_postgres():
            self._record.tell(postgres=True)
            self._say("postgres", "starting")
            await asyncio.to_thread(embedded.start, self.settings.data_dir)
            self._watch = asyncio.create_task(self._keep_postgres())
        if self._own_prefect():
            await self._start_prefect()
        await self._bootstrap()
        for name in ("web", "drainer", "worker"):
            if name in self.parts and (name != "worker" or self.prefect_api_url):
                await self._child(name).start()
        if "web" in self.parts:
            await self._wait("web", f"{self._local_web_url()}/healthz", seconds=60)
        self._record.tell(prefect_api_url=self.prefect_api_url, web_url=self.web_url)

    def _own_prefect(self) -> bool:
        return "prefect" in self.parts and not self.settings.prefect_api_url

    def _needs_postgres(self) -> bool:
        return self.settings.embedded or self._own_prefect()

    async def _start_prefect(self) -> None:
        wanted = self._ports[0] if self._ports[0] is not None else prefect_server.wanted_port()
        port = prefect_server.check_free(prefect_server.HOST, wanted, "PREFECT_SERVER_API_PORT")
        self.prefect_api_url = prefect_server.api_url(port)
        server = await asyncio.to_thread(prefect_server.server_environment, self.settings, port)
        child = self._child("prefect", server)
        child.say = lambda _name, _line: (
            None
        )  # a banner; if it fails, the error tells its last lines
        await child.start()
        await self._wait("prefect", f"{self.prefect_api_url}/health", seconds=300)
        child.say = self._say

    async def _bootstrap(self) -> None:
        child = self._child("bootstrap")
        if self._own_prefect():
            child.environment["ATLVS_PREFECT_RESTARTED"] = "1"
        if await child.run_once():
            raise Misconfigured(f"bootstrap failed: {' '.join(list(child.tail)[-1:])}")
        del self._children["bootstrap"]

    def _choose_web_port(self) -> None:
        if "web" not in self.parts:
            return
        wanted = self._ports[1] if self._ports[1] is not None else self.settings.listen_port
        port = prefect_server.check_free(self.settings.listen_host, wanted, "ATLVS_LISTEN_PORT")
        self._web_port = port
        self.web_url = self.settings.public_base_url
        if not variable("PUBLIC_BASE_URL"):
            self.web_url = self._local_web_url()

    def _local_web_url(self) -> str:
        host = self.settings.listen_host
        return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{self._web_port}"  # noqa: S104

    def _web_environment(self) -> dict[str, str]:
        if not self.web_url:
            return {}
        return {"ATLVS_LISTEN_PORT": str(self._web_port), "PUBLIC_BASE_URL": self.web_url}

    def _database_url(self) -> str:
        url = self.settings.database_url
        return url.get_secret_value() if url else ""

    def _child(self, name: str, extra: Mapping[str, str] | None = None) -> Child:
        environment = surroundings(self._scratch, self._mark) | self.environment | dict(extra or {})
        child = Child(name, self._commands[name], environment, str(ROOT), self._say, self._remember)
        self._children[name] = child
        return child

    def _remember(self, name: str, pid: int) -> None:
        with contextlib.suppress(psutil.Error):  # it has ended already
            self._record.tell(processes=self._record.told["processes"] | {name: described(pid)})

    async def _wait(self, name: str, url: str, seconds: float) -> None:
        child = self._children[name]

        def waiting(so_far: float) -> None:
            if round(so_far) % 5 == 0:
                self._say(name, f"starting, {so_far:.0f} s")

        if not await prefect_server.wait_until_up(url, child.alive, waiting, seconds=seconds):
            raise Unavailable(name, "did not start: " + " | ".join(list(child.tail)[-5:]))

    async def _keep_postgres(self) -> None:
        while True:
            await asyncio.sleep(2)
            with contextlib.suppress(Misconfigured, OSError):
                if not await asyncio.to_thread(embedded.running, self.settings.data_dir):
                    self._say("postgres", "is gone; starts again")
                    await asyncio.to_thread(embedded.start, self.settings.data_dir)

    def _hold_lifeline(self) -> None:
        self._lifeline = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "deployments.lifeline"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=surroundings(self._scratch, self._mark) | self.environment | {MARK: ""},
            cwd=ROOT,
            start_new_session=True,
        )

    async def _end(self) -> None:
        if self._watch:
            self._watch.cancel()
        if not self._record.held:  # another product has the folder
            return
        await asyncio.gather(
            *(child.end() for name, child in self._children.items() if name != "prefect")
        )
        if "prefect" in self._children:
            await self._children["prefect"].end(grace=5)
        await asyncio.to_thread(end_all, self._record.data_dir, self._record.told)
        if self._lifeline and self._lifeline.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._lifeline.communicate(b"done", timeout=5)
        self._record.release()


def run_up(parts: Collection[str] = PARTS) -> None:
    """Run the product until Ctrl-C or SIGTERM."""
    asyncio.run(_up(parts))


async def _up(parts: Collection[str]) -> None:
    stop = asyncio.Event()
    starting = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if not stop.is_set():
            stop.set()
            if starting and not ready:
                starting.cancel()

    ready = False
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupt)
    with contextlib.suppress(asyncio.CancelledError):
        async with Product(settings(), parts=parts) as product:
            ready = True
            tell_where(product)
            await stop.wait()
            say("atlvs", "ending")


def tell_where(product: Product) -> None:
    """The addresses, once all of it is up."""
    if product.web_url:
        say("atlvs", f"settings   {product.web_url}/modules/settings/integrations")
        say("atlvs", f"webhooks   {product.web_url}/api/webhooks/stripe")
    if product.prefect_url:
        say("atlvs", f"prefect    {product.prefect_url}")
        if not product.settings.prefect_api_url:
            say("atlvs", f"           its password is in {product.settings.data_dir}/prefect/auth")
    say("atlvs", "ready; Ctrl-C ends all of it")
